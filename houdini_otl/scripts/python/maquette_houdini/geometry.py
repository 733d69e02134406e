# SPDX-License-Identifier: MIT OR Apache-2.0
"""Meshes to and from Houdini.

Houdini and the library share the axes (+Y up). They differ in winding: seen from outside, a polygon's vertices run
clockwise in Houdini and counter-clockwise in the library. Texture coordinates are an attribute of vertices, which Houdini
counts primitive after primitive.
"""

import array
import collections
import json

import hou

from . import native

# The library holds an object centred, its farthest vertex at this radius.
RADIUS = 0.48

# A mesh at the input.
# mesh                 native.Mesh, centred and scaled as the library wants it
# has_uvs              whether it has texture coordinates
# has_larger_polygons  whether it has polygons of more than three vertices, which the mesh holds as triangles
# middle, longest_side of its bounding box
# picture, recipe, name  what made it, from its detail attributes; "" where they are not there
Source = collections.namedtuple("Source", "mesh has_uvs has_larger_polygons middle longest_side picture recipe name")


# ---- From Houdini ----


def read(geometry):
    """The mesh in a geometry as a Source."""
    if geometry.intrinsicValue("primitivecount") == 0:
        raise hou.NodeError("The input has no primitives. Connect a polygon mesh, or disconnect the input for a new shape.")
    positions = floats(geometry.pointFloatAttribValuesAsString("P"))
    middle, longest_side, centred = centre(positions)
    corners, triangles, larger = read_triangles(geometry)
    uvs = read_uvs(geometry, corners, triangles)
    mesh = native.Mesh(centred, triangles, corner_uvs=uvs)
    made_by = [detail_text(geometry, "maquette_" + name) for name in ("picture", "recipe", "name")]
    return Source(mesh, uvs is not None, larger, middle, longest_side, *made_by)


def read_triangles(geometry):
    """Polygons as fans of triangles, turned round: the vertex (counted through all primitives) and the point of every
    corner, and whether there are polygons of more than three vertices. Esc interrupts."""
    corners, triangles, larger, first = [], array.array("I"), False, 0
    with hou.InterruptableOperation("Reading the mesh") as operation:
        for number, prim in enumerate(geometry.iterPrims()):
            if number % 4096 == 0:
                operation.updateProgress()
            if prim.type() != hou.primType.Polygon or not prim.isClosed() or prim.numVertices() < 3:
                raise hou.NodeError(
                    "Primitive %d of the input is no closed polygon. Put a Convert, Unpack or Clean SOP before this node."
                    % number
                )
            points = [vertex.point().number() for vertex in prim.vertices()]
            larger = larger or len(points) > 3
            for k in range(1, len(points) - 1):
                triangles.extend((points[0], points[k + 1], points[k]))
                corners.extend((first, first + k + 1, first + k))
            first += len(points)
    return corners, triangles, larger


def read_uvs(geometry, corners, triangles):
    """Texture coordinates of every corner of every triangle, or None."""
    if geometry.findVertexAttrib("uv"):
        values, elements, size = (
            geometry.vertexFloatAttribValuesAsString("uv"),
            corners,
            geometry.findVertexAttrib("uv").size(),
        )
    elif geometry.findPointAttrib("uv"):
        values, elements, size = (
            geometry.pointFloatAttribValuesAsString("uv"),
            triangles,
            geometry.findPointAttrib("uv").size(),
        )
    else:
        return None
    values, uvs = floats(values), array.array("f", bytes(len(elements) * 8))
    uvs[0::2] = array.array("f", [values[element * size] for element in elements])
    uvs[1::2] = array.array("f", [values[element * size + 1] for element in elements])
    return uvs


def centre(positions):
    """Middle and longest side of the bounding box, and the positions as the library wants them."""
    axes = [positions[axis::3] for axis in range(3)]
    if not all(map(len, axes)) or not all(abs(value) < 1e18 for axis in axes for value in axis):
        raise hou.NodeError("The points of the input have no finite positions. Put a Clean SOP before this node.")
    middle = [(min(axis) + max(axis)) / 2 for axis in axes]
    longest_side = max(max(axis) - min(axis) for axis in axes)
    squares = (sum((value - m) ** 2 for value, m in zip(point, middle)) for point in zip(*axes))
    radius = max(squares) ** 0.5
    if radius == 0:
        raise hou.NodeError("All points of the input are in one place. Connect a mesh with a surface.")
    scale, centred = RADIUS / radius, array.array("f", positions)
    for axis in range(3):
        centred[axis::3] = array.array("f", [(value - middle[axis]) * scale for value in axes[axis]])
    return middle, longest_side, centred


def detail_text(geometry, name):
    attribute = geometry.findGlobalAttrib(name)
    if attribute is None or attribute.dataType() != hou.attribData.String:
        return ""
    return geometry.stringAttribValue(name)


def floats(content):
    values = array.array("f")
    values.frombytes(content)
    return values


# ---- To Houdini ----


class Placement:
    """Scale and move from the library's space to the scene's."""

    def __init__(self, positions, size, ground, fit):
        axes = [positions[axis::3] for axis in range(3)]
        low, high = [min(axis) for axis in axes], [max(axis) for axis in axes]
        middle = [(a + b) / 2 for a, b in zip(low, high)]
        target, longest_side = fit or ((0.0, 0.0, 0.0), size)
        self.scale = longest_side / max(max(b - a for a, b in zip(low, high)), 1e-9)
        self.move = [to - at * self.scale for to, at in zip(target, middle)]
        if ground and not fit:
            self.move[1] = -low[1] * self.scale

    def of(self, positions):
        placed = array.array("f", positions)
        for axis in range(3):
            placed[axis::3] = array.array("f", [value * self.scale + self.move[axis] for value in positions[axis::3]])
        return placed


def write_shape(geometry, mesh, placement, name):
    """A new mesh, with N on points, uv on vertices and name on primitives, into an empty geometry."""
    placed = placement.of(mesh.positions)
    geometry.createPoints(tuple(zip(placed[0::3], placed[1::3], placed[2::3])))
    corners = mesh.triangles
    geometry.createPolygons(tuple(zip(corners[0::3], corners[2::3], corners[1::3])))
    geometry.addAttrib(hou.attribType.Point, "N", (0.0, 0.0, 0.0), transform_as_normal=True)
    geometry.setPointFloatAttribValuesFromString("N", bytes(mesh.normals))
    write_uvs(geometry, mesh)
    set_on_all_prims(geometry, "name", name)


def has_uvs(geometry):
    return geometry.findVertexAttrib("uv") is not None or geometry.findPointAttrib("uv") is not None


def write_uvs(geometry, mesh):
    """Texture coordinates for a geometry of these triangles that has none."""
    geometry.addAttrib(hou.attribType.Vertex, "uv", (0.0, 0.0, 0.0))
    uvs = array.array("f", bytes(len(mesh.triangles) * 12))
    for axis in range(2):
        for corner, turned in enumerate((0, 2, 1)):
            uvs[corner * 3 + axis :: 9] = array.array("f", mesh.corner_uvs[turned * 2 + axis :: 6])
    geometry.setVertexFloatAttribValuesFromString("uv", uvs.tobytes())


def write_about(geometry, name, picture, result):
    """Detail attributes: what made the mesh, and its textures. They replace those of a node before; where this one had no
    picture, that of the shape stays known."""
    texts = {
        "maquette_name": name,
        "maquette_picture": picture or detail_text(geometry, "maquette_picture"),
        "maquette_views": result.views,
        "maquette_recipe": json.dumps(result.recipe, sort_keys=True),
        "maquette_report": json.dumps(result.report, sort_keys=True),
        "maquette_basecolor": result.textures.get("basecolor", ""),
        "maquette_normalmap": result.textures.get("normal", ""),
    }
    for attribute, text in texts.items():
        there = geometry.findGlobalAttrib(attribute)
        if there is not None and there.dataType() != hou.attribData.String:
            there.destroy()
            there = None
        if there is None:
            geometry.addAttrib(hou.attribType.Global, attribute, "")
        geometry.setGlobalAttribValue(attribute, text)


def set_on_all_prims(geometry, name, text):
    if geometry.findPrimAttrib(name) is None:
        geometry.addAttrib(hou.attribType.Prim, name, "")
    geometry.setPrimStringAttribValues(name, [text] * geometry.intrinsicValue("primitivecount"))

# SPDX-License-Identifier: GPL-3.0-or-later
"""An object's mesh as the engine takes it, without its modifiers: what is refined is what the artist can edit."""

import numpy

from . import native, picture, remedies, result
from .frame import Frame, rotated_to_engine


class MeshInput:
    """Triangles of a mesh with texture coordinates and textures, in the engine's space.

    positions [V, 3], normals [V, 3], triangles [T, 3], corner_uvs [T, 3, 2] or None, materials [T], textures: for each
    material an array [H, W, 4] with row 0 at the bottom, or one colour [4]; sRGB, 0 to 1.
    """

    def __init__(self, item):
        mesh = item.data
        if not mesh.polygons:
            raise remedies.Problem("%s has no faces; select a mesh with a surface" % item.name)
        self.local_positions = _read(mesh.vertices, "co", 3, numpy.float32)
        self.frame = frame_of(item, self.local_positions)
        self.positions = self.frame.to_engine(self.local_positions)
        self.normals = _rotated_normals(mesh)
        mesh.calc_loop_triangles()
        triangles = mesh.loop_triangles
        self.triangles = _read(triangles, "vertices", 3, numpy.int32).astype(numpy.uint32)
        self.loops = _read(triangles, "loops", 3, numpy.int32)
        self.materials = _read(triangles, "material_index", 1, numpy.int32).ravel()
        self.all_triangles = len(triangles) == len(mesh.polygons)
        layer = mesh.uv_layers.active
        self.corner_uvs = None
        if layer is not None:
            self.corner_uvs = numpy.ascontiguousarray(_read(layer.data, "uv", 2, numpy.float32)[self.loops])
        self.textures = [_texture(slot.material) for slot in item.material_slots] or [_GREY]

    @property
    def used_slots(self):
        """Material slots with faces, those that are there."""
        return sorted(set(numpy.minimum(self.materials, len(self.textures) - 1).tolist()))

    def to_native(self):
        return native.Mesh(self.positions, self.triangles, None, self.corner_uvs)


_GREY = numpy.array([0.5, 0.5, 0.5, 1.0], numpy.float32)


def frame_of(item, local_positions):
    """Where the engine's space lies in the object's: remembered from its making, else from its box."""
    if item.maquette.has_frame:
        return Frame.of_list(list(item.maquette.frame))
    return Frame.of_mesh(local_positions)


def _rotated_normals(mesh):
    return rotated_to_engine(_read(mesh.vertices, "normal", 3, numpy.float32))


def _read(items, attribute, width, kind):
    values = numpy.empty(len(items) * width, kind)
    items.foreach_get(attribute, values)
    return values.reshape(-1, width)


def _texture(material):
    """The picture, or else the colour, that a material's Principled node has as base colour."""
    shader = result.principled(material)
    if shader is None:
        return _GREY if material is None else _srgb(material.diffuse_color)
    socket = shader.inputs["Base Color"]
    if socket.is_linked:
        node = socket.links[0].from_node
        if node.type == "TEX_IMAGE" and node.image is not None and node.image.size[0]:
            image = picture.to_native(node.image)
            pixels = numpy.frombuffer(image.rgba, numpy.uint8).reshape(image.height, image.width, 4)
            return pixels[::-1].astype(numpy.float32) / 255
    return _srgb(socket.default_value)


def _srgb(linear):
    color = numpy.array(linear, numpy.float32)
    color[:3] = picture.to_srgb(color[:3])
    return color.clip(0, 1)

# SPDX-License-Identifier: GPL-3.0-or-later
"""From a finished job to Blender's data: mesh, UV map, material, textures, object."""

import json
import os

import bpy
import numpy

from . import native, picture, remedies
from .frame import Frame

UV_MAP = "UVMap"
_COLOR_NODE, _NORMAL_NODE = "Maquette Base Color", "Maquette Normal"


class Result:
    """What a finished job gave, and the recipe and picture that it came from."""

    def __init__(self, job, recipe, name, image=None):
        self.mesh = job.mesh()
        self.base_color = job.image(native.IMAGE_BASE_COLOR)
        self.normal_map = job.image(native.IMAGE_NORMAL_MAP)
        self.report = job.report()
        self.recipe, self.name, self.image = recipe, name, image
        self._job = job

    @property
    def positions(self):
        return numpy.frombuffer(self.mesh.positions, numpy.float32).reshape(-1, 3)

    def save_image(self, path, kind):
        self._job.save_image(path, kind)


class _Made:
    """New datablocks, taken away again when something fails, so that the file stays as it was."""

    def __init__(self):
        self._blocks = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            for collection, block in reversed(self._blocks):
                collection.remove(block)

    def add(self, collection, block):
        self._blocks.append((collection, block))
        return block


def check_texture_place(textures):
    """Raises when textures are to be saved beside a file that has no place yet."""
    if textures == "SAVED" and not bpy.data.filepath:
        raise remedies.Problem(
            "textures are to be saved beside the .blend file, which is not saved yet; save it, or pack the textures",
            remedies.SAVE_FILE,
        )


def add_object(context, result, size, location, textures, collection=None):
    """A new object for a result, selected and active."""
    with _Made() as made:
        frame = Frame.of_result(result.positions, size)
        mesh = made.add(bpy.data.meshes, new_mesh(result, frame, result.name))
        images = _images(result, textures, made)
        mesh.materials.append(made.add(bpy.data.materials, _new_material(result.name, images)))
        item = made.add(bpy.data.objects, bpy.data.objects.new(result.name, mesh))
        item.location = location
        remember(item, result, frame)
        (collection or context.collection).objects.link(item)
    for other in context.selected_objects:
        other.select_set(False)
    if item.name in context.view_layer.objects:
        item.select_set(True)
        context.view_layer.objects.active = item
    return item


def replace_shape(item, result, frame, textures):
    """New mesh data and textures for an object that stays what and where it is, with its modifiers and material slots."""
    old = item.data
    with _Made() as made:
        images = _images(result, textures, made)
        changes = _texture_changes(item, [0], images, made)
        mesh = made.add(bpy.data.meshes, new_mesh(result, frame, old.name))
        for material in old.materials:
            mesh.materials.append(material)
    item.data = mesh
    _apply(item, changes)
    if old.users == 0:
        name = old.name
        bpy.data.meshes.remove(old)
        mesh.name = name
    remember(item, result, frame)


def replace_texture(item, result, textures, slots):
    """New textures in the materials of `slots`; mesh, vertices and texture coordinates are not touched."""
    with _Made() as made:
        images = _images(result, textures, made)
        changes = _texture_changes(item, slots, images, made)
    _apply(item, changes, keep_normal_map=True)
    remember(item, result, None)


def remember(item, result, frame):
    """Keeps on the object what it was made from."""
    item["maquette_recipe"] = json.dumps(result.recipe)
    item["maquette_report"] = json.dumps(result.report)
    if result.image is not None:
        item.maquette.picture = result.image
    if frame is not None:
        item.maquette.frame = frame.to_list()
        item.maquette.has_frame = True


# ---- Mesh ----


def new_mesh(result, frame, name):
    """A mesh datablock in an object's own space, smooth, with its UV map."""
    triangles = numpy.frombuffer(result.mesh.triangles, numpy.uint32).astype(numpy.int32)
    count = len(triangles) // 3
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(result.mesh.vertex_count)
    mesh.vertices.foreach_set("co", frame.to_local(result.positions).ravel())
    mesh.loops.add(count * 3)
    mesh.loops.foreach_set("vertex_index", triangles)
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", numpy.arange(0, count * 3, 3, dtype=numpy.int32))
    if bpy.app.version < (4, 1, 0):
        mesh.polygons.foreach_set("loop_total", numpy.full(count, 3, numpy.int32))
    mesh.polygons.foreach_set("use_smooth", numpy.ones(count, bool))
    if result.mesh.corner_uvs is not None:
        layer = mesh.uv_layers.new(name=UV_MAP, do_init=False)
        layer.data.foreach_set("uv", numpy.frombuffer(result.mesh.corner_uvs, numpy.float32))
    mesh.update(calc_edges=True)
    return mesh


def add_uvs(mesh, loops, corner_uvs):
    """Texture coordinates for a mesh of triangles that has none. `loops` [T, 3]: the loop of every corner."""
    uvs = numpy.empty((len(mesh.loops), 2), numpy.float32)
    uvs[loops.ravel()] = numpy.frombuffer(corner_uvs, numpy.float32).reshape(-1, 2)
    mesh.uv_layers.new(name=UV_MAP, do_init=False).data.foreach_set("uv", uvs.ravel())
    mesh.update()


# ---- Textures and materials ----


def _images(result, textures, made):
    """Image datablocks (base colour, normal map or None), packed or saved beside the .blend file."""
    images = []
    for native_image, kind, suffix, is_color in (
        (result.base_color, native.IMAGE_BASE_COLOR, "color", True),
        (result.normal_map, native.IMAGE_NORMAL_MAP, "normal", False),
    ):
        if native_image is None:
            images.append(None)
            continue
        name = "%s %s" % (result.name, suffix)
        if textures == "SAVED":
            image = _saved(result, kind, name, is_color)
        else:
            image = picture.to_datablock(native_image, name, is_color)
        images.append(made.add(bpy.data.images, image))
    return images


def _saved(result, kind, name, is_color):
    check_texture_place("SAVED")
    folder = os.path.join(os.path.dirname(bpy.data.filepath), "textures")
    os.makedirs(folder, exist_ok=True)
    stem = "".join(c if c.isalnum() or c in " ._-" else "_" for c in name).strip(" .") or "texture"
    path, number = os.path.join(folder, stem + ".png"), 1
    while os.path.exists(path):  # another object's, or an older one that undo may bring back
        path = os.path.join(folder, "%s %d.png" % (stem, number))
        number += 1
    result.save_image(path, kind)
    image = bpy.data.images.load(path)
    image.name = name
    if not is_color:
        image.colorspace_settings.name = "Non-Color"
    image.filepath = bpy.path.relpath(path)
    return image


def _new_material(name, images):
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    material["maquette"] = True
    _set_textures(material, images)
    return material


def _set_textures(material, images, keep_normal_map=False):
    """Puts the images into a material: into the nodes that an earlier result made, else into new ones."""
    base_color, normal_map = images
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = principled(material)
    if shader is None:
        shader = nodes.new("ShaderNodeBsdfPrincipled")
        output = next((n for n in nodes if n.type == "OUTPUT_MATERIAL" and n.is_active_output), None)
        output = output or nodes.new("ShaderNodeOutputMaterial")
        output.location = shader.location.x + 300, shader.location.y
        links.new(shader.outputs[0], output.inputs["Surface"])
    color_node = nodes.get(_COLOR_NODE) or _image_node(nodes, _COLOR_NODE, shader, 0)
    color_node.image = base_color
    links.new(color_node.outputs["Color"], shader.inputs["Base Color"])
    normal_node = nodes.get(_NORMAL_NODE)
    if normal_map is None:
        if normal_node is not None and not keep_normal_map:  # of the shape that was
            for link in list(shader.inputs["Normal"].links):
                links.remove(link)
            nodes.remove(normal_node)
        return
    if normal_node is None:
        normal_node = _image_node(nodes, _NORMAL_NODE, shader, -300)
        bump = nodes.new("ShaderNodeNormalMap")
        bump.location = shader.location.x - 250, shader.location.y - 350
        links.new(normal_node.outputs["Color"], bump.inputs["Color"])
        links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    normal_node.image = normal_map


def _image_node(nodes, name, shader, offset):
    node = nodes.new("ShaderNodeTexImage")
    node.name = node.label = name
    node.location = shader.location.x - 600, shader.location.y + offset
    return node


def principled(material):
    """The Principled node of a material, or None."""
    if material is None or material.node_tree is None:
        return None
    return next((node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"), None)


def _texture_changes(item, slots, images, made):
    """(slot, material) for each slot: the object's own Maquette material, or a copy of what is there, so that other objects
    keep theirs. Nothing visible changes before _apply."""
    changes = []
    for slot in slots:
        material = item.material_slots[slot].material if slot < len(item.material_slots) else None
        if material is None:
            material = made.add(bpy.data.materials, _new_material(item.name, images))
        elif not material.get("maquette") or material.users > 1 or material.library is not None:
            material = made.add(bpy.data.materials, material.copy())
            material["maquette"] = True
            if bpy.app.version < (5, 0, 0):
                material.use_nodes = True
        changes.append((slot, material, images))
    return changes


def _apply(item, changes, keep_normal_map=False):
    for slot, material, images in changes:
        _set_textures(material, images, keep_normal_map)
        if slot < len(item.material_slots):
            item.material_slots[slot].material = material
        else:
            item.data.materials.append(material)

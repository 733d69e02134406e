"""Models and renders the example pictures. Run with Blender's Python module:

    pip install bpy==4.5.* && python examples/scenes/render.py

Everything is built from primitives here, so the pictures are ours to give away (CC0).
"""

import math
import pathlib

import bpy
from mathutils import Matrix, Vector

FOLDER = pathlib.Path(__file__).resolve().parent.parent


def material(name, rgb, roughness=0.6):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*rgb, 1.0)
    shader.inputs["Roughness"].default_value = roughness
    return made


def finish(thing, paint, smooth=True):
    thing.data.materials.clear()
    thing.data.materials.append(paint)
    if smooth:
        for face in thing.data.polygons:
            face.use_smooth = True
    return thing


def ball(paint, at, size, turn=(0, 0, 0)):
    bpy.ops.mesh.primitive_uv_sphere_add(segments=48, ring_count=24, location=at, rotation=[math.radians(a) for a in turn])
    bpy.context.object.scale = size if hasattr(size, "__len__") else (size,) * 3
    return finish(bpy.context.object, paint)


def rod(paint, at, radius, height, top=None, turn=(0, 0, 0), sides=48):
    bpy.ops.mesh.primitive_cone_add(
        vertices=sides, radius1=radius, radius2=radius if top is None else top, depth=height, location=at,
        rotation=[math.radians(a) for a in turn])
    thing = bpy.context.object
    bevel = thing.modifiers.new("bevel", "BEVEL")
    bevel.width, bevel.segments = 0.02, 3
    bevel.limit_method = "ANGLE"
    return finish(thing, paint, smooth=False)


def ring(paint, at, radius, thickness, turn=(0, 0, 0)):
    bpy.ops.mesh.primitive_torus_add(
        major_radius=radius, minor_radius=thickness, location=at, rotation=[math.radians(a) for a in turn])
    return finish(bpy.context.object, paint)


def box(paint, at, size, turn=(0, 0, 0), bevel=0.03):
    bpy.ops.mesh.primitive_cube_add(size=1, location=at, rotation=[math.radians(a) for a in turn])
    thing = bpy.context.object
    thing.scale = size
    bpy.ops.object.transform_apply(location=False, rotation=False, scale=True)
    edge = thing.modifiers.new("bevel", "BEVEL")
    edge.width, edge.segments = bevel, 3
    return finish(thing, paint, smooth=False)


def toadstool():
    """A red toadstool with white dots on a mossy foot."""
    red, white = material("red", (0.62, 0.03, 0.02), 0.35), material("white", (0.85, 0.8, 0.7))
    moss = material("moss", (0.1, 0.25, 0.05), 0.9)
    rod(white, (0, 0, 0.45), 0.22, 0.9, top=0.16)
    ball(moss, (0, 0, 0.06), (0.42, 0.38, 0.16))
    ball(red, (0, 0, 0.95), (0.62, 0.62, 0.42))
    ball(white, (0, 0, 0.86), (0.54, 0.54, 0.22))
    ring(white, (0, 0, 0.62), 0.2, 0.045)
    for azimuth, height in [(-95, 35), (-50, 15), (-135, 12), (-20, 40), (-165, 42), (90, 30), (40, 14), (140, 14), (-90, 72)]:
        a, e = math.radians(azimuth), math.radians(height)
        at = (0.6 * math.cos(e) * math.cos(a), 0.6 * math.cos(e) * math.sin(a), 0.95 + 0.41 * math.sin(e))
        ball(white, at, 0.085)


def rocket():
    """A toy rocket with fins and a window."""
    cream, orange = material("cream", (0.8, 0.74, 0.6)), material("orange", (0.75, 0.2, 0.02), 0.4)
    blue, steel = material("blue", (0.03, 0.12, 0.35), 0.2), material("steel", (0.3, 0.32, 0.35), 0.3)
    ball(cream, (0, 0, 0.85), (0.32, 0.32, 0.75))
    ball(orange, (0, 0, 1.36), (0.2, 0.2, 0.28))
    rod(steel, (0, 0, 0.1), 0.22, 0.18, top=0.16)
    ring(steel, (0, -0.31, 1.0), 0.11, 0.03, turn=(97, 0, 0))
    ball(blue, (0, -0.3, 1.0), (0.11, 0.05, 0.11))
    ring(orange, (0, 0, 0.62), 0.31, 0.03)
    for k in range(4):
        a = math.radians(45 + 90 * k)
        box(orange, (0.36 * math.cos(a), 0.36 * math.sin(a), 0.25), (0.32, 0.05, 0.42), turn=(0, 22, math.degrees(a)))


def bird():
    """A round bird with a beak, wings and legs."""
    teal, cream = material("teal", (0.02, 0.28, 0.3)), material("cream", (0.85, 0.72, 0.45))
    yellow, black = material("yellow", (0.85, 0.4, 0.02), 0.4), material("black", (0.01, 0.01, 0.01), 0.2)
    ball(teal, (0, 0, 0.62), (0.46, 0.52, 0.46))
    ball(cream, (0, -0.13, 0.55), (0.38, 0.42, 0.36))
    ball(teal, (0, -0.2, 1.1), (0.31, 0.31, 0.3))
    rod(yellow, (0, -0.55, 1.06), 0.09, 0.24, top=0.01, turn=(90, 0, 0))
    ball(teal, (0, 0.5, 0.7), (0.16, 0.32, 0.1), turn=(30, 0, 0))
    for side in (-1, 1):
        ball(black, (0.13 * side, -0.45, 1.17), 0.05)
        ball(teal, (0.45 * side, 0.04, 0.66), (0.1, 0.33, 0.24), turn=(-15, 0, 0))
        rod(yellow, (0.17 * side, -0.02, 0.12), 0.045, 0.24)
        box(yellow, (0.17 * side, -0.1, 0.02), (0.16, 0.26, 0.05))


def chair():
    """A wooden chair with a red cushion."""
    wood, red = material("wood", (0.4, 0.2, 0.07)), material("red", (0.5, 0.04, 0.03), 0.8)
    for x in (-0.36, 0.36):
        rod(wood, (x, -0.33, 0.3), 0.045, 0.6, top=0.055)
        box(wood, (x, 0.34, 0.72), (0.09, 0.08, 1.44))
    box(wood, (0, 0, 0.62), (0.86, 0.82, 0.08))
    ball(red, (0, -0.02, 0.68), (0.37, 0.35, 0.08))
    for height in (0.95, 1.15, 1.35):
        box(wood, (0, 0.34, height), (0.66, 0.05, 0.1))
    box(wood, (0, -0.33, 0.25), (0.7, 0.05, 0.05), bevel=0.01)


def dog():
    """A brown dog with a long body, seen from in front: most of it is behind its head."""
    brown, cream = material("brown", (0.3, 0.13, 0.04)), material("cream", (0.75, 0.6, 0.4))
    black = material("black", (0.01, 0.01, 0.01), 0.2)
    ball(brown, (0, 0.35, 0.62), (0.27, 0.68, 0.28))
    ball(cream, (0, -0.22, 0.58), (0.2, 0.16, 0.22))
    ball(brown, (0, -0.36, 0.98), (0.24, 0.25, 0.23))
    ball(cream, (0, -0.58, 0.9), (0.12, 0.16, 0.1))
    ball(black, (0, -0.73, 0.93), (0.05, 0.04, 0.04))
    rod(brown, (0, 1.12, 0.82), 0.06, 0.5, top=0.02, turn=(-40, 0, 0))
    for side in (-1, 1):
        ball(black, (0.1 * side, -0.55, 1.05), 0.035)
        ball(brown, (0.24 * side, -0.32, 0.98), (0.06, 0.12, 0.2), turn=(0, 12 * side, 0))
        for y in (-0.12, 0.82):
            rod(brown, (0.16 * side, y, 0.26), 0.075, 0.52, top=0.09)
            ball(cream, (0.16 * side, y - 0.05, 0.05), (0.09, 0.13, 0.06))


def stage(elevation_degrees, azimuth_degrees, room):
    """Camera in front (Blender's -Y), or from the right by `azimuth_degrees`; three lights, transparent film."""
    scene = bpy.context.scene
    bpy.context.view_layer.update()
    low = [min((thing.matrix_world @ corner)[k] for thing in scene.objects if thing.type == "MESH"
               for corner in map(Vector, thing.bound_box)) for k in range(3)]
    high = [max((thing.matrix_world @ corner)[k] for thing in scene.objects if thing.type == "MESH"
                for corner in map(Vector, thing.bound_box)) for k in range(3)]
    centre = [(a + b) / 2 for a, b in zip(low, high)]
    radius = max(b - a for a, b in zip(low, high)) / 2
    e = math.radians(elevation_degrees)
    distance = room * radius / math.tan(math.radians(15))
    turned = Matrix.Rotation(math.radians(azimuth_degrees), 3, "Z")
    bpy.ops.object.camera_add(
        location=Vector(centre) + turned @ Vector((0, -distance * math.cos(e), distance * math.sin(e))),
        rotation=(math.radians(90) - e, 0, math.radians(azimuth_degrees)))
    scene.camera = bpy.context.object
    scene.camera.data.angle = math.radians(30)
    for at, energy, size in [((-2.5, -3.5, 4), 220, 2.5), ((3.5, -3, 1.5), 70, 3), ((0, 4, 4), 120, 3)]:
        bpy.ops.object.light_add(type="AREA", location=turned @ Vector(at))
        light = bpy.context.object
        light.data.energy, light.data.size = energy, size
        direction = Vector(centre) - light.location
        light.rotation_euler = direction.to_track_quat("-Z", "Y").to_euler()
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.5, 0.55, 0.6, 1)
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.6


def render(build, elevation_degrees, azimuth_degrees=0, room=1.25):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    build()
    stage(elevation_degrees, azimuth_degrees, room)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 96
    scene.cycles.use_denoising = False
    scene.cycles.seed = 1
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = 512
    scene.render.film_transparent = True
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.filepath = str(FOLDER / f"{build.__name__}.png")
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    for model, *camera in [(toadstool, 10), (rocket, 8), (bird, 12), (chair, 20, 35, 1.45), (dog, 12)]:
        render(model, *camera)

"""Runs inside of Blender's window for clicks.py: installs the package and tells what there is, five times a second.

blender --python watched.py -- PACKAGE.zip PICTURE STATE.json
"""

import json
import os
import sys

import bpy
from mathutils import Euler

package, picture, state_path = sys.argv[sys.argv.index("--") + 1 :]

bpy.ops.preferences.addon_install(filepath=package, overwrite=True)
bpy.ops.preferences.addon_enable(module="maquette")
from maquette import job, panels, preview  # noqa: E402

bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.smooth_view = 0
bpy.data.objects.remove(bpy.data.objects["Cube"])
# Quick, but long enough to be cancelled.
bpy.context.scene.maquette.preset = "draft"
bpy.context.scene.maquette.coarse_iterations = 120
for area in bpy.context.window_manager.windows[0].screen.areas:
    if area.type == "VIEW_3D":
        space = area.spaces.active
        space.show_region_ui = True
        space.shading.color_type = "TEXTURE"
        space.region_3d.view_distance = 5.0
        space.region_3d.view_location = (0.5, 0, 0.9)
        space.region_3d.view_rotation = Euler((1.25, 0, 0.35)).to_quaternion()

drawn = 0
draw = panels.MAQUETTE_PT_main.draw


def counting_draw(self, context):
    global drawn
    drawn += 1
    draw(self, context)


panels.MAQUETTE_PT_main.draw = counting_draw
ticks = 0


def sidebar_width():
    for area in bpy.context.window_manager.windows[0].screen.areas:
        if area.type == "VIEW_3D":
            return next(region.width for region in area.regions if region.type == "UI")
    return 0


def tell():
    global ticks
    ticks += 1
    run = job.current
    scene = bpy.context.scene
    state = {
        "tick": ticks,
        "drawn": drawn,
        "sidebar": sidebar_width(),
        "run": run.title if run else None,
        "fraction": run.fraction if run else None,
        "preview": preview._batch is not None,
        "problem": str(job.last_problem or ""),
        "picture": scene.maquette.picture.name if scene.maquette.picture else None,
        "meshes": {o.name: len(o.data.polygons) for o in bpy.data.objects if o.type == "MESH"},
        "textures": {
            m.name: m.node_tree.nodes["Maquette Base Color"].image.name
            for m in bpy.data.materials
            if m.node_tree and "Maquette Base Color" in m.node_tree.nodes
        },
        "selected": len(bpy.context.selected_objects),
        "camera": list(bpy.data.objects["Camera"].location),
    }
    with open(state_path + ".new", "w") as file:
        json.dump(state, file)
    os.replace(state_path + ".new", state_path)
    return 0.2


def take_picture(path):
    bpy.ops.maquette.open_picture(filepath=path)


# Once the window is there.
bpy.app.timers.register(lambda: take_picture(picture), first_interval=0.5)
bpy.app.timers.register(tell, first_interval=1.0, persistent=True)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Maquette in Blender: one picture in, a textured 3D mesh out.

A thin front over the native library (native.py): this package holds the sidebar, the operators, and the way between
Blender's data and the engine's. Extension for Blender 4.2 and later; the same zip installs as an add-on in 3.3 to 4.1.
"""

bl_info = {
    "name": "Maquette",
    "author": "The Maquette developers",
    "version": (0, 1, 0),
    "blender": (3, 3, 0),
    "location": "3D Viewport > Sidebar (N) > Maquette",
    "description": "One picture in, a textured 3D mesh out, on this machine",
    "category": "Add Mesh",
}

from . import engine, job, operators, panels, properties


def register():
    properties.register()
    operators.register()
    panels.register()


def unregister():
    job.stop_all()
    panels.unregister()
    operators.unregister()
    properties.unregister()
    engine.shut_down()

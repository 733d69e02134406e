# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the artist and scripts can do, one file for each kind."""

import bpy

from .. import schema_ui
from . import batch, generate, pictures, refine, settings, views

_MODULES = (generate, refine, views, batch, pictures, settings)
_registered = []


def register():
    for module in _MODULES:
        for cls in module.CLASSES:
            if getattr(cls, "has_recipe", False):
                cls.__annotations__.update(schema_ui.operator_annotations())
            bpy.utils.register_class(cls)
            _registered.append(cls)


def unregister():
    while _registered:
        bpy.utils.unregister_class(_registered.pop())

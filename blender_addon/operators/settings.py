# SPDX-License-Identifier: GPL-3.0-or-later
"""Small buttons: cancel, dice, resets, and what error messages offer."""

import json
import random

import bpy
from bpy.props import StringProperty

from .. import engine, job


class MAQUETTE_OT_cancel(bpy.types.Operator):
    """Stops the job; the scene stays as it is (Esc)"""

    bl_idname = "maquette.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context):
        return job.current is not None

    def execute(self, context):
        job.current.cancel()
        job.redraw(context)
        return {"FINISHED"}


class MAQUETTE_OT_dice(bpy.types.Operator):
    """Another seed"""

    bl_idname = "maquette.dice"
    bl_label = "Roll the Dice"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context):
        context.scene.maquette.seed = random.randrange(1, 1_000_000)
        return {"FINISHED"}


class MAQUETTE_OT_set(bpy.types.Operator):
    """Changes this setting"""

    bl_idname = "maquette.set"
    bl_label = "Change a Setting"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    name: StringProperty()
    value: StringProperty()

    def execute(self, context):
        setattr(context.scene.maquette, self.name, self.value)
        job.clear_problem()
        return {"FINISHED"}


class MAQUETTE_OT_reset_settings(bpy.types.Operator):
    """Sets settings back to those of the preset"""

    bl_idname = "maquette.reset_settings"
    bl_label = "Reset Settings"
    bl_options = {"REGISTER", "UNDO"}

    section: StringProperty(description="Section of the recipe; empty: all")

    def execute(self, context):
        settings = context.scene.maquette
        recipe = dict(engine.parsed(settings.recipe))
        if self.section:
            recipe.pop(self.section, None)
        else:
            recipe = {key: recipe[key] for key in ("preset", "seed") if key in recipe}
        settings.recipe = json.dumps(recipe)
        job.clear_problem()
        return {"FINISHED"}


class MAQUETTE_OT_take_settings(bpy.types.Operator):
    """Shows the settings that the object was made with in the sidebar"""

    bl_idname = "maquette.take_settings"
    bl_label = "Take Its Settings"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        return context.active_object is not None and "maquette_recipe" in context.active_object

    def execute(self, context):
        item, settings = context.active_object, context.scene.maquette
        settings.recipe = item["maquette_recipe"]
        if item.maquette.picture is not None:
            settings.picture = item.maquette.picture
        return {"FINISHED"}


class MAQUETTE_OT_unwrap(bpy.types.Operator):
    """Gives the active mesh texture coordinates (Smart UV Project)"""

    bl_idname = "maquette.unwrap"
    bl_label = "Unwrap"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        return context.active_object is not None and context.active_object.type == "MESH" and context.mode == "OBJECT"

    def execute(self, context):
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.uv.smart_project(island_margin=0.005)
        bpy.ops.object.mode_set(mode="OBJECT")
        job.clear_problem()
        return {"FINISHED"}


class MAQUETTE_OT_dismiss(bpy.types.Operator):
    """Hides the message"""

    bl_idname = "maquette.dismiss"
    bl_label = "Dismiss"

    def execute(self, context):
        job.clear_problem()
        return {"FINISHED"}


CLASSES = (
    MAQUETTE_OT_cancel,
    MAQUETTE_OT_dice,
    MAQUETTE_OT_set,
    MAQUETTE_OT_reset_settings,
    MAQUETTE_OT_take_settings,
    MAQUETTE_OT_unwrap,
    MAQUETTE_OT_dismiss,
)

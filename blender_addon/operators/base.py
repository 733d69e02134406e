# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators share: the recipe they run, the object they refine."""

import json

import bpy

from .. import engine, properties, remedies, schema_ui


class RecipeOperator:
    """Has every setting of the recipe as a property; those not given come from `base_recipe`."""

    has_recipe = True

    def recipe_of(self, context, **fixed):
        """The partial recipe to run: base, then the text property `recipe`, then the properties given, then `fixed`."""
        recipe = self.base_recipe(context)
        if self.recipe:
            try:
                given = json.loads(self.recipe)
            except ValueError as error:
                raise remedies.Problem("recipe is not JSON: %s" % error) from error
            if not isinstance(given, dict):
                raise remedies.Problem('recipe is not a JSON object; write it as {"preset": "fine"}')
            recipe = schema_ui.merged(recipe, given)
        recipe = schema_ui.merged(recipe, schema_ui.given_settings(self))
        recipe.update(fixed)
        engine.library().resolve_recipe(recipe)  # raises when something is wrong with it
        return recipe

    def base_recipe(self, context):
        """The sidebar's settings, which in a new file are the defaults."""
        return properties.scene_recipe(context.scene)

    def texture_place(self, context):
        """Where textures are kept: as given, else as the sidebar says."""
        return self.textures if self.properties.is_property_set("textures") else context.scene.maquette.textures


class Target:
    """The object to refine, found again after undo steps and renames."""

    def __init__(self, item):
        self._name, self._uid = item.name, getattr(item, "session_uid", None)

    def find(self):
        if self._uid is not None:
            item = next((item for item in bpy.data.objects if item.session_uid == self._uid), None)
        else:
            item = bpy.data.objects.get(self._name)
        if item is None or item.type != "MESH":
            raise remedies.Problem("%s is not there any more; the result was dropped" % self._name)
        return item


def poll_mesh(cls, context):
    """True when the active object is a mesh that can be refined."""
    item = context.active_object
    if item is None or item.type != "MESH":
        cls.poll_message_set("Select a mesh")
        return False
    if context.mode != "OBJECT":
        cls.poll_message_set("Leave %s first" % context.mode.replace("_", " ").title())
        return False
    if item.library is not None or item.data.library is not None:
        cls.poll_message_set("The object is linked from another file; make it local first")
        return False
    return True

# SPDX-License-Identifier: GPL-3.0-or-later
"""More detail on an object's own shape. `refined` is the one place where the engine's way of doing it is chosen."""

from . import engine, schema_ui, views

VIEW_SIZE_PX = 640
_MORE = 2  # times as many triangles


def refined(context, mesh, recipe, name):
    """Plan: the mesh seen from around, and a finer mesh through what is seen."""
    posed = views.rendered(mesh, VIEW_SIZE_PX)
    return (yield context.start(views=posed, recipe=dict(recipe, task="reconstruct"), name=name))


def finer(recipe, triangle_count, given):
    """`recipe` one preset further, with more triangles than there are; what is `given` stays."""
    presets = [value["const"] for value in engine.schema()["properties"]["preset"]["oneOf"]]
    now = recipe.get("preset", engine.preset_values("")["preset"])
    finer_preset = presets[min(presets.index(now) + 1, len(presets) - 1)]
    # Values of the coarser preset that were set by hand were set for its sake.
    result = {"preset": given.get("preset", finer_preset), "seed": recipe.get("seed", 0)}
    if recipe.get("bake"):
        result["bake"] = recipe["bake"]
    usual = schema_ui.look_up(engine.preset_values(result["preset"]), ("finish", "triangles"))
    result["finish"] = {"triangles": max(usual, triangle_count * _MORE)}
    return schema_ui.merged(result, given)

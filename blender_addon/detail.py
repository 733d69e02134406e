# SPDX-License-Identifier: GPL-3.0-or-later
"""More detail on an object's own shape."""

from . import engine, schema_ui, views

VIEW_SIZE_PX = 640
_MORE = 2  # times as many triangles


def refined(context, mesh, picture, recipe, name):
    """Plan: the mesh pulled towards its picture, if there is one, and held by what is seen of it from around."""
    posed = views.rendered(mesh, VIEW_SIZE_PX)
    recipe = dict(recipe, task="refine")
    return (yield context.start(mesh=mesh.to_native(), picture=picture, views=posed, recipe=recipe, name=name))


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

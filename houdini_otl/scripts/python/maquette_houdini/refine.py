# SPDX-License-Identifier: MIT OR Apache-2.0
"""Requests for the mesh at the input, one function for each entry of the Refine menu.

Each takes the settings and the geometry.Source at the input and returns the kind of the request and its arguments.
"""

import json

import hou

from . import engine, recipe, request


def retexture(settings, source):
    """A new texture, from posed pictures or from the one picture as the front; the input stays as it is."""
    if not settings.views and not settings.picture:
        raise hou.NodeError(
            "Retexture needs a picture: choose one of the front of the mesh in Picture, or a folder of pictures from known "
            "sides in Views Folder."
        )
    if source.has_larger_polygons and not source.has_uvs:
        raise hou.NodeError(
            "The mesh at the input has no uv attribute, and polygons of more than three sides, which unwrapping would cut "
            "apart. Put a UV Flatten or a Divide SOP before this node."
        )
    arguments = {"mesh": source.mesh, "recipe": {**settings.recipe, "task": "texture"}}
    if settings.views:
        arguments["views"] = request.existing_views(settings.views)
    else:
        arguments["picture"] = request.existing_file(settings.picture, "Picture")
    arguments["name"] = source.name or request.stem(settings.views or settings.picture)
    return "texture", arguments


def more_detail(settings, source):
    """The mesh at the input pulled towards its picture, where it stands, at a preset finer than the one that made it."""
    picture, views = settings.picture or (source.picture if not settings.views else ""), settings.views
    if not picture and not views:
        raise hou.NodeError(
            "More Detail needs the picture of the object, which the input does not name. Choose it in Picture."
        )
    arguments = request.new_shape(settings._replace(picture=picture, views=views))
    arguments["mesh"] = source.mesh
    arguments["recipe"].update(task="refine", preset=finer_preset(settings.recipe["preset"], source.recipe))
    return "shape", arguments


def finer_preset(chosen, made_with):
    """The chosen preset, or the next after that of the recipe (JSON) that made the input, if this one is finer."""
    presets = list(recipe.choices(engine.library().recipe_schema()["properties"]["preset"]))
    try:
        before = presets.index(json.loads(made_with)["preset"])
    except (ValueError, KeyError, TypeError):
        return chosen
    return presets[max(presets.index(chosen), min(before + 1, len(presets) - 1))]


MODES = {"retexture": retexture, "moredetail": more_detail}

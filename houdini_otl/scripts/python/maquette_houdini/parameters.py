# SPDX-License-Identifier: MIT OR Apache-2.0
"""The node's parameters as settings. Reads only: a node must not set parameters while it cooks."""

import collections

from . import recipe

Settings = collections.namedtuple(
    "Settings", "picture views recipe size ground refine output sdf_resolution folder material autocook"
)


def read(node, schema):
    """All parameters of the node. `recipe` is partial: the preset, and what the artist decided."""
    return Settings(
        picture=node.evalParm("picture").strip(),
        views=node.evalParm("views").strip(),
        recipe=read_recipe(node, schema),
        size=node.evalParm("size"),
        ground=bool(node.evalParm("ground")),
        refine=node.parm("refine").evalAsString(),
        output=node.parm("output").evalAsString(),
        sdf_resolution=node.evalParm("sdfresolution"),
        folder=node.evalParm("folder").strip(),
        material=material_path(node.parm("material")),
        autocook=bool(node.evalParm("autocook")),
    )


def material_path(parm):
    """The full path, where the parameter has one that is relative to the node; other paths, as of USD, as they are."""
    material = parm.evalAsNode()
    return material.path() if material is not None else parm.evalAsString().strip()


def read_recipe(node, schema):
    partial = {}
    for path, part in recipe.settings(schema).items():
        parm, switch = node.parm(recipe.parameter(path)), node.parm(recipe.switch(path))
        # A library that is newer than the asset has settings without parameters.
        if parm is None or (switch is not None and not switch.eval()):
            continue
        kind = recipe.kind(path, part)
        value = parm.evalAsString() if kind == "menu" else parm.eval()
        recipe.put(partial, path, bool(value) if kind == "toggle" else value)
    return partial

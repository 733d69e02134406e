# SPDX-License-Identifier: MIT OR Apache-2.0
"""Recipe settings and the parameters that stand for them. Knows the recipe's JSON Schema, and no Houdini.

A setting is named by its path, as bake.texture_size. Its parameter is bake_texture_size; where the setting may follow the
preset, the switch use_bake_texture_size says whether the parameter counts.
"""

# The request says what the task is.
SET_BY_THE_NODE = ("task",)


def settings(schema, path=""):
    """Every setting of the recipe by its path, with its part of the schema."""
    found = {}
    for key, part in schema["properties"].items():
        here = path + key
        if "properties" in part:
            found.update(settings(part, here + "."))
        else:
            found[here] = part
    return found


def parameter(path):
    return path.replace(".", "_")


def switch(path):
    return "use_" + parameter(path)


def choices(schema):
    """Values of a setting that is one of several, each with its description; None for other settings."""
    if "oneOf" in schema and all("const" in choice for choice in schema["oneOf"]):
        return {choice["const"]: choice.get("description", "") for choice in schema["oneOf"]}
    if "enum" in schema:
        return {value: "" for value in schema["enum"]}
    return None


def kind(path, schema):
    """The type of a setting's parameter: "menu", "toggle", "integer", "float" or "string"."""
    if choices(schema):
        return "menu"
    named = schema.get("type")
    named = [one for one in named if one != "null"] if isinstance(named, list) else [named]
    kinds = {"boolean": "toggle", "integer": "integer", "number": "float", "string": "string"}
    if len(named) != 1 or named[0] not in kinds:
        raise ValueError("%s has no parameter type for the schema %s; extend maquette_houdini/recipe.py" % (path, schema))
    return kinds[named[0]]


def label(key):
    """texture_size -> Texture Size, size_px -> Size (Pixels)."""
    for suffix, unit in (("_px", " (Pixels)"), ("_degrees", " (Degrees)")):
        if key.endswith(suffix):
            return label(key[: -len(suffix)]) + unit
    return " ".join(word.capitalize() for word in key.split("_"))


def put(partial, path, value):
    """Sets one setting of a partial recipe."""
    *sections, key = path.split(".")
    for section in sections:
        partial = partial.setdefault(section, {})
    partial[key] = value

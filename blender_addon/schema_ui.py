# SPDX-License-Identifier: GPL-3.0-or-later
"""From the recipe's JSON Schema to Blender properties: what the engine can be told, Blender shows, without a list here.

A setting at the path `bake.texture_size` becomes the property `bake_texture_size`, in the sidebar and in every operator
that starts a job.
"""

import json

from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from . import engine

# Blender's integers have 32 bits.
_LARGEST_INT = 2**31 - 1

# Decided by what an operator does, not by the artist.
_HIDDEN = {"task"}


class Setting:
    """One value of the recipe: its path, and its description in the schema."""

    def __init__(self, path, schema):
        self.path, self.schema = path, schema
        self.name = "_".join(path)
        label = path[-1]
        for ending, unit in (("_px", " (px)"), ("_degrees", " (°)")):
            if label.endswith(ending):
                label = label[: -len(ending)] + unit
        self.label = label.replace("_", " ").title().replace("(Px)", "(px)")
        self.section = path[0] if len(path) > 1 else ""
        self.choices = [(c["const"], c.get("description", "")) for c in schema.get("oneOf", []) if "const" in c]

    @property
    def kind(self):
        if self.choices:
            return "enum"
        kind = self.schema.get("type")
        return kind if kind in {"integer", "number", "boolean", "string"} else None

    def property(self, **accessors):
        """The bpy property. With get and set it is a window on a recipe, else it has a value of its own."""
        schema = self.schema
        about = {
            "name": self.label,
            "description": schema.get("description", "").rstrip("."),
            "options": {"SKIP_SAVE"},
        }
        about.update(accessors)
        default = schema.get("default")
        own = not accessors and default is not None
        if self.kind == "enum":
            items = [(c, c.replace("_", " ").title(), d.rstrip("."), i) for i, (c, d) in enumerate(self.choices)]
            if own:
                about["default"] = default
            return EnumProperty(items=items, **about)
        if self.kind == "integer":
            about["min"] = int(max(schema.get("minimum", -_LARGEST_INT), -_LARGEST_INT))
            about["max"] = int(min(schema.get("maximum", _LARGEST_INT), _LARGEST_INT))
            if own:
                about["default"] = int(default)
            return IntProperty(**about)
        if self.kind == "number":
            if "minimum" in schema:
                about["min"] = schema["minimum"]
            if "maximum" in schema:
                about["max"] = schema["maximum"]
            if own:
                about["default"] = default
            return FloatProperty(precision=4, **about)
        if self.kind == "boolean":
            if own:
                about["default"] = default
            return BoolProperty(**about)
        if own:
            about["default"] = default
        return StringProperty(**about)

    def from_blender(self, value):
        """A property's value as the recipe writes it."""
        if self.kind == "enum" and isinstance(value, int):
            return self.choices[value][0]
        if self.kind == "number":
            return float("%.6g" % value)  # Blender's floats have 32 bits
        return value

    def to_blender(self, value):
        """A recipe's value as get() of a property must return it."""
        if self.kind == "enum":
            names = [name for name, _ in self.choices]
            return names.index(value) if value in names else 0
        if self.kind == "integer":
            return max(-_LARGEST_INT, min(int(value), _LARGEST_INT))
        return value


def _walk(schema, path=()):
    for key, value in schema.get("properties", {}).items():
        if value.get("type") == "object" and "properties" in value:
            yield from _walk(value, path + (key,))
        elif key not in _HIDDEN:
            setting = Setting(path + (key,), value)
            if setting.kind:
                yield setting


def settings():
    """Every setting in the order of the schema."""
    return list(_walk(engine.schema()))


def sections():
    """(key, description) of every section of the recipe."""
    return [(k, v.get("description", "")) for k, v in engine.schema()["properties"].items() if "properties" in v]


def look_up(recipe, path):
    """The value at a path of nested dicts; None when it is not there."""
    for key in path:
        if not isinstance(recipe, dict) or key not in recipe:
            return None
        recipe = recipe[key]
    return recipe


def put(recipe, path, value):
    """Sets the value at a path, making the dicts on the way."""
    for key in path[:-1]:
        recipe = recipe.setdefault(key, {})
    recipe[path[-1]] = value


def merged(recipe, changes):
    """`changes` laid over `recipe`, both nested dicts that stay as they are."""
    result = dict(recipe)
    for key, value in changes.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return result


def window_annotations(attribute):
    """Properties that read and write the recipe text in `self.<attribute>`, showing the preset's value where it is silent."""

    def accessors(setting):
        def get(group):
            recipe = engine.parsed(getattr(group, attribute))
            value = look_up(recipe, setting.path)
            if value is None:
                value = look_up(engine.preset_values(recipe.get("preset", "")), setting.path)
            return setting.to_blender(value)

        def set_value(group, value):
            recipe = json.loads(json.dumps(engine.parsed(getattr(group, attribute))))
            put(recipe, setting.path, setting.from_blender(value))
            setattr(group, attribute, json.dumps(recipe))

        return {"get": get, "set": set_value}

    return {s.name: s.property(**accessors(s)) for s in settings()}


def operator_annotations():
    """The same settings as an operator's own properties, for scripts."""
    return {s.name: s.property() for s in settings()}


def given_settings(operator):
    """The settings that a caller set on an operator, as a partial recipe."""
    recipe = {}
    for setting in settings():
        if operator.properties.is_property_set(setting.name):
            put(recipe, setting.path, setting.from_blender(getattr(operator, setting.name)))
    return recipe

"""Parameters and the recipe: each setting has one, and what the artist sets is what the library gets."""

import ast
import os
import unittest

from support import ASSET, Case, QUICK, ROOT, engine, hda, hou

import make_dialog
from maquette_houdini import parameters, recipe


class Schema(unittest.TestCase):
    def setUp(self):
        self.schema = engine.library().recipe_schema()
        self.settings = recipe.settings(self.schema)
        self.parms = hda.Library(ASSET).dialog().parms

    def test_the_dialog_script_is_the_one_that_the_schema_gives(self):
        with open(make_dialog.DIALOG_SCRIPT, encoding="utf-8") as file:
            self.assertEqual(file.read(), make_dialog.dialog_script(self.schema), "run: python3 houdini_otl/make_dialog.py")

    def test_every_setting_has_a_parameter_of_its_type_and_range(self):
        for path, schema in self.settings.items():
            if path in recipe.SET_BY_THE_NODE:
                self.assertNotIn(recipe.parameter(path), self.parms)
                continue
            with self.subTest(path):
                parm = self.parms[recipe.parameter(path)]
                if recipe.choices(schema):
                    self.assertEqual(list(parm.menu), list(recipe.choices(schema)))
                    self.assertEqual(list(parm.menu)[int(parm.default)], schema["default"])
                elif "minimum" in schema:
                    self.assertEqual(parm.limits[0], schema["minimum"])
                    self.assertEqual(parm.limits[1], min(schema["maximum"], 2**31 - 1 if parm.type == "integer" else 1e300))
                    self.assertEqual(float(parm.default), schema["default"])

    def test_every_parameter_of_the_recipe_is_a_setting(self):
        known = {recipe.parameter(path) for path in self.settings} | {recipe.switch(path) for path in self.settings}
        in_advanced = {name for name, parm in self.parms.items() if "fd_advanced" in parm.folders}
        self.assertLessEqual(in_advanced, known)
        self.assertLessEqual({name for name in self.parms if name.startswith("use_")}, known)

    def test_what_presets_decide_can_follow_the_preset(self):
        resolve = engine.library().resolve_recipe
        presets = [flat(resolve({"preset": preset})) for preset in recipe.choices(self.settings["preset"])]
        for path in self.settings:
            if path != "preset" and len({repr(preset[path]) for preset in presets}) > 1:
                self.assertIn(recipe.switch(path), self.parms)

    def test_kinds_that_are_not_known_are_refused(self):
        for schema in ({"type": "array"}, {}, {"type": ["string", "integer"]}):
            with self.assertRaisesRegex(ValueError, "some.setting"):
                recipe.kind("some.setting", schema)
        self.assertEqual(recipe.kind("a.b", {"type": ["string", "null"]}), "string")

    def test_both_fronts_show_the_same_settings_first_and_hide_the_same(self):
        folder = os.path.join(ROOT, "blender_addon")
        if not os.path.isfile(os.path.join(folder, "panels.py")):
            self.skipTest("needs the Blender add-on")
        panels, schema_ui = (constants(os.path.join(folder, name)) for name in ("panels.py", "schema_ui.py"))
        first = {".".join(path) for path in panels["_FIRST"] + panels["_MAIN"]}
        self.assertEqual(set(make_dialog.MAIN), first)
        self.assertEqual(set(recipe.SET_BY_THE_NODE), schema_ui["_HIDDEN"])


class Reading(Case):
    def read(self, node):
        return parameters.read(node, engine.library().recipe_schema())

    def test_a_fresh_node_decides_nothing_but_what_has_no_switch(self):
        node = hou.SopNode("/obj/geo/fresh", self.asset)
        settings = self.read(node)
        expected = {"preset": "standard", "seed": 0, "segment": {"background": "auto"}, "detail": {"symmetry": "auto"}}
        self.assertEqual(settings.recipe, expected)
        self.assertEqual(engine.library().resolve_recipe(settings.recipe), engine.library().resolve_recipe())
        self.assertEqual(settings.folder, os.path.join(self.hip, "maquette"))
        self.assertEqual((settings.size, settings.ground, settings.autocook), (1.0, True, False))

    def test_what_the_artist_sets_is_what_the_library_gets(self):
        node = self.node(seed=7, segment_background="border")
        resolved = flat(engine.library().resolve_recipe(self.read(node).recipe))
        for path, value in {**QUICK, "preset": "draft", "seed": 7, "segment.background": "border"}.items():
            self.assertEqual(resolved[path], value, path)

    def test_every_switch_reaches_the_recipe(self):
        node = hou.SopNode("/obj/geo/all", self.asset)
        for path in recipe.settings(engine.library().recipe_schema()):
            if node.parm(recipe.switch(path)):
                node.parm(recipe.switch(path)).set(1)
        given = flat(self.read(node).recipe)
        self.assertEqual(set(given), set(recipe.settings(engine.library().recipe_schema())) - set(recipe.SET_BY_THE_NODE))
        engine.library().resolve_recipe(self.read(node).recipe)

    def test_the_preset_fills_what_is_switched_off(self):
        node = self.node(quick=False, preset="fine")
        fine = engine.library().resolve_recipe({"preset": "fine"})
        self.assertEqual(engine.library().resolve_recipe(self.read(node).recipe), fine)
        node.parm("finish_triangles").set(5)
        self.assertEqual(engine.library().resolve_recipe(self.read(node).recipe), fine)


def constants(path):
    """The constants of a Python file, without running it."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    found = {}
    for one in tree.body:
        if isinstance(one, ast.Assign):
            try:
                found[one.targets[0].id] = ast.literal_eval(one.value)
            except (ValueError, AttributeError):
                pass
    return found


def flat(recipe, path=""):
    found = {}
    for key, value in recipe.items():
        found.update(flat(value, path + key + ".") if isinstance(value, dict) else {path + key: value})
    return found


if __name__ == "__main__":
    unittest.main()

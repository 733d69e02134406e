"""The text of the asset, as Houdini would read it, and the files around it."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

from support import ASSET, HOUDINI, hda, native

NAME = "maquette::image_to_3d::1.0"
TABLE_AND_NAME = "maquette::Sop/image_to_3d::1.0"


class Sections(unittest.TestCase):
    def setUp(self):
        self.asset = hda.Library(ASSET)

    def test_the_library_lists_what_is_there(self):
        self.assertEqual(set(self.asset.sections), set(os.listdir(ASSET)) - {"Sections.list"})
        self.assertEqual(self.asset.sections["INDEX__SECTION"], "INDEX_SECTION")
        self.assertEqual(self.asset.sections[self.asset.asset_file], TABLE_AND_NAME)
        self.assertEqual(os.path.getsize(os.path.join(ASSET, "houdini.hdalibrary")), 0)

    def test_the_asset_lists_what_is_there(self):
        self.assertEqual(set(self.asset.asset_sections), set(os.listdir(self.asset.asset_folder)) - {"Sections.list"})
        needed = {"DialogScript", "PythonCook", "PythonModule", "CreateScript", "TypePropertiesOptions", "ExtraFileOptions"}
        self.assertLessEqual(needed, set(self.asset.asset_sections))

    def test_file_names_are_encoded_section_names(self):
        for sections in (self.asset.sections, self.asset.asset_sections):
            for file, section in sections.items():
                self.assertEqual(file, hda.encoded(section))
        self.assertEqual(hda.encoded(TABLE_AND_NAME), "maquette_8_8Sop_1image__to__3d_8_81.0")

    def test_the_index_names_the_operator(self):
        index = self.asset.index
        self.assertEqual(index["Operator"], NAME)
        self.assertEqual(index["Table"], "Sop")
        self.assertEqual(index["Path"], "oplib:/%s?%s" % (TABLE_AND_NAME, TABLE_AND_NAME))
        self.assertEqual(index["Icon"], "opdef:/%s?IconSVG" % TABLE_AND_NAME)
        self.assertEqual((index["Inputs"], index["Python"], index["Subnet"]), ("0 to 1", "true", "false"))
        self.assertEqual(list(index)[-1], "Modified")

    def test_python_compiles_and_is_marked_as_python(self):
        cook = ast.parse(self.asset.text("PythonCook"))
        module = ast.parse(self.asset.text("PythonModule"))
        self.assertTrue(cook.body and module.body)
        options = json.loads(self.asset.text("ExtraFileOptions"))
        for section in ("PythonCook", "PythonModule"):
            self.assertEqual(options[section + "/IsPython"], {"type": "bool", "value": True})

    def test_options_and_create_script(self):
        for line in self.asset.text("TypePropertiesOptions").splitlines():
            self.assertRegex(line, r"^\w+ := \d;$")
        self.assertIn("# Node $arg1 (%s)" % TABLE_AND_NAME, self.asset.text("CreateScript"))

    def test_tool_and_icon_are_xml(self):
        tool = xml.etree.ElementTree.fromstring(self.asset.text("Tools.shelf")).find("tool")
        self.assertEqual(tool.get("name"), "$HDA_DEFAULT_TOOL")
        ast.parse(tool.find("script").text)
        self.assertTrue(xml.etree.ElementTree.fromstring(self.asset.text("IconSVG")).tag.endswith("svg"))


class DialogScript(unittest.TestCase):
    def setUp(self):
        self.asset = hda.Library(ASSET)
        self.dialog = self.asset.dialog()

    def test_the_header_fits_the_index(self):
        self.assertEqual(self.dialog.header["name"], NAME)
        self.assertEqual(self.dialog.header["label"], self.asset.index["Label"])
        self.assertEqual(list(self.dialog.input_labels), [1])

    def test_every_parameter_is_sound(self):
        for name, parm in self.dialog.parms.items():
            with self.subTest(name):
                self.assertRegex(name, r"^[a-z_][a-z0-9_]*$")
                self.assertTrue(parm.fields.get("help"), "has no help")
                self.assertNotIn("`", self.asset.text("DialogScript"))
                if parm.menu:
                    self.assertEqual(parm.type, "ordinal")
                    self.assertLess(int(parm.default), len(parm.menu))
                if parm.type in ("integer", "float"):
                    low, high = parm.limits
                    self.assertLessEqual(low, float(parm.default))
                    self.assertLessEqual(float(parm.default), high)
                    self.assertLessEqual(high, 2**31 - 1)
                if parm.type == "toggle":
                    self.assertIn(parm.default, ("0", "1"))

    def test_conditions_name_parameters_and_values(self):
        for name, parm in self.dialog.parms.items():
            if "disablewhen" in parm.fields:
                match = re.fullmatch(r"\{ (\w+) == (\w+) \}", parm.fields["disablewhen"])
                self.assertTrue(match, name)
                other = self.dialog.parms[match.group(1)]
                self.assertIn(match.group(2), other.menu or ("0", "1"))

    def test_callbacks_are_functions_of_the_module(self):
        (imported,) = [one for one in ast.parse(self.asset.text("PythonModule")).body if isinstance(one, ast.ImportFrom)]
        names = {alias.name for alias in imported.names}
        path = os.path.join(HOUDINI, "scripts", "python", *imported.module.split(".")) + ".py"
        with open(path, encoding="utf-8") as file:
            defined = {one.name: one for one in ast.parse(file.read()).body if isinstance(one, ast.FunctionDef)}
        called = set()
        for parm in self.dialog.parms.values():
            if parm.callback:
                self.assertEqual(parm.tags["script_callback_language"], "python")
                match = re.fullmatch(r"kwargs\['node'\]\.hdaModule\(\)\.(\w+)\(kwargs\['node'\]\)", parm.callback)
                self.assertTrue(match, parm.callback)
                called.add(match.group(1))
                self.assertEqual(len(defined[match.group(1)].args.args), 1)
            else:
                self.assertNotEqual(parm.type, "button")
        self.assertEqual(called, names)

    def test_faults_are_found(self):
        text = self.asset.text("DialogScript")
        for broken in (
            text.rstrip()[:-1],
            text + "}",
            text.replace('name    "seed"', 'name    "preset"'),
            text.replace("type    toggle", "type    tuggle", 1),
            text.replace('"Picture"', '"Picture', 1),
            text.replace("joinnext", "join_next", 1),
            text.replace('"fd_output"', '"fd_input"'),
        ):
            self.assertNotEqual(broken, text)
            with self.assertRaises((hda.Fault, KeyError, ValueError, StopIteration)):
                hda.Dialog(broken)


class Package(unittest.TestCase):
    def test_package_file(self):
        with open(os.path.join(HOUDINI, "maquette.json"), encoding="utf-8") as file:
            package = json.load(file)
        (variables,) = package["env"]
        self.assertEqual(package["hpath"], "$MAQUETTE_HOUDINI")
        self.assertEqual(variables["MAQUETTE_HOUDINI"], "$HOUDINI_PACKAGE_PATH/maquette")
        self.assertRegex(package["enable"], r"^houdini_version >= '\d+\.\d+'$")

    def test_the_library_is_found_where_the_package_has_it(self):
        with tempfile.TemporaryDirectory() as folder:
            python = os.path.join(folder, "maquette", "scripts", "python", "maquette_houdini")
            lib = os.path.join(folder, "maquette", "lib")
            os.makedirs(python)
            os.makedirs(lib)
            shutil.copy(native.__file__, python)
            name = {"win32": "maquette.dll", "darwin": "libmaquette.dylib"}.get(sys.platform, "libmaquette.so")
            shutil.copy(native.Library().path, os.path.join(lib, name))
            code = "import native; print(native.Library().path)"
            environment = {name: value for name, value in os.environ.items() if name != "MAQUETTE_LIBRARY"}
            found = subprocess.run(
                [sys.executable, "-c", code], cwd=python, env=environment, capture_output=True, text=True, check=True
            )
            self.assertEqual(os.path.dirname(os.path.realpath(found.stdout.strip())), os.path.realpath(lib))

    def test_shelf(self):
        root = xml.etree.ElementTree.parse(os.path.join(HOUDINI, "toolbar", "maquette.shelf")).getroot()
        tools = {tool.get("name"): tool for tool in root.findall("tool")}
        members = [member.get("name") for member in root.find("toolshelf").findall("memberTool")]
        self.assertEqual(set(members), set(tools))
        for tool in tools.values():
            ast.parse(tool.find("script").text)

    def test_help_page_has_every_parameter_of_the_node(self):
        with open(os.path.join(HOUDINI, "help", "nodes", "sop", "maquette--image_to_3d-1.0.txt"), encoding="utf-8") as file:
            page = file.read()
        for line in ("= Image to 3D =", "#type: node", "#context: sop", "#internal: maquette::image_to_3d"):
            self.assertIn(line + "\n", page)
        dialog = hda.Library(ASSET).dialog()
        for parm in dialog.parms.values():
            if "fd_advanced" not in parm.folders and not parm.name.startswith("use_"):
                self.assertRegex(page, r"(?m)^%s:\n    \S" % re.escape(parm.label))

    def test_python_is_old_enough_for_houdini(self):
        folder = os.path.join(HOUDINI, "scripts", "python", "maquette_houdini")
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    ast.parse(file.read(), feature_version=(3, 9))


if __name__ == "__main__":
    unittest.main()

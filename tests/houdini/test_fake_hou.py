"""The fake hou has no name that the real one lacks, where its published type stubs (types-houdini) are installed; and it
enforces what it is there for."""

import ast
import inspect
import os
import sys
import unittest

from support import HOUDINI, Case, hou


def stubs():
    """The published stubs of hou as a syntax tree, or None."""
    folders = [*sys.path, os.environ.get("MAQUETTE_HOU_STUBS", "")]
    for folder in folders:
        path = os.path.join(folder, "hou-stubs", "__init__.pyi")
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                return ast.parse(file.read())
    return None


class AgainstTheStubs(unittest.TestCase):
    # Helpers of the fake itself.
    OWN = {"Network", "session_state", "use_hip"}

    def setUp(self):
        self.tree = stubs()
        if self.tree is None:
            self.skipTest("needs the type stubs of hou: pip install types-houdini, and its folder in MAQUETTE_HOU_STUBS")
        self.classes = {one.name: one for one in self.tree.body if isinstance(one, ast.ClassDef)}
        self.functions = {one.name for one in self.tree.body if isinstance(one, ast.FunctionDef)}

    def members(self, name):
        found = {}
        for base in [*self.classes[name].bases]:
            if isinstance(base, ast.Name) and base.id in self.classes:
                found.update(self.members(base.id))
        for one in self.classes[name].body:
            if isinstance(one, (ast.FunctionDef, ast.ClassDef)):
                found[one.name] = one
            elif isinstance(one, ast.AnnAssign):
                found[one.target.id] = one
        return found

    def test_classes_and_their_methods(self):
        for name, value in vars(hou).items():
            if not inspect.isclass(value) or name.startswith("_") or name in self.OWN or value.__module__ != hou.__name__:
                continue
            with self.subTest(name):
                self.assertIn(name, self.classes)
                members = self.members(name)
                for method, function in vars(value).items():
                    if method.startswith("_") or not callable(getattr(value, method)):
                        continue
                    self.assertIn(method, members, "%s has no %s" % (name, method))
                    self.check_arguments(function, members[method])

    def check_arguments(self, function, stub):
        if not inspect.isfunction(function) or stub.args.vararg:
            return
        names = {one.arg for one in [*stub.args.args, *stub.args.kwonlyargs]}
        optional = [one for one in inspect.signature(function).parameters.values() if one.default is not one.empty]
        for one in optional:
            self.assertIn(one.name, names, "%s(%s)" % (function.__qualname__, one.name))

    def test_functions(self):
        for name in ("pwd", "node", "selectedNodes", "isUIAvailable"):
            self.assertIn(name, self.functions)

    def test_values(self):
        for name in ("attribType", "attribData", "primType", "numericData", "severityType", "fileChooserMode"):
            members = self.members(name)
            for value in vars(getattr(hou, name)):
                self.assertIn(value, members, name)

    def test_the_asset_names_nothing_else(self):
        known = set(self.classes) | self.functions
        folder = os.path.join(HOUDINI, "scripts", "python", "maquette_houdini")
        for file_name in sorted(os.listdir(folder)):
            if not file_name.endswith(".py"):
                continue
            with open(os.path.join(folder, file_name), encoding="utf-8") as file:
                tree = ast.parse(file.read())
            for one in ast.walk(tree):
                if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id == "hou":
                    self.assertIn(one.attr, known, file_name)
                    self.assertTrue(hasattr(hou, one.attr), "the fake has no hou.%s" % one.attr)


class Rules(Case):
    def test_no_parameter_is_set_in_a_cook(self):
        node = self.node()
        outer = hou.SopNode("/obj/geo/setter", build=lambda output: node.parm("seed").set(1))
        with self.assertRaises(hou.OperationFailed):
            outer.cook()
        self.assertIn("must not set parameters", outer.errors()[0])

    def test_geometry_is_read_only_outside_of_cooks(self):
        node = hou.SopNode("/obj/geo/points", build=lambda output: output.createPoints([(0.0, 0.0, 0.0)]))
        with self.assertRaises(hou.GeometryPermissionError):
            node.geometry().createPoints([(1.0, 0.0, 0.0)])

    def test_attributes_have_class_type_and_size(self):
        def build(output):
            output.createPoints([(0.0, 0.0, 0.0)] * 3)
            output.createPolygons([(0, 1, 2)])
            output.addAttrib(hou.attribType.Point, "uv", (0.0, 0.0, 0.0))
            for wrong in (
                lambda: output.addAttrib(hou.attribType.Vertex, "uv", (0.0, 0.0, 0.0)),
                lambda: output.setVertexFloatAttribValuesFromString("uv", bytes(36)),
                lambda: output.setPointFloatAttribValuesFromString("uv", bytes(24)),
                lambda: output.setGlobalAttribValue("uv", "x"),
                lambda: output.addAttrib(hou.attribType.Point, "N", (0.0, 0.0), transform_as_normal=True),
                lambda: output.createPolygons([(0, 1, 3)]),
            ):
                with self.assertRaises(hou.OperationFailed):
                    wrong()

        hou.SopNode("/obj/geo/attributes", build=build).cook()


if __name__ == "__main__":
    unittest.main()

"""The shelf tool."""

import os
import unittest
import xml.etree.ElementTree

from support import Case, HOUDINI, hou


class Shelf(Case):
    def setUp(self):
        super().setUp()
        root = xml.etree.ElementTree.parse(os.path.join(HOUDINI, "toolbar", "maquette.shelf")).getroot()
        self.script = root.find("tool").find("script").text

    def press(self):
        exec(self.script, {"hou": hou, "kwargs": {}})

    def test_with_nothing_selected_it_asks_for_a_picture(self):
        objects = hou.Network("/obj", [self.asset])
        hou.session_state.chosen_file = self.picture
        self.press()
        (geo,) = objects.made
        (node,) = geo.made
        self.assertEqual((geo.kind, node.parm("picture").eval()), ("geo", self.picture))
        self.assertEqual(node.flags, {"display": True, "render": True, "current": True})

    def test_no_picture_chosen_makes_nothing(self):
        objects = hou.Network("/obj", [self.asset])
        self.press()
        self.assertEqual(objects.made, [])

    def test_behind_the_selected_sop(self):
        geo = hou.Network("/obj/geo", [self.asset])
        source = hou.SopNode("/obj/geo/box1", build=lambda output: None)
        hou.session_state.selected = [source]
        self.press()
        (node,) = geo.made
        self.assertEqual(node.inputs(), (source,))


if __name__ == "__main__":
    unittest.main()

"""The signed distance field as a volume."""

import math
import unittest

from support import Case, engine, hou, volume
from test_refine import WithInput, box

from maquette_houdini import geometry


class Field(Case):
    def test_distances_of_a_box(self):
        node = hou.SopNode("/obj/geo/input", build=box(middle=(0.0, 0.0, 0.0), sides=(1.0, 1.0, 1.0)))
        node.cook()
        mesh, resolution = geometry.read(node.geometry()).mesh, 16
        values = volume.compute(mesh, resolution)
        self.assertEqual(len(values), (resolution + 1) ** 3)
        half = max(mesh.positions)
        for x, y, z in ((8, 8, 8), (0, 8, 8), (16, 4, 11), (2, 3, 14)):
            at = [k / resolution - 0.5 for k in (x, y, z)]
            outside = [max(abs(value) - half, 0.0) for value in at]
            expected = math.hypot(*outside) or max(abs(value) for value in at) - half
            self.assertAlmostEqual(values[(z * (resolution + 1) + y) * (resolution + 1) + x], expected, places=5)

    def test_escape(self):
        node = hou.SopNode("/obj/geo/input", build=box())
        node.cook()
        hou.session_state.interrupt_after = 0
        with self.assertRaises(hou.OperationInterrupted):
            volume.compute(geometry.read(node.geometry()).mesh, 64)

    def test_the_librarys_errors_come_through(self):
        empty = engine.native.Mesh(memoryview(b"").cast("f"), memoryview(b"").cast("I"))
        with self.assertRaises(engine.native.Error):
            volume.compute(empty, 16)


class Output(WithInput):
    def the_volume(self, output):
        (found,) = [prim for prim in output.prims() if prim.type() is hou.primType.Volume]
        self.assertEqual(found.attribValue("name"), "sdf")
        self.assertEqual(found.intrinsicValue("volumevisualmode"), "iso")
        return found

    def test_mesh_and_volume_lie_in_one_place(self):
        node = self.generated(output="both", sdfresolution=24, size=4.0)
        output = node.geometry()
        found = self.the_volume(output)
        self.assertEqual(found.resolution(), (25, 25, 25))
        names = {prim.attribValue("name") for prim in output.prims()}
        self.assertEqual(names, {"ball", "sdf"})
        # At the points of the mesh the distance is nearly none; the middle is inside, the corner outside.
        cell = (found.box.high[0] - found.box.low[0]) / 25
        for position in output._positions[:-1:7]:
            index = [round((p - low) / cell - 0.5) for p, low in zip(position, found.box.low)]
            self.assertLess(abs(found.voxel(index)), 1.5 * cell)
        self.assertLess(found.voxel((12, 12, 12)), -0.2 * 4.0)
        self.assertGreater(found.voxel((0, 0, 0)), 0.1 * 4.0)
        # Voxels are as far apart as their values say: along an axis from outside towards the surface.
        self.assertAlmostEqual(found.voxel((0, 12, 12)) - found.voxel((1, 12, 12)), cell, delta=0.1 * cell)

    def test_volume_alone_shares_the_result_of_the_mesh(self):
        node = self.generated()
        node.parm("output").set("sdf")
        node.cook()
        self.assertEqual(node.errors(), ())
        (only,) = node.geometry().prims()
        self.assertIs(only.type(), hou.primType.Volume)
        self.assertTrue(node.geometry().stringAttribValue("maquette_basecolor"))

    def test_volume_of_a_mesh_at_the_input(self):
        _, node = self.refining(box(), picture="", views=self.views(), output="both", sdfresolution=16)
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        found = self.the_volume(node.geometry())
        self.assertEqual(len(node.geometry().prims()), 13)
        middle = [(low + high) / 2 for low, high in zip(found.box.low, found.box.high)]
        for at, expected in zip(middle, (3.0, 5.0, -2.0)):
            self.assertAlmostEqual(at, expected, places=5)
        self.assertAlmostEqual(found.voxel((8, 8, 8)), -0.5, places=4)

    def test_fields_are_kept(self):
        node = self.generated(output="sdf", sdfresolution=32)
        known = dict(volume._kept)
        node.cook(force=True)
        self.assertEqual([id(value) for value in volume._kept.values()], [id(value) for value in known.values()])


if __name__ == "__main__":
    unittest.main()

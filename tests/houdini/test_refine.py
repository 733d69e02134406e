"""A mesh at the input: what is read from it, retexture and more detail."""

import array
import json
import os
import unittest

from support import Case, engine, hou, jobs_started, write_png
from test_cook import extent

from maquette_houdini import geometry, parameters, refine, request, views


def box(middle=(3.0, 5.0, -2.0), sides=(2.0, 4.0, 1.0), triangles=True, with_uvs=None, extra=None):
    """Builds a closed box, clockwise seen from outside as Houdini has it."""

    def build(output):
        corners = [
            tuple(m + s * (0.5 if sign else -0.5) for m, s, sign in zip(middle, sides, (k & 1, k & 2, k & 4)))
            for k in range(8)
        ]
        output.createPoints(corners)
        quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        if triangles:
            output.createPolygons([piece for a, b, c, d in quads for piece in ((a, b, c), (a, c, d))])
        else:
            output.createPolygons(quads)
        if with_uvs == "vertex":
            output.addAttrib(hou.attribType.Vertex, "uv", (0.0, 0.0, 0.0))
            count = sum(prim.numVertices() for prim in output.prims())
            values = array.array("f", [value for k in range(count) for value in (k / count, 1 - k / count, 0.0)])
            output.setVertexFloatAttribValuesFromString("uv", values.tobytes())
        elif with_uvs == "point":
            output.addAttrib(hou.attribType.Point, "uv", (0.0, 0.0))
            values = array.array("f", [value for k in range(8) for value in (k / 8, k / 16)])
            output.setPointFloatAttribValuesFromString("uv", values.tobytes())
        if extra:
            extra(output)

    return build


def built(build):
    node = hou.SopNode("/obj/geo/input", build=build)
    node.cook()
    return node.geometry()


def signed_volume(mesh):
    """Positive where triangles are counter-clockwise seen from outside."""
    points = [mesh.positions[k : k + 3] for k in range(0, len(mesh.positions), 3)]
    total = 0.0
    for k in range(0, len(mesh.triangles), 3):
        a, b, c = (points[corner] for corner in mesh.triangles[k : k + 3])
        total += sum(a[i] * (b[i - 2] * c[i - 1] - b[i - 1] * c[i - 2]) for i in range(3)) / 6
    return total


class Reading(Case):
    def test_the_library_gets_the_mesh_centred_scaled_and_turned_round(self):
        for triangles in (True, False):
            source = geometry.read(built(box(triangles=triangles)))
            self.assertEqual((source.mesh.vertex_count, source.mesh.triangle_count), (8, 12))
            self.assertEqual(source.has_larger_polygons, not triangles)
            self.assertEqual((list(source.middle), source.longest_side), ([3.0, 5.0, -2.0], 4.0))
            radius = max(sum(v * v for v in source.mesh.positions[k : k + 3]) ** 0.5 for k in range(0, 24, 3))
            self.assertAlmostEqual(radius, 0.48, places=6)
            self.assertGreater(signed_volume(source.mesh), 0.0)

    def test_texture_coordinates_go_with_their_corners(self):
        for triangles in (True, False):
            output = built(box(triangles=triangles, with_uvs="vertex"))
            source = geometry.read(output)
            at_vertex = array.array("f", output.vertexFloatAttribValuesAsString("uv"))
            # Each pair of the mesh belongs to one vertex of the input, which lies at the same point.
            owner = [point for prim in output.prims() for point in prim._points]
            where = {(at_vertex[3 * k], at_vertex[3 * k + 1]): point for k, point in enumerate(owner)}
            for corner, point in enumerate(source.mesh.triangles):
                self.assertEqual(where[tuple(source.mesh.corner_uvs[2 * corner : 2 * corner + 2])], point)

    def test_texture_coordinates_of_points(self):
        source = geometry.read(built(box(with_uvs="point")))
        for corner, point in enumerate(source.mesh.triangles):
            self.assertEqual(list(source.mesh.corner_uvs[2 * corner : 2 * corner + 2]), [point / 8, point / 16])

    def test_escape_while_it_is_read(self):
        output = built(box())
        hou.session_state.interrupt_after = 0
        with self.assertRaises(hou.OperationInterrupted):
            geometry.read(output)

    def test_what_cannot_be_read_is_named(self):
        def open_curve(output):
            output.createPolygons([(0, 1, 2)], is_closed=False)

        def volume(output):
            output.createVolume(2, 2, 2)

        nan, one_place = float("nan"), (1.0, 1.0, 1.0)
        cases = [
            (lambda output: None, "no primitives"),
            (box(extra=open_curve), "Primitive 12"),
            (box(extra=volume), "Primitive 12"),
            (box(middle=(nan, 0.0, 0.0)), "no finite positions"),
            (lambda output: (output.createPoints([one_place] * 3), output.createPolygons([(0, 1, 2)])), "in one place"),
        ]
        for build, message in cases:
            with self.assertRaisesRegex(hou.NodeError, message):
                geometry.read(built(build))


class WithInput(Case):
    def refining(self, build, **parms):
        source = hou.SopNode("/obj/geo/input", build=build)
        node = self.node(**parms)
        node.setInput(0, source)
        return source, node

    def views(self, colour=(200, 120, 60)):
        folder = os.path.join(self.hip, "views")
        os.makedirs(folder, exist_ok=True)
        for index in range(6):
            write_png(os.path.join(folder, "%d_albedo.png" % index), colour=colour)
        return folder


class Retexture(WithInput):
    def test_the_input_stays_and_its_texture_is_new(self):
        def tagged(output):
            output.addAttrib(hou.attribType.Prim, "piece", 7)
            output.addAttrib(hou.attribType.Global, "maquette_name", "")
            output.setGlobalAttribValue("maquette_name", "crate")

        source, node = self.refining(box(with_uvs="vertex", extra=tagged), picture="", views=self.views())
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        before, after = source.geometry(), node.geometry()
        self.assertEqual(after._positions, before._positions)
        self.assertEqual([prim._points for prim in after.prims()], [prim._points for prim in before.prims()])
        self.assertEqual(after.vertexFloatAttribValuesAsString("uv"), before.vertexFloatAttribValuesAsString("uv"))
        self.assertEqual({prim.attribValue("piece") for prim in after.prims()}, {7})
        self.assertIsNone(after.findPointAttrib("N"))
        path = after.stringAttribValue("maquette_basecolor")
        self.assertTrue(os.path.basename(path).startswith("crate_") and os.path.isfile(path))
        self.assertEqual(json.loads(after.stringAttribValue("maquette_recipe"))["task"], "texture")

    def test_other_pictures_are_another_texture(self):
        _, node = self.refining(box(), picture="", views=self.views(), autocook=1)
        first = node.geometry().stringAttribValue("maquette_basecolor")
        self.views(colour=(30, 60, 220))
        node.cook(force=True)
        second = node.geometry().stringAttribValue("maquette_basecolor")
        self.assertNotEqual(first, second)

    def test_a_mesh_of_triangles_without_uvs_gets_some(self):
        _, node = self.refining(box(), picture="", views=self.views())
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        uvs = array.array("f", node.geometry().vertexFloatAttribValuesAsString("uv"))
        area = 0.0
        for k in range(0, len(uvs), 9):
            (ax, ay), (bx, by), (cx, cy) = ((uvs[k + 3 * i], uvs[k + 3 * i + 1]) for i in range(3))
            area += abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2
        self.assertGreater(area, 0.1)

    def test_the_one_picture_is_the_front(self):
        _, node = self.refining(box())
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        self.assertEqual(node.geometry().stringAttribValue("maquette_picture"), self.picture)

    def test_what_is_missing_is_named(self):
        _, node = self.refining(box(), picture="")
        self.assertIn("Views Folder", self.error_of(node))
        _, node = self.refining(box(triangles=False), views=self.views())
        self.assertIn("UV Flatten or a Divide", self.error_of(node))
        _, node = self.refining(box(triangles=False, with_uvs="vertex"), picture="", views=self.views(), autocook=1)
        node.cook()
        self.assertEqual(node.errors(), ())

    def test_a_changed_input_is_another_result(self):
        source, node = self.refining(box(), picture="", views=self.views(), autocook=1)
        with jobs_started() as jobs:
            node.cook()
            source._build, source._dirty = box(middle=(0.0, 0.0, 0.0)), True
            node.cook()
            self.assertEqual(jobs.count, 1, "a moved mesh is the same mesh to the library")
            source._build, source._dirty = box(sides=(1.0, 4.0, 1.0)), True
            node.cook()
            self.assertEqual(jobs.count, 2)


class EditViews(WithInput):
    def test_views_can_be_painted_over(self):
        node = self.generated()
        kept = node.geometry().stringAttribValue("maquette_views")
        node.parm("editviews").pressButton()
        folder = node.parm("views").eval()
        self.assertEqual(os.path.basename(folder), "ball_views")
        names = sorted(os.listdir(folder))
        self.assertEqual(names, sorted("%d_%s.png" % (k, kind) for k in range(6) for kind in ("albedo", "normal_world")))
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        before = read_bytes(node.geometry().stringAttribValue("maquette_basecolor"))
        # One of them in another colour.
        write_png(os.path.join(folder, "0_albedo.png"), side=64, colour=(10, 240, 10))
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        self.assertNotEqual(read_bytes(node.geometry().stringAttribValue("maquette_basecolor")), before)
        self.assertNotEqual(read_bytes(os.path.join(folder, "0_albedo.png")), read_bytes(os.path.join(kept, "0_albedo.png")))

    def test_saved_views_give_what_the_views_in_memory_give(self):
        job = engine.run({"picture": self.picture, "recipe": self.quick(), "name": "ball"})
        folder = os.path.join(self.hip, "saved")
        self.assertTrue(views.save(folder, job.views()))
        self.assertTrue(views.save(folder, job.views()))
        loaded = engine.run({"views": folder, "recipe": self.quick(), "name": "ball"}).views()
        for given, found in zip(job.views(), loaded):
            self.assertEqual(
                (round(found.azimuth_degrees), round(found.elevation_degrees)),
                (round(given.azimuth_degrees), round(given.elevation_degrees)),
            )
            differences = [abs(a - b) for a, b in zip(given.color.rgba, found.color.rgba)]
            self.assertLessEqual(sum(differences) / len(differences), 0.5)
        self.assertFalse(views.save(os.path.join(self.hip, "other"), job.views()[:3]))
        self.assertFalse([name for name in os.listdir(self.hip) if "partial" in name])

    def quick(self):
        node = self.node()
        return parameters.read_recipe(node, engine.library().recipe_schema())

    def test_a_second_copy_does_not_touch_the_first(self):
        node = self.generated()
        node.parm("editviews").pressButton()
        node.parm("views").set("")
        node.cook()
        node.parm("editviews").pressButton()
        self.assertEqual(os.path.basename(node.parm("views").eval()), "ball_views2")

    def test_without_views_of_its_own_nothing_is_chosen(self):
        node = self.generated()
        node.parm("views").set(self.views())
        node.parm("picture").set("")
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        node.parm("editviews").pressButton()
        self.assertEqual(node.parm("views").eval(), os.path.join(self.hip, "views"))
        self.assertIn("no views to paint over", hou.session_state.status_messages[-1][0])


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


class MoreDetail(WithInput):
    def test_a_finer_shape_where_the_input_stands(self):
        first = self.node("/obj/geo/first", size=3.0, ground=0)
        first.parm("generate").pressButton()

        def moved(output):
            output._copy_of(first.geometry())
            output._positions = [(x + 10.0, y, z) for x, y, z in output._positions]

        _, node = self.refining(moved, picture="", refine="moredetail")
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        recipe = json.loads(node.geometry().stringAttribValue("maquette_recipe"))
        self.assertEqual((recipe["preset"], recipe["task"]), ("standard", "refine"))
        sides = extent(node.geometry())
        self.assertAlmostEqual(max(high - low for low, high in sides), 3.0, places=3)
        self.assertAlmostEqual(sum(sides[0]) / 2, 10.0, delta=0.01)

    def test_presets(self):
        finer = refine.finer_preset
        self.assertEqual(finer("draft", '{"preset": "draft"}'), "standard")
        self.assertEqual(finer("fine", '{"preset": "draft"}'), "fine")
        self.assertEqual(finer("draft", '{"preset": "fine"}'), "fine")
        for unknown in ("", "{", "[]", '{"preset": "none"}', "null"):
            self.assertEqual(finer("draft", unknown), "draft")

    def test_an_input_of_unknown_origin_needs_a_picture(self):
        _, node = self.refining(box(), picture="", refine="moredetail")
        self.assertIn("Choose it in Picture", self.error_of(node))


class Keys(Case):
    def test_everything_that_matters_is_in_the_key(self):
        source = geometry.read(built(box()))
        base = {"name": "a", "recipe": engine.library().resolve_recipe(), "picture": self.picture, "mesh": source.mesh}
        other = geometry.read(built(box(with_uvs="vertex")))
        changed = [{"name": "b"}, {"recipe": engine.library().resolve_recipe({"seed": 1})}, {"mesh": other.mesh}]
        keys = {request.key({**base, **change}) for change in [{}, *changed]}
        self.assertEqual(len(keys), 4)
        self.assertEqual(request.key(dict(base)), request.key(dict(base)))

    def test_names_are_fit_for_files(self):
        for path, name in {
            "/a/b/toad stool.v2.png": "toad_stool.v2",
            "/a/../..": "maquette",
            "/x/.hidden.png": "hidden",
            "/x/%d:*?.png": "d",
            "/x/Käfer.png": "Käfer",
            "/x/views/": "views",
        }.items():
            self.assertEqual(request.stem(path), name)


if __name__ == "__main__":
    unittest.main()

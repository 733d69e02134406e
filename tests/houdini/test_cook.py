"""Cooks of the node with the real library: when it computes, what it gives, how it fails."""

import array
import json
import os
import subprocess
import sys
import threading
import time
import unittest

from support import Case, engine, hou, jobs_started, results, write_png

from maquette_houdini import native


class WhenItComputes(Case):
    def test_nothing_is_computed_before_generate(self):
        node = self.node()
        with jobs_started() as jobs:
            self.assertIn("Press Generate", self.error_of(node))
        self.assertEqual((jobs.count, self.files()), (0, []))

    def test_generate_computes_once(self):
        node = self.node()
        with jobs_started() as jobs:
            node.parm("generate").pressButton()
            node.cook(force=True)
            node.parm("generate").pressButton()
        self.assertEqual((jobs.count, node.errors()), (1, ()))
        self.assertEqual(len(node.geometry().prims()), node.geometry().intrinsicValue("primitivecount"))
        self.assertIsNone(node.cachedUserData("maquette_generate"))

    def test_a_hit_is_instant_from_memory_and_from_disk(self):
        node = self.generated()
        for forget in (False, True):
            if forget:
                results.forget()
            before = time.process_time()
            node.cook(force=True)
            self.assertLess(time.process_time() - before, 0.25)
            self.assertEqual(node.errors(), ())

    def test_a_changed_setting_needs_generate_again_and_back_is_a_hit(self):
        node = self.generated()
        node.parm("seed").set(1)
        self.assertIn("Press Generate", self.error_of(node))
        node.parm("seed").set(0)
        node.cook()
        self.assertEqual(node.errors(), ())

    def test_size_and_ground_compute_nothing(self):
        node = self.generated()
        with jobs_started() as jobs:
            node.parm("size").set(5.0)
            node.parm("ground").set(0)
            node.cook()
        self.assertEqual(jobs.count, 0)
        sides = extent(node.geometry())
        self.assertAlmostEqual(max(high - low for low, high in sides), 5.0, places=4)
        for low, high in sides:
            self.assertAlmostEqual(low + high, 0.0, places=4)

    def test_auto_cook_computes_by_itself(self):
        node = self.node(autocook=1)
        node.cook()
        self.assertEqual(node.errors(), ())

    def test_without_a_user_interface_it_always_computes(self):
        hou.session_state.has_ui = False
        node = self.node()
        node.cook()
        self.assertEqual(node.errors(), ())
        for seed in (1, 2):  # a wedge
            node.parm("seed").set(seed)
            node.cook()
        self.assertEqual(len([name for name in self.files() if name.endswith(".maquette")]), 3)

    def test_another_session_finds_the_result(self):
        first = self.generated()
        results.forget()
        second = self.node("/obj/geo/other")
        with jobs_started() as jobs:
            second.cook()
        self.assertEqual(jobs.count, 0)
        self.assertEqual(second.geometry()._positions, first.geometry()._positions)

    def test_processes_share_a_results_folder(self):
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); from support import *; hou.session_state.has_ui = False;"
            "case = Case(); hou.use_hip(sys.argv[2]); case.asset = hda.Library(ASSET); case.picture = sys.argv[3];"
            "node = case.node(); node.cook(); print(hash(tuple(node.geometry()._positions)))"
        )
        command = [sys.executable, "-c", code, os.path.dirname(os.path.abspath(__file__)), self.hip, self.picture]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        answers = [process.communicate()[0] for process in processes]
        self.assertEqual([process.returncode for process in processes], [0, 0, 0])
        self.assertEqual(len(set(answers)), 1)
        self.assertEqual([os.path.splitext(name)[1] for name in self.files()], [".maquette", ".png", ".png", ""])
        node = self.node()
        node.cook()
        self.assertEqual(node.errors(), ())

    def test_the_content_of_the_picture_counts_not_its_path(self):
        node = self.generated()
        self.assertEqual(node.cooks, 1)
        copy = os.path.join(self.hip, "elsewhere")
        os.mkdir(copy)
        node.parm("picture").set(write_png(os.path.join(copy, "ball.png")))
        node.cook()
        self.assertEqual(node.errors(), ())
        write_png(os.path.join(copy, "ball.png"), colour=(20, 200, 20))
        with self.assertRaises(hou.OperationFailed):
            node.cook(force=True)
        self.assertIn("Press Generate", node.errors()[0])

    def test_same_parameters_same_output_in_any_order(self):
        hou.session_state.has_ui = False
        node = self.node()
        seen = {}
        for seed in (3, 4, 3, 5, 4, 3):
            node.parm("seed").set(seed)
            node.cook()
            content = (tuple(node.geometry()._positions), node.geometry().stringAttribValue("maquette_basecolor"))
            self.assertEqual(seen.setdefault(seed, content), content)

    def test_a_node_cooks_alike_on_other_threads(self):
        hou.session_state.has_ui = False
        node = self.node()
        thread = threading.Thread(target=node.cook)
        thread.start()
        thread.join()
        self.assertEqual(node.errors(), ())


class WhatItGives(Case):
    def test_points_polygons_and_attributes(self):
        node = self.generated(size=2.0)
        geometry = node.geometry()
        self.assertTrue(50 <= len(geometry.prims()) <= 300, len(geometry.prims()))
        normal, uv = geometry.findPointAttrib("N"), geometry.findVertexAttrib("uv")
        self.assertEqual((normal.size(), normal.isTransformedAsNormal()), (3, True))
        self.assertEqual((uv.size(), uv.dataType()), (3, hou.attribData.Float))
        coordinates = array.array("f", geometry.vertexFloatAttribValuesAsString("uv"))
        self.assertTrue(all(0.0 <= value <= 1.0 for value in coordinates))
        self.assertEqual(set(coordinates[2::3]), {0.0})
        self.assertEqual({prim.attribValue("name") for prim in geometry.prims()}, {"ball"})
        self.assertIsNone(geometry.findPrimAttrib("shop_materialpath"))
        sides = extent(geometry)
        self.assertAlmostEqual(max(high - low for low, high in sides), 2.0, places=4)
        self.assertAlmostEqual(sides[1][0], 0.0, places=5)

    def test_polygons_are_clockwise_seen_from_outside(self):
        geometry = self.generated().geometry()
        self.assertLess(volume_of(geometry), 0.0)
        normals = array.array("f", geometry.pointFloatAttribValuesAsString("N"))
        agree = 0
        for prim in geometry.prims():
            a, b, c = (geometry._positions[number] for number in prim._points)
            outside = cross(minus(c, a), minus(b, a))
            agree += sum(outside[k] * normals[prim._points[0] * 3 + k] for k in range(3)) > 0
        self.assertGreater(agree, 0.95 * len(geometry.prims()))

    def test_texture_coordinates_belong_to_their_corners(self):
        node = self.generated()
        geometry, mesh = node.geometry(), next(iter(results._kept.values())).mesh
        coordinates = array.array("f", geometry.vertexFloatAttribValuesAsString("uv"))
        for k, prim in enumerate(geometry.prims()):
            corners = list(mesh.triangles[k * 3 : k * 3 + 3])
            self.assertEqual(prim._points, [corners[0], corners[2], corners[1]])
            for place, point in enumerate(prim._points):
                corner = k * 3 + corners.index(point)
                here = tuple(coordinates[(k * 3 + place) * 3 : (k * 3 + place) * 3 + 2])
                self.assertEqual(here, tuple(mesh.corner_uvs[corner * 2 : corner * 2 + 2]))

    def test_textures_report_and_recipe(self):
        geometry = self.generated(seed=5).geometry()
        for name in ("basecolor", "normalmap"):
            path = geometry.stringAttribValue("maquette_" + name)
            with open(path, "rb") as file:
                self.assertEqual(file.read(4), b"\x89PNG")
            self.assertEqual(os.path.dirname(path), os.path.join(self.hip, "maquette"))
        recipe = json.loads(geometry.stringAttribValue("maquette_recipe"))
        self.assertEqual((recipe["seed"], recipe["task"], recipe["preset"]), (5, "generate", "draft"))
        report = json.loads(geometry.stringAttribValue("maquette_report"))
        self.assertTrue(report["health"]["watertight"])
        self.assertEqual(geometry.stringAttribValue("maquette_picture"), self.picture)

    def test_without_normal_map(self):
        node = self.node()
        self.set_recipe(node, {"bake.normal_map": False})
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        self.assertEqual(node.geometry().stringAttribValue("maquette_normalmap"), "")

    def test_material(self):
        node = self.generated()
        hou.Network("/mat")
        node.parm("creatematerial").pressButton()
        node.cook()
        path = node.parm("material").eval()
        shader = hou.node(path)
        self.assertEqual(shader.kind, "principledshader")
        self.assertEqual(shader.settings["basecolor_texture"], node.geometry().stringAttribValue("maquette_basecolor"))
        for written, full in ((path, path), ("../../../mat/" + shader.name(), path), ("/materials/usd", "/materials/usd")):
            node.parm("material").set(written)
            found = {prim.attribValue("shop_materialpath") for prim in node.geometry().prims()}
            self.assertEqual(found, {full})

    def test_new_seed(self):
        node = self.node()
        seeds = set()
        for _ in range(4):
            node.parm("newseed").pressButton()
            seeds.add(node.parm("seed").eval())
        self.assertGreater(len(seeds), 1)

    def test_warnings_of_the_report_come_after_the_geometry(self):
        write_png(self.picture, alpha=255, colour=(128, 128, 128))
        node = self.node(segment_background="keep")
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        report = json.loads(node.geometry().stringAttribValue("maquette_report"))
        self.assertEqual(bool(report["warnings"]), bool(node.warnings()))
        for warning in report["warnings"]:
            self.assertIn(warning, node.warnings()[0])
        self.assertTrue(node.geometry().prims())


class HowItFails(Case):
    def test_no_picture(self):
        self.assertIn("Choose one in Picture", self.error_of(self.node(picture="")))

    def test_pictures_that_are_not_there_or_broken(self):
        self.assertIn("there is no file", self.error_of(self.node(picture=os.path.join(self.hip, "none.png"))))
        broken = os.path.join(self.hip, "broken.png")
        for content in (b"", b"not a picture", open(self.picture, "rb").read()[:200]):
            with open(broken, "wb") as file:
                file.write(content)
            node = self.node(picture=broken, autocook=1)
            self.assertIn("broken.png", self.error_of(node))
        self.assertEqual(self.files(), [])

    def test_a_folder_in_place_of_a_picture_and_views_that_are_not_there(self):
        self.assertIn("there is no file", self.error_of(self.node(picture=self.hip)))
        self.assertIn("there is no folder", self.error_of(self.node(views=os.path.join(self.hip, "none"))))

    def test_views_folder_without_views(self):
        empty = os.path.join(self.hip, "empty")
        os.mkdir(empty)
        message = self.error_of(self.node(picture="", views=empty, autocook=1))
        self.assertIn("0_albedo.png", message)

    def test_results_folder_that_cannot_be_made(self):
        for folder in (os.path.join(self.picture, "results"), ""):
            node = self.node(folder=folder, autocook=1)
            with jobs_started() as jobs:
                self.assertIn("Results Folder", self.error_of(node))
            self.assertEqual(jobs.count, 0)

    def test_library_that_is_not_there(self):
        given = os.environ.get("MAQUETTE_LIBRARY")
        engine.library.cache_clear()
        os.environ["MAQUETTE_LIBRARY"] = os.path.join(self.hip, "libmaquette.so")
        try:
            self.assertIn("libmaquette.so cannot be loaded", self.error_of(self.node()))
        finally:
            engine.library.cache_clear()
            del os.environ["MAQUETTE_LIBRARY"]
            if given is not None:
                os.environ["MAQUETTE_LIBRARY"] = given

    def test_result_files_that_are_damaged_or_gone(self):
        node = self.generated()
        folder = os.path.join(self.hip, "maquette")
        (archive,) = [name for name in self.files() if name.endswith(".maquette")]
        path = os.path.join(folder, archive)
        with open(path, "rb") as file:
            whole = file.read()
        for content in (b"", whole[: len(whole) // 2], whole[:100] + b"\0" * 50 + whole[150:], b"PK" + whole[2:900]):
            with open(path, "wb") as file:
                file.write(content)
            results.forget()
            with self.assertRaises(hou.OperationFailed):
                node.cook(force=True)
            self.assertIn("Press Generate", node.errors()[0])
        with open(path, "wb") as file:
            file.write(whole)
        node.cook(force=True)
        os.unlink(node.geometry().stringAttribValue("maquette_basecolor"))
        with self.assertRaises(hou.OperationFailed):
            node.cook(force=True)
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        self.assertTrue(os.path.isfile(node.geometry().stringAttribValue("maquette_basecolor")))

    def test_memory_keeps_what_it_has_room_for(self):
        mesh = native.Mesh(*(memoryview(bytes(1000)).cast("f"),) * 4)
        limit, results.KEPT_BYTES = results.KEPT_BYTES, 9000
        try:
            for number in range(5):
                results.keep(str(number), results.Result(mesh, {}, "", {}, {}))
            self.assertEqual(list(results._kept), ["3", "4"])
            results.KEPT_BYTES = 10
            results.keep("5", results.Result(mesh, {}, "", {}, {}))
            self.assertEqual(list(results._kept), ["5"])
        finally:
            results.KEPT_BYTES = limit

    def test_archives_with_wrong_content(self):
        path = os.path.join(self.hip, "wrong.maquette")
        good = dict(positions=memoryview(array.array("f", [0.0] * 9)), triangles=memoryview(array.array("I", [0, 1, 2])))
        good.update(normals=good["positions"], corner_uvs=memoryview(array.array("f", [0.0] * 6)))
        for change in (
            {},
            {"triangles": memoryview(array.array("I", [0, 1, 3]))},
            {"triangles": memoryview(array.array("I", [0, 1]))},
            {"normals": None},
            {"corner_uvs": memoryview(array.array("f", [0.0] * 4))},
        ):
            if os.path.exists(path):
                os.unlink(path)
            results.write(path, results.Result(native.Mesh(**{**good, **change}), {}, "", {}, {}))
            self.assertEqual(results.read(path) is None, bool(change), change)
        self.assertFalse([name for name in os.listdir(self.hip) if name.endswith(".partial")])


class Interrupt(Case):
    def slow(self, **parms):
        node = self.node(quick=False, preset="fine", **parms)
        self.set_recipe(node, {"coarse.iterations": 5000})
        return node

    def test_escape_cancels_at_once_and_leaves_nothing(self):
        node = self.slow()
        hou.session_state.interrupt_after = 6
        before = time.monotonic()
        node.parm("generate").pressButton()
        self.assertLess(time.monotonic() - before, 20.0)
        self.assertEqual(node.errors(), ("Cooking was interrupted",))
        self.assertEqual(self.files(), [])
        fractions = [fraction for _, kind, fraction, _ in hou.session_state.progress if kind == "long"]
        self.assertEqual(fractions, sorted(fractions))

    def test_after_escape_auto_cook_waits_for_generate_or_another_setting(self):
        node = self.slow(autocook=1)
        hou.session_state.interrupt_after = 2
        with self.assertRaises(hou.OperationFailed):
            node.cook()
        hou.session_state.interrupt_after = None
        with jobs_started() as jobs:
            self.assertIn("Cancelled", self.error_of(node))
        self.assertEqual(jobs.count, 0)
        self.set_recipe(node, {"coarse.iterations": 3, "coarse.resolution": 16})
        node.parm("preset").set("draft")
        node.cook()
        self.assertEqual(node.errors(), ())

    def test_progress_names_the_stages(self):
        self.set_recipe(node := self.node(), {"coarse.iterations": 40})
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        stages = {text for _, kind, _, text in hou.session_state.progress if kind == "long"}
        self.assertTrue(stages)


# ---- Geometry ----


def extent(geometry):
    return [(min(axis), max(axis)) for axis in zip(*geometry._positions)]


def minus(a, b):
    return [x - y for x, y in zip(a, b)]


def cross(a, b):
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def volume_of(geometry):
    """Positive where polygons are counter-clockwise seen from outside."""
    total = 0.0
    for prim in geometry.prims():
        a, b, c = (geometry._positions[number] for number in prim._points)
        total += sum(x * y for x, y in zip(a, cross(b, c))) / 6
    return total


if __name__ == "__main__":
    unittest.main()

"""The whole ABI from Python, through the native.py that Blender and Houdini use.

Run by rust/capi/tests/hosts.rs with MAQUETTE_LIBRARY set, and MAQ_ABI_JSON: structs, constants and functions as Rust has
them.
"""

import array
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
import weakref

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BLENDER = os.path.join(ROOT, "blender_addon")
HOUDINI = os.path.join(ROOT, "houdini_otl", "scripts", "python", "maquette_houdini")
sys.path.insert(0, BLENDER)
import native  # noqa: E402

TINY = {
    "preset": "draft",
    "views": {"size_px": 64},
    "coarse": {"resolution": 16, "iterations": 3, "view_size_px": 32},
    "refine": {"iterations": 1, "view_size_px": 32},
    "texture": {"cell": 0.02, "footprint_samples": 1, "iterations": 5},
    "bake": {"texture_size": 64},
    "finish": {"triangles": 300},
}


def ball(side=96):
    rgba = bytearray()
    for row in range(side):
        for column in range(side):
            x, y = (column + 0.5) / side * 2 - 1, 1 - (row + 0.5) / side * 2
            rgba += bytes((int(140 + 100 * y), column * 2 % 256, 90, 255 if x * x + y * y < 0.7 else 0))
    return native.Image(side, side, rgba)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.library = native.Library()

    def context(self, **settings):
        return self.library.context(cache_dir="", **settings)

    def finished(self, **request):
        with self.context() as context:
            job = context.start(**request)
        self.assertTrue(job.wait())
        error = job.error()
        if error:
            raise error
        return job

    def assert_fails(self, status, text, function, *arguments, **named):
        with self.assertRaises(native.Error) as caught:
            function(*arguments, **named)
        self.assertEqual(caught.exception.status, status)
        self.assertIn(text, str(caught.exception))


class Binding(Case):
    def test_both_fronts_have_the_same_file(self):
        with open(os.path.join(BLENDER, "native.py"), "rb") as a, open(os.path.join(HOUDINI, "native.py"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_structs_and_constants_are_those_of_rust(self):
        rust = json.loads(os.environ["MAQ_ABI_JSON"])
        self.assertEqual(set(native.STRUCTS), set(rust["structs"]))
        for name, struct in native.STRUCTS.items():
            self.assertEqual(ctypes.sizeof(struct), rust["structs"][name]["size"], name)
            fields = [
                [field, getattr(struct, field).offset, getattr(struct, field).size] for field, _ in struct._fields_
            ]
            self.assertEqual(fields, rust["structs"][name]["fields"], name)
        for name, value in rust["constants"].items():
            short = name[len("MAQ_") :]
            if hasattr(native, short):
                self.assertEqual(getattr(native, short), value, name)
        for name in (name for name in rust["constants"] if name.startswith(("MAQ_ERROR_", "MAQ_IMAGE_", "MAQ_DEVICE_"))):
            self.assertTrue(hasattr(native, name[len("MAQ_") :]), name)
        self.assertEqual(set(native.FUNCTIONS), set(rust["functions"]))
        for name, (_, arguments) in native.FUNCTIONS.items():
            self.assertEqual(len(arguments), rust["functions"][name], name)

    def test_a_missing_or_foreign_library_is_named(self):
        self.assert_fails(native.ERROR_IO, "/nowhere/libmaquette.so", native.Library, "/nowhere/libmaquette.so")
        self.assert_fails(native.ERROR_IO, "cannot be loaded", native.Library, __file__)


class Library(Case):
    def test_devices(self):
        devices = self.library.devices()
        self.assertEqual(devices[0].kind, native.DEVICE_CPU)
        self.assertTrue(devices[0].name and not devices[0].note and devices[0].memory_bytes > 1 << 28)

    def test_recipes(self):
        defaults = self.library.resolve_recipe()
        self.assertEqual(self.library.resolve_recipe(defaults), defaults)
        fine = self.library.resolve_recipe({"preset": "fine"})
        self.assertGreater(fine["bake"]["texture_size"], defaults["bake"]["texture_size"])
        for group in self.library.recipe_schema()["properties"]:
            self.assertIn(group, defaults)
        wrong = {"bake": {"texure_size": 512}}
        self.assert_fails(native.ERROR_INVALID_ARGUMENT, "did you mean bake.texture_size?", self.library.resolve_recipe, wrong)

    def test_names(self):
        self.assertEqual(self.library.stage_name(native.STAGE_DONE), "done")
        self.assertEqual(self.library.status_name(native.ERROR_IO), "MAQ_ERROR_IO")
        self.assertRegex(self.library.version, r"^\d+\.\d+\.\d+")


class Jobs(Case):
    def test_a_picture_becomes_a_mesh(self):
        with self.context() as context:
            job = context.start(picture=ball(), recipe=TINY, name="ball")
            fraction, previews = 0.0, 0
            while not job.wait(0.002):
                progress = job.progress()
                self.assertGreaterEqual(progress.fraction, fraction)
                self.assertFalse(progress.done and progress.status == native.PENDING)
                fraction = progress.fraction
                preview = job.preview()
                if preview:
                    previews += 1
                    self.assertLess(max(preview.triangles), preview.vertex_count)
        self.assertIsNone(job.error())
        self.assertEqual((job.progress().fraction, job.progress().stage_name), (1.0, "done"))
        mesh = job.mesh()
        self.assertEqual(len(mesh.positions), mesh.vertex_count * 3)
        self.assertEqual(len(mesh.normals), mesh.vertex_count * 3)
        self.assertEqual(len(mesh.corner_uvs), mesh.triangle_count * 6)
        self.assertEqual((mesh.positions.format, mesh.triangles.format), ("f", "I"))
        color = job.image()
        self.assertEqual(len(color.rgba), color.width * color.height * 4)
        self.assertEqual(bytes(color.flipped().flipped().rgba), bytes(color.rgba))
        self.assertEqual(bytes(color.flipped().rgba[: color.width * 4]), bytes(color.rgba[-color.width * 4 :]))
        self.assertIsNotNone(job.image(native.IMAGE_CUTOUT))
        self.assert_fails(native.ERROR_INVALID_ARGUMENT, "kind is 99", job.image, 99)
        self.assertIsInstance(job.report(), dict)
        with tempfile.TemporaryDirectory() as folder:
            job.save(os.path.join(folder, "b\u00e4ll.glb"))
            job.save_image(os.path.join(folder, "ball.png"))
            self.assertEqual(sorted(os.listdir(folder)), ["ball.png", "b\u00e4ll.glb"])
            self.assert_fails(native.ERROR_IO, "use .glb", job.save, os.path.join(folder, "ball.stl"))
            self.assertEqual(len(os.listdir(folder)), 2)
        job.free()
        # Copies stay valid.
        self.assertLess(max(mesh.triangles), mesh.vertex_count)
        self.assert_fails(native.ERROR_INVALID_HANDLE, "it was freed", job.mesh)

    def test_painted_views_texture_the_same_mesh(self):
        first = self.finished(picture=ball(), recipe=TINY)
        mesh, views = first.mesh(), first.views()
        self.assertGreaterEqual(len(views), 1)
        for view in views:
            rgba = bytearray(view.color.rgba)
            rgba[0::4] = b"\xff" * (len(rgba) // 4)
            view.color = native.Image(view.color.width, view.color.height, rgba)
        second = self.finished(mesh=mesh, views=views, recipe=TINY)
        again = second.mesh()
        for name in ("positions", "triangles", "corner_uvs"):
            self.assertEqual(bytes(getattr(again, name)), bytes(getattr(mesh, name)), name)

    def test_a_picture_textures_a_mesh_and_distances_know_its_inside(self):
        first = self.finished(picture=ball(), recipe=TINY).mesh()
        plain = native.Mesh(first.positions, first.triangles, corner_uvs=first.corner_uvs)
        job = self.finished(picture=ball(), mesh=plain, recipe=TINY)
        self.assertEqual(bytes(job.mesh().corner_uvs), bytes(first.corner_uvs))
        self.assertEqual(bytes(job.mesh().positions), bytes(first.positions))
        color = job.image()
        self.assertGreater(len(set(bytes(color.rgba[0::4]))), 20)
        distances = self.library.mesh_sdf(plain, 8)
        self.assertEqual((len(distances), distances.format), (9**3, "f"))
        self.assertTrue(distances[4 * 81 + 4 * 9 + 4] < -0.1 < 0.1 < distances[0])
        self.assertEqual(max(self.library.mesh_sdf(plain, 8, 0.1)), ctypes.c_float(0.1).value)
        self.assert_fails(native.ERROR_INVALID_ARGUMENT, "resolution is 0", self.library.mesh_sdf, plain, 0)
        self.assert_fails(native.ERROR_INVALID_ARGUMENT, "resolution is 257", self.library.mesh_sdf, plain, 257)

    def test_files_go_in(self):
        first = self.finished(picture=os.path.join(ROOT, "examples", "toadstool.png"), recipe=TINY)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "toadstool.glb")
            first.save(path)
            second = self.finished(mesh=path, views=first.views(), recipe=json.dumps(TINY))
            self.assertEqual(second.mesh().triangle_count, first.mesh().triangle_count)
        with self.context() as context:
            job = context.start(picture="/nowhere/photo.png")
        job.wait()
        self.assertEqual(job.error().status, native.ERROR_IO)
        self.assert_fails(native.ERROR_IO, "/nowhere/photo.png", job.mesh)

    def test_cancel(self):
        with self.context() as context:
            first, second = context.start(picture=ball()), context.start(picture=ball())
            second.cancel()
            self.assertTrue(second.wait(0))
            self.assertIsInstance(second.error(), native.Cancelled)
            self.assert_fails(native.PENDING, "has not ended", first.mesh)
            first.cancel()
            self.assertTrue(first.wait(5))
            self.assertRaises(native.Cancelled, first.mesh)

    def test_wrong_arguments_are_named(self):
        with self.context() as context:
            def refused(text, **request):
                self.assert_fails(native.ERROR_INVALID_ARGUMENT, text, context.start, **request)

            refused("picture is 4x4, but has 9 pixels", picture=native.Image(4, 4, bytes(36)))
            refused("did you mean seed?", picture=ball(), recipe={"sed": 1})
            refused("give bytes", picture=native.Image(1, 1, array.array("d", [0])))
            triangle = array.array("I", [0, 1, 2])
            corners = array.array("f", [0, 0, 0, 1, 0, 0, 0, 1, 0])
            refused("give 32-bit floats", mesh=native.Mesh(array.array("d", corners), triangle))
            refused("not a multiple of 12", mesh=native.Mesh(corners[:8], triangle))
            refused("give 32-bit indices", mesh=native.Mesh(corners, array.array("q", [0, 1, 2])))
            refused("mesh.normals has 1 items, but must have 3", mesh=native.Mesh(corners, triangle, normals=corners[:3]))
            refused("names vertices [0, 1, 3]", mesh=native.Mesh(corners, array.array("i", [0, 1, 3])))
            refused("give 1 to 64 views", views=[])
        self.assert_fails(native.ERROR_NO_DEVICE, "no device 9", self.library.context, device_index=9)

    def test_numpy_arrays_go_in_and_out_where_the_host_has_it(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("skipped: numpy is not installed")
        pixels = numpy.frombuffer(ball().rgba, numpy.uint8).reshape(96, 96, 4)
        job = self.finished(picture=native.Image(96, 96, pixels[::-1]), recipe=TINY)
        mesh = job.mesh()
        positions = numpy.frombuffer(mesh.positions, numpy.float32).reshape(-1, 3)
        self.assertTrue(numpy.isfinite(positions).all())
        turned = native.Mesh(positions[:, [0, 1, 2]], numpy.asarray(mesh.triangles), corner_uvs=mesh.corner_uvs)
        again = self.finished(mesh=turned, views=job.views(), recipe=TINY)
        self.assertEqual(bytes(again.mesh().positions), bytes(mesh.positions))

    def test_forgotten_jobs_are_freed(self):
        with self.context() as context:
            job = context.start(picture=ball())
        handle, gone = job._handle, weakref.ref(job)
        del job
        gc.collect()
        self.assertIsNone(gone())
        self.assertEqual(self.library._c.maq_job_poll(handle, None), native.ERROR_INVALID_HANDLE)

    def test_threads_share_a_job(self):
        with self.context() as context:
            job = context.start(picture=ball(), recipe=TINY)
        ends = []
        threads = [threading.Thread(target=lambda: ends.append(job.wait() and job.progress().status)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(ends, [native.OK] * 4)

    @unittest.skipUnless(hasattr(os, "fork"), "skipped: this system has no fork")
    def test_a_forked_child_works_on_its_own(self):
        self.finished(picture=ball(), recipe=TINY)
        with self.context() as context:
            job = context.start(picture=ball())
        child = os.fork()
        if child == 0:
            code = 1
            try:
                self.assert_fails(native.ERROR_INVALID_HANDLE, "before this process forked", job.progress)
                self.finished(picture=ball(), recipe=TINY).mesh()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        self.assertEqual(status, 0)
        job.cancel()
        job.wait()

    def test_the_interpreter_ends_while_a_job_is_at_work(self):
        script = "import sys; sys.path.insert(0, sys.argv[1]); import native; c = native.Library().context(cache_dir=''); "
        script += "j = c.start(picture=native.Image(64, 64, bytes(16 * 64) + b'\\xff' * 240 * 64))"
        done = subprocess.run([sys.executable, "-c", script, BLENDER], capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_log(self):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MAQ_LOG"] = os.path.join(folder, "log.txt")
            try:
                self.finished(picture=ball(), recipe=TINY, name="ball")
            finally:
                del os.environ["MAQ_LOG"]
            with open(os.path.join(folder, "log.txt"), encoding="utf-8") as log:
                lines = log.read().splitlines()
        self.assertIn('job "ball" queued', lines[0])
        self.assertIn("succeeded", lines[-1])
        self.assertTrue(any("coarse" in line for line in lines))


if __name__ == "__main__":
    unittest.main()

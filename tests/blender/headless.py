"""Headless tests of the Blender add-on: python headless.py PACKAGE.zip [TEST ...], with a Python that has bpy, or
blender -b --factory-startup --python headless.py -- PACKAGE.zip, with BLENDER_USER_RESOURCES set to an empty folder.

The package is installed as an artist would: as an extension where Blender has them, else as an add-on, in a folder of
its own. Runs are small, so that the whole takes a minute or two.
"""

import json
import os
import sys
import tempfile
import threading
import time
import unittest

FOLDER = tempfile.TemporaryDirectory()
os.environ.setdefault("BLENDER_USER_RESOURCES", FOLDER.name)
os.environ["XDG_CACHE_HOME"] = os.path.join(FOLDER.name, "cache")  # the engine's
os.environ["HOME"] = FOLDER.name

import bpy  # noqa: E402
import numpy  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIRD = os.path.join(ROOT, "examples", "bird.png")
TOADSTOOL = os.path.join(ROOT, "examples", "toadstool.png")
# The least work that still goes through every stage.
QUICK = {
    "preset": "draft",
    "coarse": {"resolution": 24, "iterations": 8},
    "texture": {"cell": 0.01, "iterations": 20},
    "bake": {"texture_size": 128},
    "finish": {"triangles": 1500},
}
RECIPE = json.dumps(QUICK)


def install(package):
    """Installs and switches the add-on on; its Python package."""
    if hasattr(bpy.ops, "extensions") and bpy.app.version >= (4, 2, 0):
        bpy.ops.preferences.addon_enable(module="bl_pkg")
        bpy.ops.extensions.package_install_files(
            filepath=package, repo="user_default", enable_on_install=True, overwrite=True
        )
        name = "bl_ext.user_default.maquette"
    else:
        bpy.ops.preferences.addon_install(filepath=package, overwrite=True)
        name = "maquette"
        bpy.ops.preferences.addon_enable(module=name)
    if name not in bpy.context.preferences.addons:
        raise SystemExit("the add-on was not installed")
    return sys.modules[name]


def state():
    """What is in the file, to see whether something changed."""
    return {
        kind: sorted(item.name for item in getattr(bpy.data, kind))
        for kind in ("objects", "meshes", "materials", "images", "collections")
    }


def array(items, attribute, width):
    values = numpy.empty(len(items) * width, numpy.float32)
    items.foreach_get(attribute, values)
    return values.reshape(-1, width)


def coordinates(mesh):
    return array(mesh.vertices, "co", 3), array(mesh.uv_layers.active.data, "uv", 2)


def pixels_of(image):
    values = numpy.empty(image.size[0] * image.size[1] * 4, numpy.float32)
    image.pixels.foreach_get(values)
    return values


def base_color(item, slot=0):
    shader = next(n for n in item.material_slots[slot].material.node_tree.nodes if n.type == "BSDF_PRINCIPLED")
    return shader.inputs["Base Color"].links[0].from_node.image


class Case(unittest.TestCase):
    def setUp(self):
        bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)

    def generate(self, **settings):
        settings = {"filepath": BIRD, "recipe": RECIPE, **settings}
        self.assertEqual(bpy.ops.maquette.image_to_3d(**settings), {"FINISHED"})
        return bpy.context.active_object

    def refused(self, pattern, operator, **settings):
        """The operator fails with this message and changes nothing."""
        before = state()
        with self.assertRaisesRegex(RuntimeError, pattern):
            operator(**settings)
        self.assertEqual(state(), before)


class Generate(Case):
    def test_result(self):
        bpy.context.scene.cursor.location = (1, 2, 3)
        item = self.generate(size=3.0, placement="CURSOR")
        self.assertEqual(item.name, "bird")
        self.assertEqual(item.users_collection[0], bpy.context.scene.collection)
        self.assertTrue(item.select_get())
        self.assertEqual(tuple(item.location), (1, 2, 3))
        self.assertEqual(tuple(item.scale), (1, 1, 1))
        mesh = item.data
        self.assertFalse(mesh.validate(verbose=True), "the mesh had to be repaired")
        positions, uvs = coordinates(mesh)
        extent = positions.max(0) - positions.min(0)
        self.assertAlmostEqual(float(extent.max()), 3.0, places=3)
        self.assertAlmostEqual(float(positions[:, 2].min()), 0.0, places=3)  # stands on its origin
        # The bird is taller than wide, and its beak, which the picture shows, points to -Y.
        self.assertEqual(int(extent.argmax()), 2)
        self.assertLessEqual(len(mesh.polygons), 1500)
        self.assertGreater(len(mesh.polygons), 500)
        self.assertTrue(all(polygon.use_smooth for polygon in mesh.polygons))
        self.assertTrue((uvs >= 0).all() and (uvs <= 1).all())
        # Outward: the volume under the surface is positive.
        corners = positions[[list(polygon.vertices) for polygon in mesh.polygons]]
        volume = numpy.einsum("ij,ij->i", corners[:, 0], numpy.cross(corners[:, 1], corners[:, 2])).sum() / 6
        self.assertGreater(volume, 0.1)
        image = base_color(item)
        self.assertEqual(tuple(image.size), (128, 128))
        self.assertIsNotNone(image.packed_file)
        self.assertEqual(image.colorspace_settings.name, "sRGB")
        normal = item.material_slots[0].material.node_tree.nodes["Maquette Normal"].image
        self.assertEqual(normal.colorspace_settings.name, "Non-Color")
        self.assertEqual(json.loads(item["maquette_recipe"])["preset"], "draft")
        self.assertEqual(json.loads(item["maquette_report"])["health"]["triangles"], len(mesh.polygons))
        self.assertEqual(item.maquette.picture.name, "bird.png")

    def test_texture_is_where_the_picture_has_it(self):
        """Seen from where the picture was taken, the object shows it: teal on top, cream on the belly."""
        item = self.generate(recipe=json.dumps({"preset": "draft"}), coarse_iterations=10, bake_texture_size=256)
        mesh = addon("mesh_input").MeshInput(item)
        elevation = json.loads(item["maquette_report"])["input_view"]["elevation_degrees"]
        self.assertTrue(-10 <= elevation <= 45, elevation)
        shown = boxed(addon("raster").draw(mesh, 0.0, elevation, 256)[0])
        image = addon("picture").to_native(bpy.data.images["bird.png"])
        wanted = boxed(numpy.asarray(image.rgba).reshape(image.height, image.width, 4))
        both = (shown[..., 3] > 250) & (wanted[..., 3] > 250)
        self.assertGreater(both.mean(), 0.4)
        difference = numpy.abs(shown - wanted)[both][:, :3].mean()
        self.assertLess(difference, 20)
        upside_down = numpy.abs(shown[::-1] - wanted)[both & both[::-1]][:, :3].mean()
        self.assertGreater(upside_down, 2 * difference)  # the measure can tell

    def test_settings_are_properties(self):
        item = self.generate(seed=7, finish_triangles=800, preset="draft")
        recipe = json.loads(item["maquette_recipe"])
        self.assertEqual((recipe["seed"], recipe["finish"]["triangles"]), (7, 800))
        self.assertLessEqual(len(item.data.polygons), 800)
        used = json.loads(item["maquette_report"])["provenance"]["recipe"]
        self.assertEqual((used["seed"], used["coarse"]["resolution"]), (7, 24))

    def test_same_seed_same_result(self):
        one, other = (coordinates(self.generate(seed=5).data)[0] for _ in range(2))
        self.assertTrue(numpy.array_equal(one, other))

    def test_from_an_image_of_the_file(self):
        """Pixels that are in no file: flipped and given as they are."""
        image = bpy.data.images.load(BIRD)
        copy = bpy.data.images.new("Painted", *image.size, alpha=True)
        copy.pixels.foreach_set(pixels_of(image))
        item = self.generate(filepath="", image="Painted")
        self.assertEqual(item.name, "Painted")
        self.assertEqual(item.maquette.picture, copy)
        other = self.generate()
        (one, _), (two, _) = coordinates(item.data), coordinates(other.data)
        self.assertEqual(len(one), len(two))
        self.assertLess(float(numpy.abs(one - two).max()), 1e-4)

    def test_placement(self):
        self.assertEqual(tuple(self.generate(placement="ORIGIN").location), (0, 0, 0))
        bpy.context.active_object.location = (4, 5, 6)
        bpy.context.view_layer.update()
        self.assertEqual(tuple(self.generate(placement="SELECTED").location), (4, 5, 6))

    def test_save_and_reload(self):
        item = self.generate()
        positions, uvs = coordinates(item.data)
        texture, recipe = pixels_of(base_color(item)), item["maquette_recipe"]
        path = os.path.join(FOLDER.name, "saved.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        item = bpy.data.objects["bird"]
        self.assertTrue(numpy.array_equal(coordinates(item.data)[0], positions))
        self.assertTrue(numpy.array_equal(coordinates(item.data)[1], uvs))
        self.assertTrue(numpy.array_equal(pixels_of(base_color(item)), texture))
        self.assertEqual(item["maquette_recipe"], recipe)
        bpy.context.view_layer.objects.active = item
        self.assertEqual(bpy.ops.maquette.rerun(finish_triangles=700), {"FINISHED"})
        self.assertLessEqual(len(item.data.polygons), 700)

    def test_textures_beside_the_file(self):
        self.refused("not saved yet", bpy.ops.maquette.image_to_3d, filepath=BIRD, recipe=RECIPE, textures="SAVED")
        folder = os.path.join(FOLDER.name, "beside")
        os.makedirs(folder, exist_ok=True)
        bpy.ops.wm.save_as_mainfile(filepath=os.path.join(folder, "scene.blend"))
        image = base_color(self.generate(textures="SAVED"))
        self.assertIsNone(image.packed_file)
        self.assertTrue(image.filepath.startswith("//textures"))
        self.assertTrue(os.path.isfile(bpy.path.abspath(image.filepath)))
        second = base_color(self.generate(textures="SAVED"))
        self.assertNotEqual(second.filepath, image.filepath)


class Errors(Case):
    def test_picture(self):
        generate = bpy.ops.maquette.image_to_3d
        self.refused("no picture yet; choose one", generate)
        self.refused("nowhere.png is not there", generate, filepath="/nowhere.png")
        self.refused("is not a picture", generate, filepath=os.path.join(ROOT, "README.md"))
        self.refused("no image missing", generate, image="missing")
        self.assertEqual(problem_fix().operator, "maquette.open_picture")

    def test_empty_picture(self):
        bpy.data.images.new("Blank", 64, 64, alpha=True).pixels.foreach_set(numpy.full(64 * 64 * 4, 0.5, numpy.float32))
        self.refused("", bpy.ops.maquette.image_to_3d, image="Blank", segment_background="border")
        self.assertEqual(problem_fix().properties, {"name": "segment_background", "value": "keep"})

    def test_recipe(self):
        generate = bpy.ops.maquette.image_to_3d
        self.refused("(?s)sead.*seed", generate, filepath=BIRD, recipe='{"sead": 3}')
        self.assertEqual(problem_fix().operator, "maquette.reset_settings")
        self.refused("not JSON", generate, filepath=BIRD, recipe="{")
        self.refused("not a JSON object", generate, filepath=BIRD, recipe="[]")

    def test_operators_of_the_message_buttons_exist(self):
        remedies = addon("remedies")
        for fix in vars(remedies).values():
            if isinstance(fix, remedies.Fix):
                module, name = fix.operator.split(".")
                self.assertIn(name, dir(getattr(bpy.ops, module)))
        bpy.ops.maquette.set(name="segment_background", value="keep")
        self.assertEqual(bpy.context.scene.maquette.segment_background, "keep")

    def test_cancel(self):
        """Cancelled at many moments: nothing is left, and the answer is quick."""
        job = addon("job")
        for delay in (0.0, 0.1, 0.4, 1.0):
            before, cancelled = state(), []

            def cancel():
                while job_at_work() is None:
                    time.sleep(0.005)
                time.sleep(delay)
                at_work = job_at_work()
                if at_work is not None:
                    at_work.cancel()
                    cancelled.append(time.monotonic())

            thread = threading.Thread(target=cancel)
            thread.start()
            seed = int(delay * 100) + 11  # not from the cache
            recipe = json.dumps({"preset": "standard", "seed": seed, "coarse": {"iterations": 151 + seed}})
            result = bpy.ops.maquette.image_to_3d(filepath=TOADSTOOL, recipe=recipe)
            ended = time.monotonic()
            thread.join()
            self.assertEqual(result, {"CANCELLED"})
            self.assertIsNone(job.last_problem)
            self.assertEqual(state(), before)
            self.assertLess(ended - cancelled[0], 2.0)  # 0.25 s on an idle machine


class Refine(Case):
    def make(self):
        """An object with everything that must survive."""
        item = self.generate()
        item.location, item.rotation_euler, item.scale = (1, 2, 3), (0.1, 0.2, 0.3), (1, 2, 0.5)
        parent = bpy.data.objects.new("parent", None)
        bpy.context.scene.collection.objects.link(parent)
        item.parent = parent
        item.modifiers.new("Bevel", "BEVEL")
        item["note"] = "mine"
        bpy.context.view_layer.update()
        self.kept = (item.as_pointer(), item.name, item.data.name, parent, item.matrix_local.copy())
        return item

    def check_kept(self, item):
        self.assertEqual(
            (item.as_pointer(), item.name, item.data.name, item.parent, item.matrix_local.copy()), self.kept
        )
        self.assertEqual([modifier.type for modifier in item.modifiers], ["BEVEL"])
        self.assertEqual((len(item.material_slots), item["note"]), (1, "mine"))
        self.assertEqual(len(bpy.data.materials), 1)
        self.assertEqual(len(bpy.data.meshes), 1)

    def test_retexture_leaves_the_mesh_alone(self):
        item = self.make()
        positions, uvs = coordinates(item.data)
        mesh, texture = item.data.as_pointer(), base_color(item)
        self.assertEqual(bpy.ops.maquette.retexture(bake_texture_size=256), {"FINISHED"})
        self.check_kept(item)
        self.assertEqual(item.data.as_pointer(), mesh)
        self.assertTrue(numpy.array_equal(coordinates(item.data)[0], positions))
        self.assertTrue(numpy.array_equal(coordinates(item.data)[1], uvs))
        self.assertEqual(tuple(base_color(item).size), (256, 256))
        self.assertNotEqual(base_color(item), texture)

    def test_retexture_of_the_artists_mesh(self):
        bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=12)
        ball = bpy.context.active_object
        positions, uvs = coordinates(ball.data)
        red = bpy.data.materials.new("red")
        ball.data.materials.append(red)
        bpy.data.objects.new("other", bpy.data.meshes.new("other")).data.materials.append(red)
        self.assertEqual(bpy.ops.maquette.retexture(filepath=BIRD, recipe=RECIPE), {"FINISHED"})
        self.assertTrue(numpy.array_equal(coordinates(ball.data)[0], positions))
        self.assertTrue(numpy.array_equal(coordinates(ball.data)[1], uvs))
        self.assertEqual(tuple(base_color(ball).size), (128, 128))
        self.assertEqual(bpy.data.meshes["other"].materials[0], red)  # not painted over
        self.assertNotEqual(ball.material_slots[0].material, red)

    def test_retexture_needs_texture_coordinates(self):
        bpy.ops.mesh.primitive_cube_add()
        cube = bpy.context.active_object
        cube.data.uv_layers.remove(cube.data.uv_layers[0])
        self.refused("no texture coordinates; unwrap it", bpy.ops.maquette.retexture, filepath=BIRD, recipe=RECIPE)
        self.assertEqual(problem_fix().operator, "maquette.unwrap")
        self.assertEqual(bpy.ops.maquette.unwrap(), {"FINISHED"})
        self.assertEqual(bpy.ops.maquette.retexture(filepath=BIRD, recipe=RECIPE), {"FINISHED"})
        # A mesh of triangles gets the engine's.
        cube.data.uv_layers.remove(cube.data.uv_layers[0])
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.quads_convert_to_tris()
        bpy.ops.object.mode_set(mode="OBJECT")
        self.assertEqual(bpy.ops.maquette.retexture(filepath=BIRD, recipe=RECIPE), {"FINISHED"})
        self.assertGreater(float(coordinates(cube.data)[1].max()), 0.1)

    def test_more_detail(self):
        item = self.make()
        before, _ = coordinates(item.data)
        triangles = len(item.data.polygons)
        settings = {"preset": "draft", "coarse_iterations": 10, "coarse_resolution": 40, "bake_texture_size": 128}
        self.assertEqual(bpy.ops.maquette.more_detail(**settings), {"FINISHED"})
        self.check_kept(item)
        self.assertGreater(len(item.data.polygons), triangles)
        after, _ = coordinates(item.data)
        self.assertLess(float(numpy.abs(after.max(0) - before.max(0)).max()), 0.1)  # of 2 m: the same shape
        self.assertLess(float(numpy.abs(after.min(0) - before.min(0)).max()), 0.1)

    def test_views(self):
        item = self.make()
        self.refused("no views yet", bpy.ops.maquette.use_views)
        self.assertEqual(bpy.ops.maquette.render_views(resolution=160), {"FINISHED"})
        self.assertEqual(len(item.maquette.views), 6)
        positions, uvs = coordinates(item.data)
        for view in item.maquette.views:  # painted magenta
            painted = pixels_of(view.image).reshape(-1, 4)
            painted[:, :3] = (1, 0, 1)
            view.image.pixels.foreach_set(painted.ravel())
        self.assertEqual(bpy.ops.maquette.use_views(change="TEXTURE"), {"FINISHED"})
        self.check_kept(item)
        self.assertTrue(numpy.array_equal(coordinates(item.data)[0], positions))
        self.assertTrue(numpy.array_equal(coordinates(item.data)[1], uvs))
        texture = pixels_of(base_color(item)).reshape(-1, 4)
        self.assertGreater(numpy.percentile(texture[:, 0], 50), 0.9)
        self.assertLess(numpy.percentile(texture[:, 1], 50), 0.1)
        self.assertEqual(bpy.ops.maquette.use_views(change="SHAPE"), {"FINISHED"})
        self.check_kept(item)
        after, _ = coordinates(item.data)
        self.assertLess(float(numpy.abs(after.max(0) - positions.max(0)).max()), 0.15)
        item.maquette.views[0].image = None
        self.refused("has no image", bpy.ops.maquette.use_views)

    def test_rerun(self):
        item = self.make()
        self.assertEqual(bpy.ops.maquette.rerun(finish_triangles=600, bake_texture_size=64), {"FINISHED"})
        self.check_kept(item)
        self.assertLessEqual(len(item.data.polygons), 600)
        recipe = json.loads(item["maquette_recipe"])
        self.assertEqual((recipe["coarse"]["resolution"], recipe["bake"]["texture_size"]), (24, 64))

    def test_linked_duplicates_keep_their_mesh(self):
        item = self.generate()
        twin = item.copy()
        bpy.context.scene.collection.objects.link(twin)
        before = twin.data
        count = len(before.polygons)
        self.assertEqual(bpy.ops.maquette.rerun(finish_triangles=600), {"FINISHED"})
        self.assertEqual((twin.data, len(twin.data.polygons)), (before, count))
        self.assertNotEqual(item.data, before)

    def test_needs_a_mesh(self):
        self.assertFalse(bpy.ops.maquette.retexture.poll())
        bpy.ops.mesh.primitive_cube_add()
        self.assertTrue(bpy.ops.maquette.retexture.poll())
        bpy.ops.object.mode_set(mode="EDIT")
        self.assertFalse(bpy.ops.maquette.retexture.poll())
        bpy.ops.object.mode_set(mode="OBJECT")


class Batch(Case):
    def test_folder(self):
        import shutil

        folder = os.path.join(FOLDER.name, "pictures")
        os.makedirs(folder, exist_ok=True)
        for path in (BIRD, TOADSTOOL):
            shutil.copy(path, folder)
        with open(os.path.join(folder, "broken.png"), "wb") as file:
            file.write(b"no picture")
        self.assertEqual(bpy.ops.maquette.batch(directory=folder, recipe=RECIPE, size=1.0), {"FINISHED"})
        collection = bpy.data.collections["pictures"]
        self.assertEqual(sorted(item.name for item in collection.objects), ["bird", "toadstool"])
        self.assertEqual(sorted(round(item.location.x, 2) for item in collection.objects), [0.0, 1.25])
        self.assertTrue(any("broken.png" in warning for warning in addon("job").last_warnings))

    def test_errors(self):
        self.refused("is not a folder", bpy.ops.maquette.batch, directory="/nowhere")
        empty = os.path.join(FOLDER.name, "empty")
        os.makedirs(empty, exist_ok=True)
        self.refused("holds no pictures", bpy.ops.maquette.batch, directory=empty)


class Settings(Case):
    def test_sidebar_shows_the_recipe(self):
        """Every setting of the schema is there, shows the preset's value, and writes the recipe."""
        settings, schema_ui, engine = bpy.context.scene.maquette, addon("schema_ui"), addon("engine")
        self.assertGreater(len(schema_ui.settings()), 20)
        for preset in ("draft", "standard", "fine"):
            settings.preset = preset
            for setting in schema_ui.settings():
                wanted = schema_ui.look_up(engine.preset_values(preset), setting.path)
                shown = getattr(settings, setting.name)
                if isinstance(wanted, float):
                    self.assertAlmostEqual(shown, wanted, places=5, msg=setting.name)
                else:
                    self.assertEqual(shown, wanted, setting.name)
        settings.bake_texture_size = 2048
        settings.texture_cell = 0.004
        self.assertEqual(
            json.loads(settings.recipe), {"preset": "fine", "bake": {"texture_size": 2048}, "texture": {"cell": 0.004}}
        )
        bpy.ops.maquette.reset_settings(section="bake")
        self.assertEqual(settings.bake_texture_size, engine.preset_values("fine")["bake"]["texture_size"])
        self.assertEqual(bpy.ops.maquette.dice(), {"FINISHED"})
        self.assertGreater(settings.seed, 0)

    def test_operators_have_every_setting(self):
        names = {setting.name for setting in addon("schema_ui").settings()}
        for operator in ("image_to_3d", "retexture", "more_detail", "use_views", "rerun", "batch"):
            there = set(getattr(bpy.ops.maquette, operator).get_rna_type().properties.keys())
            self.assertEqual(names - there, set(), operator)

    def test_paste_a_path(self):
        image = addon("picture").from_clipboard("file://" + BIRD.replace(" ", "%20"))
        self.assertEqual(image.name, "bird.png")
        with self.assertRaisesRegex(Exception, "holds no picture"):
            os.environ["PATH"], kept = "", os.environ["PATH"]
            try:
                addon("picture").from_clipboard("some words")
            finally:
                os.environ["PATH"] = kept

    def test_off_and_on(self):
        name = ADDON.__name__
        bpy.ops.preferences.addon_disable(module=name)
        self.assertFalse(hasattr(bpy.types.Scene, "maquette"))
        bpy.ops.preferences.addon_enable(module=name)
        self.assertTrue(hasattr(bpy.types.Scene, "maquette"))


def boxed(pixels):
    """The box around what is opaque, as 64 x 64 pixels."""
    rows, columns = numpy.nonzero(pixels[..., 3] > 127)
    rows = numpy.linspace(rows.min(), rows.max(), 64).astype(int)
    columns = numpy.linspace(columns.min(), columns.max(), 64).astype(int)
    return pixels[rows][:, columns].astype(float)


def addon(name):
    return sys.modules["%s.%s" % (ADDON.__name__, name)]


def problem_fix():
    return addon("remedies").fix_of(addon("job").last_problem)


def job_at_work():
    return addon("job").current


if __name__ == "__main__":
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    ADDON = install(os.path.abspath(arguments[0]))
    print("Blender", bpy.app.version_string, "add-on", ADDON.__name__, flush=True)
    outcome = unittest.main(argv=["headless", *arguments[1:]], exit=False, verbosity=2).result
    sys.stdout.flush()
    sys.stderr.flush()
    FOLDER.cleanup()
    # Some bpy modules hang or crash in their static destructors.
    os._exit(0 if outcome.wasSuccessful() else 1)

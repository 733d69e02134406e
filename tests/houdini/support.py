"""What the tests share: the library, the asset, the fake hou, a picture, a node with quick settings."""

import os
import struct
import sys
import tempfile
import unittest
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOUDINI = os.path.join(ROOT, "houdini_otl")
ASSET = os.path.join(HOUDINI, "otls", "maquette.image_to_3d.1.0.hda")
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(HOUDINI, "scripts", "python"), HOUDINI]

import fake_hou  # noqa: E402
import hda  # noqa: E402

sys.modules["hou"] = fake_hou
hou = fake_hou

from maquette_houdini import engine, native, results, volume  # noqa: E402

# A job of less than a second.
QUICK = {
    "views.size_px": 64,
    "coarse.resolution": 16,
    "coarse.iterations": 3,
    "coarse.view_size_px": 32,
    "detail.enabled": False,
    "texture.cell": 0.02,
    "texture.footprint_samples": 1,
    "texture.iterations": 5,
    "bake.texture_size": 64,
    "finish.triangles": 300,
}


def write_png(path, side=96, colour=(200, 120, 60), alpha=None):
    """A ball, transparent around it; `alpha` overrides that."""
    rows = bytearray()
    for row in range(side):
        rows.append(0)
        for column in range(side):
            x, y = (column + 0.5) / side * 2 - 1, 1 - (row + 0.5) / side * 2
            shade = 0.6 + 0.4 * y
            opaque = 255 if x * x + y * y < 0.7 else 0
            rows += bytes([*(int(c * shade) for c in colour), opaque if alpha is None else alpha])

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")
        )
    return path


class Case(unittest.TestCase):
    """A test with a session of its own, a $HIP folder and a picture in it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.hip = folder.name
        self.picture = write_png(os.path.join(self.hip, "ball.png"))
        hou.session_state.reset()
        hou.use_hip(self.hip)
        results.forget()
        self.asset = hda.Library(ASSET)

    def node(self, path="/obj/geo/image_to_3d", quick=True, **parms):
        node = hou.SopNode(path, self.asset)
        if quick:
            self.set_recipe(node, QUICK)
        for name, value in {"picture": self.picture, "preset": "draft", **parms}.items():
            node.parm(name).set(value)
        return node

    def set_recipe(self, node, settings):
        for path, value in settings.items():
            name = path.replace(".", "_")
            node.parm("use_" + name).set(1)
            node.parm(name).set(int(value) if isinstance(value, bool) else value)

    def generated(self, **parms):
        node = self.node(**parms)
        node.parm("generate").pressButton()
        self.assertEqual(node.errors(), ())
        return node

    def error_of(self, node):
        with self.assertRaises(hou.OperationFailed):
            node.cook()
        (message,) = node.errors()
        self.assertNotIn("Traceback", message)
        return message

    def files(self):
        folder = os.path.join(self.hip, "maquette")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def jobs_started():
    """Counts the jobs that are started while it is used as a context."""

    class Counter:
        def __enter__(self):
            self.count, self._run = 0, engine.run

            def counted(request):
                self.count += 1
                return self._run(request)

            engine.run = counted
            return self

        def __exit__(self, *_):
            engine.run = self._run

    return Counter()


__all__ = [
    "ASSET",
    "Case",
    "HOUDINI",
    "QUICK",
    "ROOT",
    "engine",
    "hda",
    "hou",
    "jobs_started",
    "native",
    "results",
    "volume",
    "write_png",
]

# SPDX-License-Identifier: MIT OR Apache-2.0
"""Results, in memory and on disk, under the keys of their requests.

A result in the results folder is three files: NAME_KEY.maquette (mesh, recipe and report, a zip archive), and the textures
NAME_KEY_basecolor.png and NAME_KEY_normal.png; and a folder NAME_KEY_views, where it has views to paint over. Each is written
under another name and renamed, the archive last, so that any number of sessions may share the folder.
"""

import collections
import json
import os
import tempfile
import uuid
import zipfile
import zlib

import hou

from . import native, views

TEXTURES = {"basecolor": native.IMAGE_BASE_COLOR, "normal": native.IMAGE_NORMAL_MAP}
BUFFERS = {"positions": "f", "triangles": "I", "normals": "f", "corner_uvs": "f"}
# Bytes of meshes that are kept in memory; the disk keeps all.
KEPT_BYTES = 256 << 20

# mesh: native.Mesh in the library's space. textures: paths by the names in TEXTURES. views: path of their folder, or "".
# recipe, report: as the library gives them.
Result = collections.namedtuple("Result", "mesh textures views recipe report")

_kept = collections.OrderedDict()


def find(folder, name, key):
    """The result of a request, or None when it has not been computed or some of its files are gone."""
    path = os.path.join(folder, "%s_%s.maquette" % (name, key))
    result = _kept.get(path)
    if result is None and os.path.isfile(path):
        result = read(path)
    if result is None or not all(map(os.path.isfile, result.textures.values())):
        _kept.pop(path, None)
        return None
    keep(path, result)
    return result


def store(folder, name, key, job, recipe, with_views):
    """Writes the files of a job's result and returns it. with_views: also the views that it was fitted to."""
    stem = os.path.join(folder, "%s_%s" % (name, key))
    textures = {}
    for texture, kind in TEXTURES.items():
        if job.image(kind) is not None:
            textures[texture] = "%s_%s.png" % (stem, texture)
            job.save_image(textures[texture], kind)
    saved = with_views and views.save(stem + "_views", job.views())
    result = Result(job.mesh(), textures, stem + "_views" if saved else "", recipe, job.report())
    write(stem + ".maquette", result)
    keep(stem + ".maquette", result)
    return result


def make_folder(folder):
    """Makes the results folder and tries whether it can be written to: before, not after the work."""
    try:
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise hou.NodeError(
            "Results Folder: %s cannot be written to (%s). Save the scene first if the path has $HIP, or choose another."
            % (folder or "an empty path", error.strerror)
        ) from None


def forget():
    """Lets go of the results in memory."""
    _kept.clear()


def keep(path, result):
    _kept[path] = result
    _kept.move_to_end(path)
    while len(_kept) > 1 and sum(map(size, _kept.values())) > KEPT_BYTES:
        _kept.popitem(last=False)


def size(result):
    """Bytes of a result's mesh."""
    buffers = (getattr(result.mesh, buffer) for buffer in BUFFERS)
    return sum(memoryview(buffer).nbytes for buffer in buffers if buffer is not None)


# ---- The archive ----


def write(path, result):
    temporary = "%s.%s.partial" % (path, uuid.uuid4().hex)
    try:
        with zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for buffer in BUFFERS:
                content = getattr(result.mesh, buffer)
                if content is not None:
                    archive.writestr(buffer, memoryview(content).cast("B"))
            names = {texture: os.path.basename(file) for texture, file in result.textures.items()}
            about = {
                "textures": names,
                "views": os.path.basename(result.views),
                "recipe": result.recipe,
                "report": result.report,
            }
            archive.writestr("result.json", json.dumps(about))
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def read(path):
    """The result in an archive; None when the file is damaged, as after a full disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("result.json"))
            there = set(archive.namelist())
            buffers = {
                buffer: memoryview(archive.read(buffer)).cast(letter) if buffer in there else None
                for buffer, letter in BUFFERS.items()
            }
        folder = os.path.dirname(path)
        textures = {texture: os.path.join(folder, os.path.basename(name)) for texture, name in about["textures"].items()}
        views_folder = os.path.join(folder, os.path.basename(about["views"])) if about["views"] else ""
        mesh = native.Mesh(**buffers)
        points, corners = len(mesh.positions), len(mesh.triangles)
        sound = (
            points % 3 == 0
            and corners % 3 == 0
            and (corners == 0 or max(mesh.triangles) < points // 3)
            and mesh.normals is not None
            and len(mesh.normals) == points
            and mesh.corner_uvs is not None
            and len(mesh.corner_uvs) == corners * 2
        )
        return Result(mesh, textures, views_folder, about["recipe"], about["report"]) if sound else None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return None

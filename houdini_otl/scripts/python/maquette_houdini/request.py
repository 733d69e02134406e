# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a job is asked for, and the key of its result."""

import collections
import hashlib
import json
import os
import re

import hou

from . import engine, refine

# Raised when a request of the same settings gives another result, or results are kept in another form.
VERSION = 1

# kind       "shape": a new mesh. "texture": a new texture for the mesh at the input, which stays
# arguments  what native.Context.start takes
# key        hash of everything that the result depends on
# fit        middle and longest side of the box that the result fills; None: as the parameters say
Request = collections.namedtuple("Request", "kind arguments key fit")


def make(settings, source):
    """The request for the settings; `source` is the geometry.Source at the input, or None."""
    if source is None:
        kind, arguments, fit = "shape", new_shape(settings), None
    else:
        kind, arguments = refine.MODES[settings.refine](settings, source)
        fit = (source.middle, source.longest_side)
    # Named in full, so that a result belongs to settings and not to how they were written.
    arguments["recipe"] = engine.library().resolve_recipe(arguments["recipe"])
    return Request(kind, arguments, key(arguments), fit)


def new_shape(settings):
    if not settings.picture and not settings.views:
        raise hou.NodeError("There is no picture. Choose one in Picture, or a folder of views in Views Folder.")
    arguments = {"recipe": {**settings.recipe, "task": "generate" if settings.picture else "reconstruct"}}
    if settings.picture:
        arguments["picture"] = existing_file(settings.picture, "Picture")
    if settings.views:
        arguments["views"] = existing_views(settings.views)
    arguments["name"] = stem(settings.picture or settings.views)
    return arguments


def existing_file(path, parameter):
    if not os.path.isfile(path):
        raise hou.NodeError("%s: there is no file %s. Choose another." % (parameter, path))
    return path


def existing_views(path):
    """A folder of pictures, or one picture with a grid of six views."""
    if not os.path.exists(path):
        raise hou.NodeError("Views Folder: there is no folder %s. Choose another." % path)
    return path


def stem(path):
    """A name for object and files after a path's last part."""
    name = os.path.splitext(os.path.basename(os.path.normpath(path)))[0]
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "maquette"


# ---- Key ----


def key(arguments):
    """Hash of the content of all inputs, of the recipe and of the library's version; 20 hexadecimal digits."""
    mesh = arguments.get("mesh")
    parts = {
        "version": [VERSION, engine.library().version],
        "name": arguments["name"],
        "recipe": arguments["recipe"],
        "picture": file_hash(arguments["picture"]) if "picture" in arguments else None,
        "views": views_hash(arguments["views"]) if "views" in arguments else None,
        "mesh": mesh_hash(mesh) if mesh is not None else None,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


# Content hashes by path, with the size and time of the file that they belong to.
_file_hashes = {}


def file_hash(path):
    status = os.stat(path)
    stamp = (status.st_size, status.st_mtime_ns)
    known = _file_hashes.get(path)
    if known is None or known[0] != stamp:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        known = _file_hashes[path] = (stamp, digest.hexdigest())
    return known[1]


def views_hash(path):
    if os.path.isfile(path):
        return file_hash(path)
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in entries if entry.is_file())
    return [[name, file_hash(os.path.join(path, name))] for name in names]


def mesh_hash(mesh):
    digest = hashlib.sha256()
    for buffer in (mesh.positions, mesh.triangles, mesh.corner_uvs):
        content = b"" if buffer is None else memoryview(buffer).cast("B")
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()

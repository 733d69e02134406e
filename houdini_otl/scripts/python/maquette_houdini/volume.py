# SPDX-License-Identifier: MIT OR Apache-2.0
"""Signed distance fields as volumes."""

import array
import collections
import threading

import hou

from . import engine

NAME = "sdf"
# Fields kept in memory.
KEPT = 4

_kept = collections.OrderedDict()


def distances(key, mesh, resolution):
    """Signed distances to a mesh on a grid over the library's cube, x fastest; (resolution + 1)^3 values."""
    place = (key, resolution)
    if place not in _kept:
        _kept[place] = compute(mesh, resolution)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(place)
    return _kept[place]


def compute(mesh, resolution):
    """Computes beside Houdini's thread, so that Esc is heard; what was begun then ends by itself."""
    answer = []

    def work():
        try:
            answer.append(engine.library().mesh_sdf(mesh, resolution))
        except Exception as error:
            answer.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with hou.InterruptableOperation("Signed distance field", open_interrupt_dialog=True) as operation:
        while thread.is_alive():
            operation.updateProgress()
            thread.join(engine.POLL_SECONDS)
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]


def write(geometry, values, resolution, placement):
    """Adds the volume. Its voxels' centres are the grid's vertices, so its box is one voxel larger than the grid."""
    side, scale, middle = resolution + 1, placement.scale, placement.move
    half = 0.5 * side / resolution * scale
    box = hou.BoundingBox(*(at - half for at in middle), *(at + half for at in middle))
    if geometry.findPrimAttrib("name") is None:
        geometry.addAttrib(hou.attribType.Prim, "name", "")
    volume = geometry.createVolume(side, side, side, box)
    # Distances grow with the object.
    volume.setAllVoxelsFromString(array.array("f", [value * scale for value in values]).tobytes())
    volume.setAttribValue("name", NAME)
    volume.setIntrinsicValue("volumevisualmode", "iso")

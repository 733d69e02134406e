# SPDX-License-Identifier: GPL-3.0-or-later
"""The growing mesh of the job at work, drawn over the viewport: nothing of it is in the scene, the file or the undo steps."""

import bpy
import numpy

_handler = None
_batch = None
_shader = None
_matrix = None
_revision = 0


def show():
    """Starts to draw."""
    global _handler
    if _handler is None and not bpy.app.background:
        _handler = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW")


def hide():
    """Stops to draw and forgets the mesh."""
    global _handler, _batch, _shader, _matrix, _revision
    if _handler is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handler, "WINDOW")
    _handler = _batch = _shader = _matrix = None
    _revision = 0


def update(revision, fetch, matrix_of):
    """Takes a newer mesh if there is one. `fetch` copies it, `matrix_of(positions)` says where it is."""
    global _batch, _shader, _matrix, _revision
    if revision == _revision or fetch is None:
        return
    _revision = revision
    mesh = fetch()
    if mesh is None or not mesh.triangle_count:
        return
    import gpu
    from gpu_extras.batch import batch_for_shader

    positions = numpy.frombuffer(mesh.positions, numpy.float32).reshape(-1, 3)
    triangles = numpy.frombuffer(mesh.triangles, numpy.uint32).reshape(-1, 3).astype(numpy.int32)
    _matrix = matrix_of(positions)
    if _matrix is None:
        _batch = None
        return
    name = "SMOOTH_COLOR" if bpy.app.version >= (4, 0, 0) else "3D_SMOOTH_COLOR"
    _shader = gpu.shader.from_builtin(name)
    content = {"pos": positions, "color": _clay(positions, triangles)}
    _batch = batch_for_shader(_shader, "TRIS", content, indices=triangles)


def _clay(positions, triangles):
    """Colour of every vertex: clay in a light from the front, above and left."""
    normals = vertex_normals(positions, triangles)
    light = numpy.array([-0.4, 0.6, 0.7]) / numpy.sqrt(1.01)
    shade = 0.55 + 0.45 * (normals @ light)
    colors = numpy.ones((len(positions), 4), numpy.float32)
    colors[:, :3] = shade[:, None] * numpy.array([0.86, 0.62, 0.42])
    return colors


def vertex_normals(positions, triangles):
    """Unit normals, weighted by area."""
    a, b, c = (positions[triangles[:, k]] for k in range(3))
    faces = numpy.cross(b - a, c - a)
    normals = numpy.zeros((len(positions), 3))
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += numpy.bincount(triangles[:, corner], faces[:, axis], len(positions))
    return normals / numpy.maximum(numpy.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


def _draw():
    if _batch is None:
        return
    import gpu

    gpu.state.depth_test_set("LESS_EQUAL")
    gpu.state.depth_mask_set(True)
    with gpu.matrix.push_pop():
        gpu.matrix.multiply_matrix(_matrix)
        _batch.draw(_shader)
    gpu.state.depth_mask_set(False)
    gpu.state.depth_test_set("NONE")

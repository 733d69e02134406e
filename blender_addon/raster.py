# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws colour, normal and mask of a mesh for one of the engine's cameras, with numpy.

Not Blender's own renderers: the engine wants unlit colour, world normals and an exact camera; this needs no display and
adds nothing to the scene.
"""

import numpy

FOV_Y_DEGREES = 30.0
DISTANCE = 0.5 / numpy.tan(numpy.radians(FOV_Y_DEGREES / 2))
_SAMPLES = 2  # a side of a pixel
_CHUNK = 1 << 21  # fragments at once


def draw(mesh, azimuth_degrees, elevation_degrees, size):
    """(color, normal), both uint8 [size, size, 4], row 0 on top; alpha is the coverage."""
    side = size * _SAMPLES
    triangle, weights = _visible(mesh, azimuth_degrees, elevation_degrees, side)
    hit = triangle >= 0
    rows = triangle[hit]
    corner = weights[hit]
    color = numpy.zeros((side * side, 4), numpy.float32)
    normal = numpy.zeros((side * side, 4), numpy.float32)
    color[hit] = _colors(mesh, rows, corner)
    color[hit, 3] = 1
    normals = numpy.einsum("nk,nkd->nd", corner, mesh.normals[mesh.triangles[rows]])
    normals /= numpy.maximum(numpy.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normal[hit, :3] = normals
    normal[hit, 3] = 1
    color, normal = _averaged(color, side), _averaged(normal, side)
    length = numpy.linalg.norm(normal[..., :3], axis=2, keepdims=True)
    normal[..., :3] = normal[..., :3] / numpy.maximum(length, 1e-12) * 0.5 + 0.5
    return _bytes(color), _bytes(normal)


def axes(azimuth_degrees, elevation_degrees):
    """Right, up and backward of a camera, as rows."""
    a, e = numpy.radians(azimuth_degrees), numpy.radians(elevation_degrees)
    backward = numpy.array([numpy.cos(e) * numpy.sin(a), numpy.sin(e), numpy.cos(e) * numpy.cos(a)])
    right = numpy.array([numpy.cos(a), 0.0, -numpy.sin(a)])
    return numpy.stack([right, numpy.cross(backward, right), backward])


def _visible(mesh, azimuth_degrees, elevation_degrees, side):
    """The nearest triangle of every pixel, -1 for none, and the weights of its corners there."""
    in_camera = mesh.positions.astype(numpy.float64) @ axes(azimuth_degrees, elevation_degrees).T
    in_camera[:, 2] -= DISTANCE
    focal = side / 2 / numpy.tan(numpy.radians(FOV_Y_DEGREES / 2))
    depth = -in_camera[:, 2]
    pixel = numpy.empty((len(depth), 2))
    pixel[:, 0] = side / 2 + focal * in_camera[:, 0] / depth
    pixel[:, 1] = side / 2 - focal * in_camera[:, 1] / depth
    points, depths = pixel[mesh.triangles], depth[mesh.triangles]
    low = numpy.clip(numpy.ceil(points.min(1) - 0.5), 0, side).astype(numpy.int64)
    high = numpy.clip(numpy.floor(points.max(1) - 0.5) + 1, 0, side).astype(numpy.int64)
    extent = numpy.maximum(high - low, 0) * (depths.min(1) > 1e-6)[:, None]
    counts = extent[:, 0] * extent[:, 1]
    nearest = numpy.full(side * side, numpy.inf, numpy.float32)
    triangle = numpy.full(side * side, -1, numpy.int64)
    weights = numpy.zeros((side * side, 3), numpy.float32)
    ends = numpy.cumsum(counts)
    start = 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = max(int(numpy.searchsorted(ends, done + _CHUNK, "right")), start + 1)
        _draw_some(numpy.arange(start, stop), points, depths, low, extent, counts, side, nearest, triangle, weights)
        start = stop
    return triangle, weights


def _draw_some(chunk, points, depths, low, extent, counts, side, nearest, triangle, weights):
    """Draws the triangles of a chunk: every pixel of every triangle's box at once."""
    chunk = chunk[counts[chunk] > 0]
    if not len(chunk):
        return
    count = counts[chunk]
    total = int(count.sum())

    def spread(values):
        return numpy.repeat(values, count)

    within = numpy.arange(total) - spread(numpy.cumsum(count) - count)
    down = within // spread(extent[chunk, 0])
    across = within - down * spread(extent[chunk, 0])
    # Weight of each corner, divided by its depth: affine in the pixel, from the first pixel of the triangle's box.
    a, b, c = (points[chunk, k] - low[chunk] - 0.5 for k in range(3))
    whole = _cross(b - a, c - a)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        w = numpy.empty((total, 3), numpy.float32)
        for k, (p, q) in enumerate(((b, c), (c, a), (a, b))):
            scale = 1 / (whole * depths[chunk, k])
            w[:, k] = (
                spread(_cross(p, q) * scale)
                + across * spread((p[:, 1] - q[:, 1]) * scale)
                + down * spread((q[:, 0] - p[:, 0]) * scale)
            )
    inside = numpy.flatnonzero((w[:, 0] >= 0) & (w[:, 1] >= 0) & (w[:, 2] >= 0))
    w, owner = w[inside], spread(chunk)[inside]
    at = (low[owner, 1] + down[inside]) * side + low[owner, 0] + across[inside]
    total = w.sum(1)
    depth, w = 1 / total, w / total[:, None]
    # Those nearer are written later; of the same depth, the first triangle.
    order = numpy.lexsort((-owner, -depth))
    at, depth, w, owner = at[order], depth[order], w[order], owner[order]
    front = depth < nearest[at]
    at = at[front]
    nearest[at], triangle[at], weights[at] = depth[front], owner[front], w[front]


def _cross(p, q):
    return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]


def _colors(mesh, rows, corner):
    colors = numpy.zeros((len(rows), 4), numpy.float32)
    slots = numpy.minimum(mesh.materials[rows], len(mesh.textures) - 1)
    uvs = None
    if mesh.corner_uvs is not None:
        uvs = numpy.einsum("nk,nkd->nd", corner, mesh.corner_uvs[rows])
    for slot, texture in enumerate(mesh.textures):
        mine = slots == slot
        if not mine.any():
            continue
        if texture.ndim == 1 or uvs is None:
            colors[mine] = texture if texture.ndim == 1 else texture.reshape(-1, 4).mean(0)
        else:
            colors[mine] = _sampled(texture, uvs[mine])
    return colors


def _sampled(texture, uvs):
    """Bilinear, repeating."""
    height, width = texture.shape[:2]
    x, y = uvs[:, 0] * width - 0.5, uvs[:, 1] * height - 0.5
    x0, y0 = numpy.floor(x).astype(int), numpy.floor(y).astype(int)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    x0, x1, y0, y1 = x0 % width, (x0 + 1) % width, y0 % height, (y0 + 1) % height
    lower = texture[y0, x0] * (1 - fx) + texture[y0, x1] * fx
    upper = texture[y1, x0] * (1 - fx) + texture[y1, x1] * fx
    return lower * (1 - fy) + upper * fy


def _averaged(samples, side):
    """Pixels from samples: colour is the mean over what is covered, alpha the share that is."""
    size = side // _SAMPLES
    grid = samples.reshape(size, _SAMPLES, size, _SAMPLES, 4)
    alpha = grid[..., 3:].sum((1, 3))
    mean = (grid[..., :3] * grid[..., 3:]).sum((1, 3)) / numpy.maximum(alpha, 1)
    return numpy.concatenate([mean, alpha / _SAMPLES**2], 2)


def _bytes(pixels):
    return numpy.ascontiguousarray(pixels.clip(0, 1) * 255 + 0.5, numpy.uint8)

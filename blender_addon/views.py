# SPDX-License-Identifier: GPL-3.0-or-later
"""Posed pictures of an object: rendered from it, kept as images that the artist paints over or replaces, applied."""

import numpy

from . import engine, native, picture, raster, remedies, schema_ui

# The six views of the engine: azimuth from the front, elevation, and what an artist calls them.
RIG = (
    (30.0, 20.0, "front right"),
    (90.0, -10.0, "right"),
    (150.0, 20.0, "back right"),
    (210.0, -10.0, "back left"),
    (270.0, 20.0, "left"),
    (330.0, -10.0, "front left"),
)


def rendered(mesh, size):
    """The six views of a MeshInput as native views, with normals."""
    return [_view(mesh, azimuth, elevation, size) for azimuth, elevation, _ in RIG]


def _view(mesh, azimuth, elevation, size):
    color, normal = raster.draw(mesh, azimuth, elevation, size)
    return native.View(azimuth, elevation, native.Image(size, size, color), native.Image(size, size, normal))


def quick_look(recipe):
    """`recipe` with the least work after its views are there: for jobs whose views are all that is wanted."""
    least = {
        "task": "generate",
        "coarse": {"resolution": 16, "iterations": 0},
        "refine": {"iterations": 0},
        "texture": {"cell": 0.05, "iterations": 1},
        "bake": {"texture_size": 64, "normal_map": False},
        "finish": {"triangles": 500},
    }
    if "detail" in engine.schema()["properties"]:
        least["detail"] = {"enabled": False}
    return schema_ui.merged(recipe, least)


def front(mesh, cutout, elevation_degrees):
    """The cut-out picture as a view from the front: its outline laid on the mesh's."""
    pixels = numpy.frombuffer(cutout.rgba, numpy.uint8).reshape(cutout.height, cutout.width, 4) / numpy.float32(255)
    given = _box(pixels[..., 3])
    size = int(min(max(cutout.width, cutout.height, 320), 1024))
    seen = _box(raster.draw(mesh, 0.0, elevation_degrees, size)[0][..., 3] / 255)
    # One scale for both directions: the mesh may be another shape, the picture is not stretched.
    scale = max(max(given[2] - given[0], given[3] - given[1]), 1) / max(seen[2] - seen[0], seen[3] - seen[1], 1)
    step = numpy.arange(size) + 0.5
    x = (step - (seen[0] + seen[2]) / 2) * scale + (given[0] + given[2]) / 2 - 0.5
    y = (step - (seen[1] + seen[3]) / 2) * scale + (given[1] + given[3]) / 2 - 0.5
    premultiplied = numpy.concatenate([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], 2)
    resampled = _resampled(_resampled(premultiplied, y, 0), x, 1)
    alpha = resampled[..., 3:]
    color = numpy.concatenate([resampled[..., :3] / numpy.maximum(alpha, 1e-6), alpha], 2)
    rgba = numpy.ascontiguousarray(color.clip(0, 1) * 255 + 0.5, numpy.uint8)
    return native.View(0.0, elevation_degrees, native.Image(size, size, rgba))


def _box(alpha):
    """Left, top, right, bottom of what is covered."""
    columns, rows = numpy.nonzero((alpha > 0.5).any(0))[0], numpy.nonzero((alpha > 0.5).any(1))[0]
    if not len(columns):
        return 0, 0, alpha.shape[1], alpha.shape[0]
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _resampled(pixels, at, axis):
    """Linear samples along an axis; transparent outside."""
    count = pixels.shape[axis]
    low = numpy.floor(at).astype(int)
    weight = (at - low).reshape([-1 if k == axis else 1 for k in range(3)])
    inside = ((at > -1) & (at < count)).reshape(weight.shape)
    one = numpy.take(pixels, low.clip(0, count - 1), axis)
    other = numpy.take(pixels, (low + 1).clip(0, count - 1), axis)
    return (one * (1 - weight) + other * weight) * inside


def store(item, views):
    """Keeps views on an object as Image datablocks, in place of those it had."""
    for old in item.maquette.views:
        if old.image is not None and old.image.get("maquette_view") and old.image.users <= 1:
            forgotten, old.image = old.image, None
            _remove(forgotten)
    item.maquette.views.clear()
    for view, (_, _, label) in zip(views, RIG):
        kept = item.maquette.views.add()
        kept.label, kept.azimuth_degrees, kept.elevation_degrees = label, view.azimuth_degrees, view.elevation_degrees
        kept.image = picture.to_datablock(view.color, "%s %s" % (item.name, label))
        kept.image["maquette_view"] = True
        kept.image.use_fake_user = False


def _remove(image):
    import bpy

    if image.users == 0:
        bpy.data.images.remove(image)


def stored(item, mesh):
    """The views kept on an object as native views. Those that still have the object's outline get its normals too."""
    if not item.maquette.views:
        raise remedies.Problem(
            "%s has no views yet; render them first" % item.name,
            remedies.Fix("maquette.render_views", "Render Views", "RENDER_STILL"),
        )
    views = []
    for kept in item.maquette.views:
        if kept.image is None:
            raise remedies.Problem(
                "the view %s of %s has no image; choose one, or render the views again" % (kept.label, item.name),
                remedies.Fix("maquette.render_views", "Render Views Again", "RENDER_STILL"),
            )
        color = picture.to_native(kept.image)
        if color.width != color.height:
            raise remedies.Problem(
                "the view %s is %d x %d pixels; make it square, with the object where it is in the rendered view"
                % (kept.label, color.width, color.height)
            )
        shown, normal = raster.draw(mesh, kept.azimuth_degrees, kept.elevation_degrees, color.width)
        same = _same_outline(numpy.asarray(color.rgba).reshape(shown.shape), shown)
        normal = native.Image(color.width, color.height, normal) if same else None
        views.append(native.View(kept.azimuth_degrees, kept.elevation_degrees, color, normal))
    if all(numpy.asarray(view.color.rgba).reshape(-1, 4)[:, 3].min() == 255 for view in views):
        raise remedies.Problem("the views have no transparent background; keep the alpha of the rendered views")
    return views


def _same_outline(one, other):
    inside, outside = one[..., 3] > 127, other[..., 3] > 127
    return numpy.count_nonzero(inside != outside) <= 0.01 * max(numpy.count_nonzero(outside), 1)

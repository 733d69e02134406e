# SPDX-License-Identifier: GPL-3.0-or-later
"""Posed pictures of an object: rendered from it, kept as images that the artist paints over or replaces, applied."""

import bpy
import numpy

from . import native, picture, raster, remedies

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

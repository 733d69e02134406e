# SPDX-License-Identifier: GPL-3.0-or-later
"""Image to 3D: one picture in, one textured object out."""

import os

import bpy
from bpy.props import StringProperty
from mathutils import Matrix

from .. import engine, job, picture, properties, remedies, result
from ..frame import Frame
from .base import RecipeOperator


def placed_at(context, placement):
    """Location of a new object."""
    if placement == "ORIGIN":
        return (0.0, 0.0, 0.0)
    if placement == "SELECTED" and context.active_object is not None:
        return context.active_object.matrix_world.translation.copy()
    return context.scene.cursor.location.copy()


def name_of(image):
    """Name of the object made from an image."""
    return os.path.splitext(image.name)[0] or "Maquette"


class PictureOperator(RecipeOperator):
    """Takes a picture as file, as image, or from the sidebar."""

    def picture_of(self, context):
        """(what the engine gets, name, function that gives the Image datablock)."""
        if self.filepath:
            path = bpy.path.abspath(self.filepath)
            if not os.path.isfile(path):
                raise remedies.Problem("%s is not there; choose a picture" % path, remedies.OPEN_PICTURE)
            return path, os.path.splitext(os.path.basename(path))[0], lambda: picture.load(path)
        image = self.default_picture(context)
        if self.image:
            image = bpy.data.images.get(self.image)
            if image is None:
                raise remedies.Problem("there is no image %s in this file" % self.image, remedies.OPEN_PICTURE)
        if image is None:
            raise remedies.Problem("no picture yet; choose one", remedies.OPEN_PICTURE)
        kept = image.name
        return picture.for_engine(image), name_of(image), lambda: bpy.data.images.get(kept)

    def default_picture(self, context):
        return context.scene.maquette.picture


class MAQUETTE_OT_image_to_3d(PictureOperator, job.JobOperator, bpy.types.Operator):
    """Makes a textured mesh from the picture"""

    bl_idname = "maquette.image_to_3d"
    bl_label = "Image to 3D"

    filepath: StringProperty(
        name="Picture", description="File of the picture", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )
    image: StringProperty(name="Image", description="Name of an image in this file", options={"SKIP_SAVE"})
    recipe: StringProperty(name="Recipe", description="Settings as JSON, whole or partial", options={"SKIP_SAVE"})
    __annotations__.update(properties.placement_properties())

    def plan(self, context):
        source, self._name, self._image = self.picture_of(context)
        self._recipe = self.recipe_of(context, task="generate")
        given, settings = self.properties.is_property_set, context.scene.maquette
        self._size = self.size if given("size") else settings.size
        self._location = placed_at(context, self.placement if given("placement") else settings.placement)
        self._textures = self.texture_place(context)
        result.check_texture_place(self._textures)
        started = engine.context().start(picture=source, recipe=self._recipe, name=self._name)
        return job.Run(self.bl_label, job.single(started))

    def preview_matrix(self, context, positions):
        return Matrix.Translation(self._location) @ Frame.of_result(positions, self._size).matrix()

    def finish(self, context, done):
        made = result.Result(done, self._recipe, self._name, self._image())
        item = result.add_object(context, made, self._size, self._location, self._textures)
        job.warn(self, made.report)
        self.report({"INFO"}, "%s: %d triangles" % (item.name, len(item.data.polygons)))


CLASSES = (MAQUETTE_OT_image_to_3d,)

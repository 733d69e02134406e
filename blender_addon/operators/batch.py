# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of pictures into a collection, one after another."""

import os

import bpy
from bpy.props import StringProperty
from mathutils import Matrix

from .. import engine, job, native, picture, properties, result
from ..frame import Frame
from .base import RecipeOperator
from .generate import placed_at

_GAP = 1.25  # from one object to the next, in sizes


class MAQUETTE_OT_batch(RecipeOperator, job.JobOperator, bpy.types.Operator):
    """Makes a mesh from every picture of a folder, in a row in a new collection"""

    bl_idname = "maquette.batch"
    bl_label = "Folder to 3D"
    bl_options = set()  # each object is an undo step of its own

    directory: StringProperty(name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"})
    recipe: StringProperty(name="Recipe", description="Settings as JSON, whole or partial", options={"SKIP_SAVE"})
    __annotations__.update(properties.placement_properties())

    def plan(self, context):
        given, settings = self.properties.is_property_set, context.scene.maquette
        folder = self.directory or settings.batch_folder
        paths = picture.in_folder(folder)
        self._recipe = self.recipe_of(context, task="generate")
        self._size = self.size if given("size") else settings.size
        self._location = placed_at(context, self.placement if given("placement") else settings.placement)
        self._textures = self.texture_place(context)
        result.check_texture_place(self._textures)
        self._collection_name = os.path.basename(os.path.normpath(bpy.path.abspath(folder))) or "Maquette"
        self._collection, self._ready, self._failures, self._made = None, [], [], 0
        return job.Run(self.bl_label, self._steps(paths), len(paths))

    def _steps(self, paths):
        for path in paths:
            name = os.path.splitext(os.path.basename(path))[0]
            try:
                done = yield engine.context().start(picture=path, recipe=self._recipe, name=name)
            except native.Cancelled:
                raise
            except native.Error as error:
                self._failures.append("%s: %s" % (os.path.basename(path), error))
            else:
                self._ready.append((path, name, done))

    def preview_matrix(self, context, positions):
        return Matrix.Translation(self._place()) @ Frame.of_result(positions, self._size).matrix()

    def between(self, context):
        """Objects appear one by one; what is made stays when the rest is cancelled."""
        while self._ready and context.mode == "OBJECT":
            path, name, done = self._ready.pop(0)
            made = result.Result(done, self._recipe, name, picture.load(path))
            item = result.add_object(
                context, made, self._size, self._place(), self._textures, self._collection_of(context)
            )
            self._made += 1
            job.warn(self, made.report, name)
            if not bpy.app.background:
                bpy.ops.ed.undo_push(message="%s %s" % (self.bl_label, item.name))

    def finish(self, context, _):
        self.between(context)
        if self._failures:
            job.last_warnings.extend(self._failures)
            self.report({"WARNING"}, "%d made, %d failed: %s" % (self._made, len(self._failures), self._failures[0]))
        else:
            self.report({"INFO"}, "%d objects made" % self._made)

    def _place(self):
        return self._location[0] + self._made * self._size * _GAP, self._location[1], self._location[2]

    def _collection_of(self, context):
        collection = bpy.data.collections.get(self._collection) if self._collection else None
        if collection is None:
            collection = bpy.data.collections.new(self._collection_name)
            context.scene.collection.children.link(collection)
            self._collection = collection.name
        return collection


CLASSES = (MAQUETTE_OT_batch,)

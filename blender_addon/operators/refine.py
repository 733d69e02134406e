# SPDX-License-Identifier: GPL-3.0-or-later
"""Refine in place: the object stays what and where it is, with its modifiers and material slots; mesh or textures change."""

import json

import bpy
from bpy.props import EnumProperty, StringProperty
from mathutils import Matrix

from .. import detail, engine, job, picture, properties, remedies, result, schema_ui, views
from ..mesh_input import MeshInput
from .base import Target, poll_mesh
from .generate import PictureOperator


def stored_recipe(item):
    """The recipe that an object was made with; empty when it was not made here."""
    return dict(engine.parsed(item.get("maquette_recipe", "")))


class RefineOperator(PictureOperator, job.JobOperator):
    """Works on the active mesh."""

    @classmethod
    def poll(cls, context):
        return super().poll(context) and poll_mesh(cls, context)

    def start_on(self, context):
        """The object's mesh; remembers what is needed to give it back."""
        item = context.active_object
        self._target, self._textures = Target(item), self.texture_place(context)
        result.check_texture_place(self._textures)
        self._mesh = MeshInput(item)
        self._name = item.name
        self._image = lambda: None
        return self._mesh

    def base_recipe(self, context):
        return stored_recipe(context.active_object) or super().base_recipe(context)

    def default_picture(self, context):
        return context.active_object.maquette.picture or super().default_picture(context)

    def preview_matrix(self, context, positions):
        # A little larger than the object, which it covers.
        try:
            return self._target.find().matrix_world @ self._mesh.frame.matrix() @ Matrix.Scale(1.01, 4)
        except remedies.Problem:
            return None

    def give_shape(self, done, recipe):
        """The job's mesh and textures become the object's."""
        made = result.Result(done, recipe, self._name, self._image())
        result.replace_shape(self._target.find(), made, self._mesh.frame, self._textures)
        job.warn(self, made.report)

    def give_texture(self, done, recipe):
        """The job's textures become the object's, and its texture coordinates where the object has none."""
        item = self._target.find()
        made = result.Result(done, recipe, self._name, self._image())
        if self._mesh.corner_uvs is None:
            result.add_uvs(item.data, self._mesh.loops, made.mesh.corner_uvs)
        result.replace_texture(item, made, self._textures, self._mesh.used_slots)
        job.warn(self, made.report)


def check_uvs(item, mesh):
    """Raises when the engine's texture would have no place on the mesh."""
    if mesh.corner_uvs is None and not mesh.all_triangles:
        raise remedies.Problem(
            "%s has no texture coordinates; unwrap it (U > Smart UV Project in Edit Mode)" % item.name, remedies.UNWRAP
        )


class MAQUETTE_OT_retexture(RefineOperator, bpy.types.Operator):
    """New textures from the picture; vertices and texture coordinates are not touched"""

    bl_idname = "maquette.retexture"
    bl_label = "Retexture"

    filepath: StringProperty(name="Picture", subtype="FILE_PATH", options={"SKIP_SAVE"})
    image: StringProperty(name="Image", description="Name of an image in this file", options={"SKIP_SAVE"})
    recipe: StringProperty(name="Recipe", description="Settings as JSON, whole or partial", options={"SKIP_SAVE"})
    textures: properties.texture_property()

    def plan(self, context):
        mesh = self.start_on(context)
        check_uvs(context.active_object, mesh)
        source, _, self._image = self.picture_of(context)
        self._recipe = self.recipe_of(context, task="texture")
        started = engine.context().start(
            picture=source, mesh=mesh.to_native(), recipe=self._recipe, name=self._name
        )
        return job.Run(self.bl_label, job.single(started))

    def finish(self, context, done):
        self.give_texture(done, dict(self._recipe, task="generate"))


class MAQUETTE_OT_more_detail(RefineOperator, bpy.types.Operator):
    """A finer mesh and texture on the object's own shape"""

    bl_idname = "maquette.more_detail"
    bl_label = "More Detail"

    filepath: StringProperty(options={"SKIP_SAVE", "HIDDEN"})
    image: StringProperty(options={"SKIP_SAVE", "HIDDEN"})
    recipe: StringProperty(name="Recipe", description="Settings as JSON, whole or partial", options={"SKIP_SAVE"})
    textures: properties.texture_property()

    def plan(self, context):
        mesh = self.start_on(context)
        self._recipe = detail.finer(self.recipe_of(context), len(mesh.triangles), schema_ui.given_settings(self))
        # Of its own picture alone: the sidebar's may be of something else.
        own = context.active_object.maquette.picture
        source = picture.for_engine(own) if own is not None else None
        return job.Run(self.bl_label, detail.refined(engine.context(), mesh, source, self._recipe, self._name))

    def finish(self, context, done):
        self.give_shape(done, dict(self._recipe, task="generate"))


class MAQUETTE_OT_use_views(RefineOperator, bpy.types.Operator):
    """Applies the object's views, painted over or replaced, to the object"""

    bl_idname = "maquette.use_views"
    bl_label = "Use My Views"

    filepath: StringProperty(options={"SKIP_SAVE", "HIDDEN"})
    image: StringProperty(options={"SKIP_SAVE", "HIDDEN"})
    recipe: StringProperty(name="Recipe", description="Settings as JSON, whole or partial", options={"SKIP_SAVE"})
    textures: properties.texture_property()
    change: EnumProperty(
        name="Change",
        items=(
            ("TEXTURE", "Texture", "Only the textures: vertices and texture coordinates are not touched"),
            ("SHAPE", "Shape and Texture", "A new mesh through the views"),
        ),
        options={"SKIP_SAVE"},
    )

    def plan(self, context):
        item, mesh = context.active_object, self.start_on(context)
        posed = views.stored(item, mesh)
        if self.change == "TEXTURE":
            check_uvs(item, mesh)
            self._recipe = self.recipe_of(context, task="texture")
            started = engine.context().start(
                mesh=mesh.to_native(), views=posed, recipe=self._recipe, name=self._name
            )
        else:
            self._recipe = self.recipe_of(context, task="reconstruct")
            started = engine.context().start(views=posed, recipe=self._recipe, name=self._name)
        return job.Run(self.bl_label, job.single(started))

    def finish(self, context, done):
        recipe = dict(self._recipe, task="generate")
        if self.change == "TEXTURE":
            self.give_texture(done, recipe)
        else:
            self.give_shape(done, recipe)


class MAQUETTE_OT_rerun(RefineOperator, bpy.types.Operator):
    """Makes the object again from its picture, with its own settings and those given; what did not change is not
    computed again"""

    bl_idname = "maquette.rerun"
    bl_label = "Rerun"

    filepath: StringProperty(name="Picture", subtype="FILE_PATH", options={"SKIP_SAVE"})
    image: StringProperty(name="Image", description="Name of an image in this file", options={"SKIP_SAVE"})
    recipe: StringProperty(name="Recipe", description="Settings as JSON, whole or partial", options={"SKIP_SAVE"})
    textures: properties.texture_property()

    def plan(self, context):
        self.start_on(context)
        source, _, self._image = self.picture_of(context)
        self._recipe = self.recipe_of(context, task="generate")
        started = engine.context().start(picture=source, recipe=self._recipe, name=self._name)
        return job.Run(self.bl_label, job.single(started))

    def finish(self, context, done):
        self.give_shape(done, self._recipe)


class MAQUETTE_OT_rerun_with(bpy.types.Operator):
    """Makes the object again from its picture with its own settings, some of them changed"""

    bl_idname = "maquette.rerun_with"
    bl_label = "Rerun with..."

    _CHOICES = ("preset", "seed", "finish_triangles", "bake_texture_size", "segment_background", "detail_symmetry")

    @classmethod
    def poll(cls, context):
        return job.current is None and poll_mesh(cls, context)

    def invoke(self, context, event):
        # The dialog shows the sidebar's own properties, filled from the object.
        settings = context.scene.maquette
        self._sidebar = settings.recipe
        settings.recipe = json.dumps(stored_recipe(context.active_object))
        return context.window_manager.invoke_props_dialog(self, width=320)

    def draw(self, context):
        settings, column = context.scene.maquette, self.layout.column()
        column.use_property_split = True
        for name in self._CHOICES:
            if hasattr(settings, name):
                column.prop(settings, name)

    def execute(self, context):
        recipe = context.scene.maquette.recipe
        self._restore(context)
        try:
            bpy.ops.maquette.rerun("INVOKE_DEFAULT", recipe=recipe)
        except RuntimeError as error:  # what was reported there, which the sidebar shows
            self.report({"ERROR"}, str(error).strip())
            return {"CANCELLED"}
        return {"FINISHED"}

    def cancel(self, context):
        self._restore(context)

    def _restore(self, context):
        context.scene.maquette.recipe = self._sidebar


CLASSES = (
    MAQUETTE_OT_retexture,
    MAQUETTE_OT_more_detail,
    MAQUETTE_OT_use_views,
    MAQUETTE_OT_rerun,
    MAQUETTE_OT_rerun_with,
)

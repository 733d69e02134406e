# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar: 3D Viewport > N > Maquette."""

import textwrap

import bpy

from . import engine, job, remedies, schema_ui

# Shown above the advanced settings, in this order; the schema has the rest.
_MAIN = (("finish", "triangles"), ("bake", "texture_size"), ("segment", "background"), ("detail", "symmetry"))
_FIRST = (("preset",), ("seed",))


def _wrapped(layout, context, text, icon):
    """Text over as many lines as the sidebar's width needs."""
    width = max(int(context.region.width / (7.5 * context.preferences.system.ui_scale)) - 9, 12)
    column = layout.column(align=True)
    column.scale_y = 0.8
    for k, line in enumerate(textwrap.wrap(text, width) or [""]):
        column.label(text=line, icon=icon if k == 0 else "BLANK1")


class _Panel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Maquette"


class MAQUETTE_PT_main(_Panel, bpy.types.Panel):
    bl_label = "Image to 3D"

    def draw(self, context):
        layout, settings = self.layout, context.scene.maquette
        error = engine.load_error()
        if error is not None:
            _wrapped(layout.box(), context, str(error), "ERROR")
            return
        layout.template_ID_preview(settings, "picture", open="maquette.open_picture", rows=3, cols=6)
        layout.operator("maquette.paste_picture", icon="PASTEDOWN")
        column = layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        column.prop(settings, "preset")
        row = column.row(align=True)
        row.prop(settings, "seed")
        row.operator("maquette.dice", text="", icon="FILE_REFRESH")
        for path in _MAIN:
            name = "_".join(path)
            if hasattr(settings, name):
                column.prop(settings, name)
        column.separator()
        column.prop(settings, "size")
        column.prop(settings, "placement")
        column.prop(settings, "textures")
        _draw_job(layout, context)


def _draw_job(layout, context):
    run = job.current
    if run is None:
        row = layout.row()
        row.scale_y = 1.6
        row.operator("maquette.image_to_3d", icon="MESH_MONKEY")
    else:
        box = layout.box()
        box.label(text="%s: %s" % (run.title, run.stage), icon="SORTTIME")
        if hasattr(box, "progress"):  # Blender 4.0 and later
            box.progress(factor=run.fraction, text="%d %%" % (run.fraction * 100))
        else:
            box.prop(context.window_manager, "maquette_percent", slider=True)
        row = box.row()
        row.label(text="%d s" % run.seconds)
        row.operator("maquette.cancel", icon="CANCEL")
    _draw_messages(layout, context)


def _draw_messages(layout, context):
    if job.last_problem is not None:
        box = layout.box()
        box.alert = True
        _wrapped(box, context, str(job.last_problem), "ERROR")
        row = box.row(align=True)
        fix = remedies.fix_of(job.last_problem)
        if fix is not None:
            row.operator_context = "INVOKE_DEFAULT"
            button = row.operator(fix.operator, text=fix.label, icon=fix.icon)
            for name, value in fix.properties.items():
                setattr(button, name, value)
        row.operator("maquette.dismiss", text="" if fix else "Dismiss", icon="X")
    elif job.last_warnings:
        box = layout.box()
        for warning in job.last_warnings:
            _wrapped(box, context, warning, "INFO")
        box.operator("maquette.dismiss", icon="X")


class MAQUETTE_PT_advanced(_Panel, bpy.types.Panel):
    bl_label = "Advanced"
    bl_parent_id = "MAQUETTE_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context):
        return engine.load_error() is None

    def draw(self, context):
        layout, settings = self.layout, context.scene.maquette
        layout.use_property_split, layout.use_property_decorate = True, False
        shown = set(_MAIN + _FIRST)
        changed = engine.parsed(settings.recipe)
        for section, description in schema_ui.sections():
            column = layout.column()
            row = column.row()
            row.label(text=description.rstrip(".") or section.title())
            if section in changed:
                row.operator("maquette.reset_settings", text="", icon="LOOP_BACK", emboss=False).section = section
            for setting in schema_ui.settings():
                if setting.section == section and setting.path not in shown:
                    column.prop(settings, setting.name)


class MAQUETTE_PT_refine(_Panel, bpy.types.Panel):
    bl_label = "Refine in Place"

    @classmethod
    def poll(cls, context):
        item = context.active_object
        return engine.load_error() is None and item is not None and item.type == "MESH"

    def draw(self, context):
        layout, item = self.layout, context.active_object
        layout.template_ID(item.maquette, "picture", open="image.open")
        column = layout.column(align=True)
        column.operator("maquette.retexture", icon="TEXTURE")
        column.operator("maquette.more_detail", icon="MOD_MULTIRES")
        column.operator("maquette.rerun_with", icon="FILE_REFRESH")
        if "maquette_recipe" in item:
            layout.operator("maquette.take_settings", icon="COPYDOWN")


class MAQUETTE_PT_views(_Panel, bpy.types.Panel):
    bl_label = "Views"
    bl_parent_id = "MAQUETTE_PT_refine"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        layout, item = self.layout, context.active_object
        layout.operator("maquette.render_views", icon="RENDER_STILL")
        if not item.maquette.views:
            return
        column = layout.column()
        for view in item.maquette.views:
            row = column.split(factor=0.3)
            row.label(text=view.label.capitalize())
            row.template_ID(view, "image", open="image.open")
        column = layout.column(align=True)
        column.operator("maquette.use_views", text="Use My Views: Texture", icon="TEXTURE").change = "TEXTURE"
        column.operator("maquette.use_views", text="Use My Views: Shape", icon="MESH_DATA").change = "SHAPE"


class MAQUETTE_PT_batch(_Panel, bpy.types.Panel):
    bl_label = "Folder of Pictures"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context):
        return engine.load_error() is None

    def draw(self, context):
        self.layout.prop(context.scene.maquette, "batch_folder", text="")
        self.layout.operator("maquette.batch", icon="FILE_FOLDER")


_CLASSES = (
    MAQUETTE_PT_main,
    MAQUETTE_PT_advanced,
    MAQUETTE_PT_refine,
    MAQUETTE_PT_views,
    MAQUETTE_PT_batch,
)


def register():
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister():
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)

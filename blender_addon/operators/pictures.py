# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the picture comes from: a file, the clipboard, a drop."""

import bpy
from bpy.props import StringProperty

from .. import job, picture, remedies


def _take(operator, context, get):
    job.clear_problem()
    try:
        context.scene.maquette.picture = get()
    except remedies.Problem as problem:
        job.last_problem = problem
        operator.report({"ERROR"}, str(problem))
        return {"CANCELLED"}
    job.redraw(context)
    return {"FINISHED"}


class MAQUETTE_OT_open_picture(bpy.types.Operator):
    """Chooses the picture from a file"""

    bl_idname = "maquette.open_picture"
    bl_label = "Choose a Picture"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context, event):
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context):
        return _take(self, context, lambda: picture.load(self.filepath))


class MAQUETTE_OT_paste_picture(bpy.types.Operator):
    """Takes the picture, or the path of one, from the clipboard"""

    bl_idname = "maquette.paste_picture"
    bl_label = "Paste Picture"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context):
        return _take(self, context, lambda: picture.from_clipboard(context.window_manager.clipboard))


class MAQUETTE_OT_drop_picture(bpy.types.Operator):
    """Takes a dropped file as the picture"""

    bl_idname = "maquette.drop_picture"
    bl_label = "Picture for Image to 3D"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})

    def execute(self, context):
        return _take(self, context, lambda: picture.load(self.filepath))


CLASSES = (MAQUETTE_OT_open_picture, MAQUETTE_OT_paste_picture, MAQUETTE_OT_drop_picture)

if hasattr(bpy.types, "FileHandler"):  # Blender 4.1 and later

    class MAQUETTE_FH_picture(bpy.types.FileHandler):
        bl_idname = "MAQUETTE_FH_picture"
        bl_label = "Picture for Image to 3D"
        bl_import_operator = "maquette.drop_picture"
        bl_file_extensions = ";".join(picture.EXTENSIONS)

        @classmethod
        def poll_drop(cls, context):
            # On the sidebar only: in the viewport itself a dropped picture is a reference image, as always.
            return (
                context.area is not None
                and context.area.type == "VIEW_3D"
                and context.region is not None
                and context.region.type == "UI"
            )

    CLASSES += (MAQUETTE_FH_picture,)

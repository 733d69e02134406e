# SPDX-License-Identifier: GPL-3.0-or-later
"""Views of an object as images to paint over."""

import bpy
from bpy.props import IntProperty

from .. import job, native, remedies, views
from ..mesh_input import MeshInput
from .base import poll_mesh


class MAQUETTE_OT_render_views(bpy.types.Operator):
    """Renders the object from six sides to images, to paint over or to replace"""

    bl_idname = "maquette.render_views"
    bl_label = "Render Views"
    bl_options = {"REGISTER", "UNDO"}

    resolution: IntProperty(name="Resolution", description="Side in pixels", default=640, min=64, max=2048)

    @classmethod
    def poll(cls, context):
        return poll_mesh(cls, context)

    def execute(self, context):
        job.clear_problem()
        item = context.active_object
        try:
            views.store(item, views.rendered(MeshInput(item), self.resolution))
        except (native.Error, remedies.Problem) as error:
            job.last_problem = error
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, "Six views of %s: paint over them in the Image Editor, then Use My Views" % item.name)
        return {"FINISHED"}


CLASSES = (MAQUETTE_OT_render_views,)

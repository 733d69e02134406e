# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the buttons of the node do. They run outside of cooks, and may set parameters."""

import os
import random

import hou

from . import cook, views
from .geometry import detail_text


def generate(node):
    """Cooks the node, and computes the result where there is none."""
    node.setCachedUserData(cook.GENERATE, True)
    try:
        node.cook(force=True)
    except hou.OperationFailed:
        # The node carries the message.
        show("; ".join(node.errors()))
    finally:
        node.destroyCachedUserData(cook.GENERATE)


def new_seed(node):
    node.parm("seed").set(random.randrange(2**31))


def edit_views(node):
    """A copy of the views that the result was fitted to, for the artist to paint over, as the Views Folder."""
    geometry = node.geometry()
    saved = detail_text(geometry, "maquette_views") if geometry is not None else ""
    if not os.path.isdir(saved):
        show("There are no views to paint over: press Generate first, with a Picture and without a Views Folder.")
        return
    try:
        folder = views.copy(node.evalParm("folder"), detail_text(geometry, "maquette_name"), saved)
    except OSError as error:
        show("The views cannot be copied: %s" % error)
        return
    node.parm("views").set(folder)


def create_material(node):
    """A Principled Shader that reads the textures of the node's result, assigned through the Material parameter."""
    geometry = node.geometry()
    names = ("basecolor", "normalmap") if geometry is not None else ()
    textures = {name: detail_text(geometry, "maquette_" + name) for name in names}
    if not textures.get("basecolor"):
        show("There is no result to read textures from: press Generate first.")
        return
    shader = hou.node("/mat").createNode("principledshader", node.name() + "_material")
    settings = {"basecolor": (1.0, 1.0, 1.0), "basecolor_useTexture": 1, "basecolor_texture": textures["basecolor"]}
    if textures.get("normalmap"):
        settings.update(
            baseBumpAndNormal_enable=1, baseBumpAndNormal_type="normal", baseNormal_texture=textures["normalmap"]
        )
    shader.setParms(settings)
    node.parm("material").set(shader.path())


def show(message):
    """A line at the bottom of the window; sessions without one have the messages of the node."""
    if hou.isUIAvailable():
        hou.ui.setStatusMessage(message, severity=hou.severityType.Error)

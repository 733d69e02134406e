# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the shelf tool does."""

import hou

ASSET = "maquette::image_to_3d::1.0"
PICTURES = "*.png, *.jpg, *.jpeg, *.webp, *.bmp, *.tif, *.tiff, *.tga"


def image_to_3d(kwargs):
    """Behind the selected SOP, to refine its mesh; with none selected in a new geometry object, for a picture to choose."""
    del kwargs
    selected = [node for node in hou.selectedNodes() if isinstance(node, hou.SopNode)]
    with hou.undos.group("Image to 3D"):
        if selected:
            node = selected[0].parent().createNode(ASSET)
            node.setInput(0, selected[0])
        else:
            picture = hou.ui.selectFile(
                title="Picture of the object", pattern=PICTURES, chooser_mode=hou.fileChooserMode.Read
            )
            if not picture:
                return None
            node = hou.node("/obj").createNode("geo", "image_to_3d").createNode(ASSET)
            node.parm("picture").set(picture)
        node.moveToGoodPosition()
        node.setDisplayFlag(True)
        node.setRenderFlag(True)
        node.setCurrent(True, clear_all_selected=True)
    return node

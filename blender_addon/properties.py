# SPDX-License-Identifier: GPL-3.0-or-later
"""What Maquette keeps in the file: settings on the scene, origin and views on objects."""

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    PointerProperty,
    StringProperty,
)

from . import engine, job, schema_ui

PLACEMENTS = (
    ("CURSOR", "3D Cursor", "Where the 3D cursor is"),
    ("ORIGIN", "World Origin", "In the middle of the world"),
    ("SELECTED", "Active Object", "Where the active object has its origin"),
)
TEXTURES = (
    ("PACKED", "In the File", "Textures are packed into the .blend file"),
    ("SAVED", "Beside the File", "Textures are saved as PNG in the folder textures beside the .blend file"),
)


def placement_properties():
    """Settings of Blender's side; the engine's own come from its schema."""
    return {
        "size": FloatProperty(
            name="Size",
            description="Longest side of the object",
            default=2.0,
            min=1e-4,
            soft_min=0.01,
            soft_max=100.0,
            unit="LENGTH",
            options={"SKIP_SAVE"},
        ),
        "placement": EnumProperty(
            name="Place at",
            description="Where the object stands",
            items=PLACEMENTS,
            default="CURSOR",
            options={"SKIP_SAVE"},
        ),
        "textures": texture_property(),
    }


def texture_property():
    return EnumProperty(
        name="Textures", description="Where textures are kept", items=TEXTURES, default="PACKED", options={"SKIP_SAVE"}
    )


class MaquetteView(bpy.types.PropertyGroup):
    """One of the views of an object"""

    label: StringProperty()
    azimuth_degrees: FloatProperty()
    elevation_degrees: FloatProperty()
    image: PointerProperty(type=bpy.types.Image, name="View", description="Paint over it, or choose another image")


class MaquetteObject(bpy.types.PropertyGroup):
    """Where an object came from"""

    picture: PointerProperty(type=bpy.types.Image, name="Picture", description="The picture the object was made from")
    has_frame: BoolProperty()
    frame: FloatVectorProperty(size=4)
    views: CollectionProperty(type=MaquetteView)


class MaquetteSettings(bpy.types.PropertyGroup):
    """Settings of the sidebar"""

    picture: PointerProperty(type=bpy.types.Image, name="Picture", description="The picture to make a mesh from")
    # The settings that differ from the preset, as the engine takes them. All others are windows on it.
    recipe: StringProperty(default="{}")
    batch_folder: StringProperty(name="Folder", description="Folder of pictures", subtype="DIR_PATH")


def _fraction(_):
    return job.current.fraction * 100 if job.current else 0.0


def register():
    annotations = MaquetteSettings.__annotations__
    annotations.update(placement_properties())
    annotations.update(schema_ui.window_annotations("recipe"))
    for cls in (MaquetteView, MaquetteObject, MaquetteSettings):
        bpy.utils.register_class(cls)
    bpy.types.Scene.maquette = PointerProperty(type=MaquetteSettings)
    bpy.types.Object.maquette = PointerProperty(type=MaquetteObject)
    # Shown as a bar by Blender 3, which has none of its own.
    bpy.types.WindowManager.maquette_percent = FloatProperty(
        name="Progress", subtype="PERCENTAGE", min=0, max=100, precision=0, get=_fraction
    )


def unregister():
    del bpy.types.WindowManager.maquette_percent
    del bpy.types.Object.maquette
    del bpy.types.Scene.maquette
    for cls in (MaquetteSettings, MaquetteObject, MaquetteView):
        bpy.utils.unregister_class(cls)


def scene_recipe(scene):
    """The sidebar's settings as a partial recipe."""
    return engine.parsed(scene.maquette.recipe)

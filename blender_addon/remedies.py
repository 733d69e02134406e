# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong, what to do, and where one exists the button that does it."""

from . import native


class Fix:
    """An operator that removes the cause of a problem, as a button shows it."""

    def __init__(self, operator, label, icon="NONE", **properties):
        self.operator, self.label, self.icon, self.properties = operator, label, icon, properties


class Problem(Exception):
    """Something that the artist can put right: the text says how, `fix` does it."""

    def __init__(self, text, fix=None):
        super().__init__(text)
        self.fix = fix


OPEN_PICTURE = Fix("maquette.open_picture", "Choose a Picture", "FILEBROWSER")
SAVE_FILE = Fix("wm.save_as_mainfile", "Save the Blender File", "FILE_TICK")
PACK_TEXTURES = Fix("maquette.set", "Pack Textures instead", "PACKAGE", name="textures", value="PACKED")
RESET_SETTINGS = Fix("maquette.reset_settings", "Reset All Settings", "LOOP_BACK")
UNWRAP = Fix("maquette.unwrap", "Unwrap It", "UV")
KEEP_BACKGROUND = Fix("maquette.set", "Take the Whole Picture", "IMAGE_DATA", name="segment_background", value="keep")


def fix_of(error):
    """The button for an error, or None."""
    if isinstance(error, Problem):
        return error.fix
    text = str(error)
    if text.startswith("recipe:"):
        return RESET_SETTINGS
    if "segment.background to keep" in text or "has no transparency" in text:
        return KEEP_BACKGROUND
    if isinstance(error, native.Error) and ("picture" in text or error.status == native.ERROR_IO):
        return OPEN_PICTURE
    return None

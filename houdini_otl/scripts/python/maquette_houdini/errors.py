# SPDX-License-Identifier: MIT OR Apache-2.0
"""What went wrong, as a message on the node: hou.NodeError with what to do."""

import contextlib

import hou

from . import native

# What a host can add to the library's own message.
REMEDIES = {
    native.ERROR_INTERNAL: "This is a fault of Maquette: please report it. MAQ_LOG=<file> in the environment makes a log.",
    native.ERROR_OUT_OF_MEMORY: "Lower the preset, Texture Size, or the resolutions under Advanced.",
    native.ERROR_DEVICE_LOST: "Save, and start Houdini again.",
}


@contextlib.contextmanager
def on_node():
    """Turns errors of the library and of files into hou.NodeError; Houdini's own go through."""
    try:
        yield
    except native.Error as error:
        raise hou.NodeError(" ".join(filter(None, [sentence(error), REMEDIES.get(error.status)]))) from None
    except OSError as error:
        where = ": " + error.filename if isinstance(error.filename, str) else ""
        raise hou.NodeError(
            "%s%s. Check the path and the rights of its folder." % (error.strerror or error, where)
        ) from None


def sentence(error):
    text = str(error) or "unknown error"
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else text + "."

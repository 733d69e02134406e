# SPDX-License-Identifier: GPL-3.0-or-later
"""The one library and the one context of this Blender, opened when first needed."""

import functools
import json

from . import native

_library = None
_context = None


def library():
    """The native library; raises native.Error when it is not there."""
    global _library
    if _library is None:
        _library = native.Library()
    return _library


def context():
    """The queue of jobs on this machine's CPU."""
    global _context
    if _context is None:
        _context = library().context()
    return _context


@functools.lru_cache(maxsize=1)
def schema():
    """JSON Schema of the recipe; empty when the library cannot be loaded, which the sidebar then tells."""
    try:
        return library().recipe_schema()
    except native.Error:
        return {"properties": {}}


@functools.lru_cache(maxsize=32)
def preset_values(preset):
    """Every value of a preset as nested dicts."""
    return library().resolve_recipe({"preset": preset} if preset else {})


@functools.lru_cache(maxsize=32)
def parsed(text):
    """A recipe's text as nested dicts, not to be changed; empty when it is not JSON."""
    try:
        recipe = json.loads(text) if text else {}
    except ValueError:
        return {}
    return recipe if isinstance(recipe, dict) else {}


def load_error():
    """Why the library cannot be used, or None."""
    try:
        library()
    except native.Error as error:
        return error
    return None


def shut_down():
    """Lets go of the context; the library stays loaded, as nothing can unload it safely."""
    global _context
    if _context is not None:
        _context.close()
        _context = None

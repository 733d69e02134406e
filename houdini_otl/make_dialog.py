#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes the asset's DialogScript: its own parameters, and one for each setting of the recipe.

    python3 houdini_otl/make_dialog.py             writes it
    python3 houdini_otl/make_dialog.py --check     says whether it is up to date

Run it after the recipe has changed. The library is found as the asset finds it (native.py), else in target/debug or
target/release.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "houdini_otl", "scripts", "python"))

from maquette_houdini import native, recipe  # noqa: E402

ASSET = "maquette::image_to_3d::1.0"
DIALOG_SCRIPT = os.path.join(
    ROOT, "houdini_otl", "otls", "maquette.image_to_3d.1.0.hda", "maquette_8_8Sop_1image__to__3d_8_81.0", "DialogScript"
)

# Settings of the recipe that stand above the Advanced folder, with their labels. Those with True follow the preset until
# they are switched on; an artist sets the others in any case.
MAIN = {
    "preset": ("Preset", False),
    "seed": ("Seed", False),
    "finish.triangles": ("Triangles", True),
    "bake.texture_size": ("Texture Size", True),
    "segment.background": ("Background", False),
    "detail.symmetry": ("Symmetry", False),
}

# Integer parameters have 32 bits.
LARGEST_INTEGER = 2**31 - 1


# ---- The language of dialog scripts ----


def quoted(text):
    """Text in double quotes. Backticks would be evaluated, and new lines end the statement."""
    text = " ".join(str(text).replace("`", "'").split())
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


def number(value):
    return repr(value) if isinstance(value, float) and not value.is_integer() else str(int(value))


def parm(name, label, kind, default, *, help="", menu=(), limits=None, tags=(), flags=(), disable="", callback=""):
    lines = ["name    " + quoted(name), "label   " + quoted(label), "type    " + kind]
    lines += flags
    lines.append("default { %s }" % quoted(default))
    if help:
        lines.append("help    " + quoted(help))
    if menu:
        lines += ["menu {", *("    %s %s" % (quoted(token), quoted(text)) for token, text in menu), "}"]
    if disable:
        lines.append("disablewhen " + quoted("{ %s }" % disable))
    if limits:
        lines.append("range   { %s! %s! }" % tuple(number(limit) for limit in limits))
    lines += ["parmtag { %s %s }" % (quoted(tag), quoted(value)) for tag, value in tags]
    if callback:
        lines += [
            "parmtag { %s %s }"
            % (quoted("script_callback"), quoted("kwargs['node'].hdaModule().%s(kwargs['node'])" % callback)),
            'parmtag { "script_callback_language" "python" }',
        ]
    return ["parm {", *("    " + line for line in lines), "}"]


def button(name, label, callback, help, flags=()):
    return parm(name, label, "button", "0", help=help, flags=flags, callback=callback)


def toggle(name, label, help, default="0", flags=()):
    return parm(name, label, "toggle", default, help=help, flags=flags)


def folder(keyword, name, label, content):
    kind = {"groupsimple": "simple", "groupcollapsible": "collapsible"}[keyword]
    lines = ["name    " + quoted(name), "label   " + quoted(label), 'grouptag { "group_type" "%s" }' % kind, ""]
    return [keyword + " {", *("    " + line if line else "" for line in lines + content), "}"]


# ---- Settings of the recipe ----


def setting(path, schema, label, follows_preset, flags=()):
    """The parameter of a setting; where it follows the preset, after the switch that takes it away from there."""
    help = schema.get("description", "")
    name, default, limits, menu = recipe.parameter(path), schema.get("default"), None, ()
    kind = recipe.kind(path, schema)
    if kind == "menu":
        menu = [(token, recipe.label(token)) for token in recipe.choices(schema)]
        help = " ".join([help, *("%s: %s" % (recipe.label(token), text) for token, text in recipe.choices(schema).items())])
        default, kind = str([token for token, _ in menu].index(default)), "ordinal"
    elif kind == "toggle":
        default = str(int(default))
    elif kind in ("integer", "float"):
        limits = (schema["minimum"], min(schema["maximum"], LARGEST_INTEGER) if kind == "integer" else schema["maximum"])
        default = number(default)
    else:
        default = default or ""
    if not follows_preset:
        return parm(name, label, kind, default, help=help, menu=menu, limits=limits, flags=flags)
    switch = recipe.switch(path)
    on = toggle(switch, label, "Off: the preset decides. On: the value here. " + help, flags=["joinnext"])
    off, flags = "%s == 0" % switch, ["nolabel", *flags]
    return on + parm(name, label, kind, default, help=help, menu=menu, limits=limits, flags=flags, disable=off)


def main_setting(path, settings, flags=()):
    label, follows_preset = MAIN[path]
    return setting(path, settings[path], label, follows_preset, flags)


def advanced(settings):
    """One folder for each section of the recipe."""
    sections = {}
    for path, schema in settings.items():
        if path not in MAIN and path not in recipe.SET_BY_THE_NODE:
            section, key = path.split(".", 1)
            sections.setdefault(section, []).extend(setting(path, schema, recipe.label(key.replace(".", " ")), True))
    return [
        line
        for section, content in sections.items()
        for line in folder("groupsimple", "fd_recipe_" + section, recipe.label(section), content)
    ]


# ---- The asset ----


def dialog_script(schema):
    settings = recipe.settings(schema)
    content = [
        *parm(
            "picture",
            "Picture",
            "image",
            "",
            help="The one picture of the object: PNG, JPEG, WebP, BMP, TIFF or TGA.",
            tags=[
                ("filechooser_mode", "read"),
                ("filechooser_pattern", "*.png, *.jpg, *.jpeg, *.webp, *.bmp, *.tif, *.tiff, *.tga"),
            ],
        ),
        *button(
            "generate",
            "Generate",
            "generate",
            "Computes the result for the settings as they are. Esc cancels. Settings that were computed before, here or by "
            "another process that shares the results folder, come back at once.",
            flags=["joinnext"],
        ),
        *toggle(
            "autocook",
            "Auto Cook",
            "Computes whenever a setting has changed, without waiting for Generate. Sessions without a user interface "
            "(hython, farm, PDG) always compute.",
        ),
        *main_setting("preset", settings),
        *main_setting("seed", settings, flags=["joinnext"]),
        *button("newseed", "New Seed", "new_seed", "Sets another seed."),
        *main_setting("finish.triangles", settings),
        *main_setting("bake.texture_size", settings),
        *main_setting("segment.background", settings),
        *main_setting("detail.symmetry", settings),
        *parm(
            "size",
            "Size",
            "float",
            "1",
            help="Longest side of the result's bounding box, in scene units. Changing it computes nothing again.",
            limits=(0.0001, 1000000),
        ),
        *toggle(
            "ground",
            "Stand on Ground",
            "The lowest point is at y = 0; else the middle of the result is at the origin.",
            default="1",
        ),
        *parm(
            "views",
            "Views Folder",
            "directory",
            "",
            help="A folder of your own pictures of the object from known sides: front.png, left.png, back.png and so on, or "
            "0_albedo.png to 5_albedo.png. They take the place of the views that Maquette makes itself.",
            flags=["joinnext"],
            tags=[("filechooser_mode", "read")],
        ),
        *button(
            "editviews",
            "Edit Views",
            "edit_views",
            "Copies the six views that Maquette made for this result into a folder of their own, and chooses it as Views "
            "Folder: paint over one or replace it, and press Generate.",
        ),
        *folder(
            "groupsimple",
            "fd_input",
            "Input Mesh",
            parm(
                "refine",
                "Refine",
                "ordinal",
                "0",
                help="What is made of a mesh at the input. Retexture: a new texture; points, primitives, groups and "
                "attributes stay, and so do texture coordinates where there are some. More Detail: the shape again from "
                "its picture, at a finer preset, where the input stands.",
                menu=[("retexture", "Retexture"), ("moredetail", "More Detail")],
            ),
        ),
        *folder(
            "groupsimple",
            "fd_output",
            "Output",
            [
                *parm(
                    "output",
                    "Output",
                    "ordinal",
                    "0",
                    help="The mesh, its signed distance field as a volume named sdf (negative inside), or both.",
                    menu=[("mesh", "Mesh"), ("both", "Mesh and SDF Volume"), ("sdf", "SDF Volume")],
                ),
                *parm(
                    "sdfresolution",
                    "SDF Resolution",
                    "integer",
                    "64",
                    help="Cells of the signed distance field on each axis.",
                    disable="output == mesh",
                    limits=(8, 256),
                ),
                *parm(
                    "folder",
                    "Results Folder",
                    "directory",
                    "$HIP/maquette",
                    help="Where textures and results are kept. Each result has files of its own, so that wedges never "
                    "overwrite each other; what is there is not computed again.",
                    tags=[("filechooser_mode", "write")],
                ),
                *parm(
                    "material",
                    "Material",
                    "oppath",
                    "",
                    help="Path of the material that the result is assigned to (shop_materialpath).",
                    flags=["joinnext"],
                    tags=[("opfilter", "!!SHOP/MATERIAL!!"), ("oprelative", ".")],
                ),
                *button(
                    "creatematerial",
                    "Create Material",
                    "create_material",
                    "Makes a Principled Shader that reads the textures of this result, and assigns it.",
                ),
            ],
        ),
        *folder("groupcollapsible", "fd_advanced", "Advanced", advanced(settings)),
    ]
    head = [
        "# Dialog script for %s, written by houdini_otl/make_dialog.py" % ASSET,
        "",
        "{",
        "    name\t" + ASSET,
        "    script\timage_to_3d",
        '    label\t"Image to 3D"',
        "",
        "    help {",
        '\t""',
        "    }",
        "",
        '    inputlabel\t1\t"Mesh to Refine (optional)"',
        "",
    ]
    return "\n".join([*head, *("    " + line if line else "" for line in content), "}", ""])


def library():
    if "MAQUETTE_LIBRARY" not in os.environ:
        name = {"win32": "maquette.dll", "darwin": "libmaquette.dylib"}.get(sys.platform, "libmaquette.so")
        built = [os.path.join(ROOT, "target", profile, name) for profile in ("debug", "release")]
        for path in filter(os.path.isfile, built):
            return native.Library(path)
    return native.Library()


def main():
    text = dialog_script(library().recipe_schema())
    if sys.argv[1:] == ["--check"]:
        with open(DIALOG_SCRIPT, encoding="utf-8") as file:
            if file.read() != text:
                raise SystemExit("the DialogScript does not fit the recipe: run python3 houdini_otl/make_dialog.py")
    else:
        with open(DIALOG_SCRIPT, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)


if __name__ == "__main__":
    main()

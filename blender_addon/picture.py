# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures between Blender's Image datablocks, files, the clipboard and the engine."""

import os
import subprocess
import sys
import tempfile
import urllib.parse

import bpy
import numpy

from . import native, remedies

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".tga")


def for_engine(image):
    """What to give to the engine for an Image datablock: its file where that is the whole truth, else its pixels."""
    if image.source == "FILE" and not image.packed_file and not image.is_dirty:
        path = file_of(image)
        if path.lower().endswith(EXTENSIONS):
            if not os.path.isfile(path):
                raise remedies.Problem("%s is not there any more; choose the picture again" % path, remedies.OPEN_PICTURE)
            return path
    return to_native(image)


def file_of(image):
    return os.path.normpath(bpy.path.abspath(image.filepath_from_user() or image.filepath, library=image.library))


def to_native(image):
    """An Image datablock's pixels as 8-bit sRGB, row 0 on top."""
    width, height = image.size
    if not width or not height or image.channels not in (1, 3, 4):
        raise remedies.Problem("image %s has no pixels; choose another picture" % image.name, remedies.OPEN_PICTURE)
    pixels = numpy.empty(width * height * image.channels, numpy.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(height, width, image.channels)[::-1]
    if image.channels == 1:
        pixels = numpy.repeat(pixels, 3, 2)
    if image.is_float:  # linear light, premultiplied
        if pixels.shape[2] == 4:
            alpha = numpy.maximum(pixels[..., 3:], 1e-6)
            pixels = numpy.concatenate([pixels[..., :3] / alpha, pixels[..., 3:]], 2)
        pixels[..., :3] = to_srgb(pixels[..., :3])
    if pixels.shape[2] == 3:
        pixels = numpy.concatenate([pixels, numpy.ones((height, width, 1), numpy.float32)], 2)
    pixels = numpy.nan_to_num(pixels).clip(0, 1)
    return native.Image(width, height, numpy.ascontiguousarray(pixels * 255 + 0.5, numpy.uint8))


def to_srgb(linear):
    linear = numpy.maximum(linear, 0)
    return numpy.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def to_datablock(image, name, is_color=True):
    """A packed Image datablock with the pixels of a native image. `is_color`: sRGB, else plain numbers."""
    datablock = bpy.data.images.new(name, image.width, image.height, alpha=True)
    try:
        if not is_color:
            datablock.colorspace_settings.name = "Non-Color"
        pixels = numpy.frombuffer(image.rgba, numpy.uint8).reshape(image.height, image.width * 4)[::-1]
        datablock.pixels.foreach_set((pixels.astype(numpy.float32) / 255).ravel())
        datablock.update()
        datablock.pack()
    except BaseException:
        bpy.data.images.remove(datablock)
        raise
    return datablock


def load(path):
    """The Image datablock of a file, the one that is there already if it is."""
    path = os.path.abspath(bpy.path.abspath(path))
    if not os.path.isfile(path):
        raise remedies.Problem("%s is not there; choose a picture" % path, remedies.OPEN_PICTURE)
    if not path.lower().endswith(EXTENSIONS):
        kinds = ", ".join(extension[1:].upper() for extension in EXTENSIONS)
        raise remedies.Problem("%s is not a picture; use %s" % (path, kinds), remedies.OPEN_PICTURE)
    try:
        return bpy.data.images.load(path, check_existing=True)
    except RuntimeError as error:
        raise remedies.Problem("%s cannot be read: %s" % (path, error), remedies.OPEN_PICTURE) from error


def in_folder(folder):
    """Pictures of a folder, sorted by name."""
    folder = os.path.abspath(bpy.path.abspath(folder))
    if not os.path.isdir(folder):
        raise remedies.Problem("%s is not a folder; choose a folder of pictures" % folder)
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(EXTENSIONS))
    if not names:
        raise remedies.Problem("%s holds no pictures; choose a folder of pictures" % folder)
    return [os.path.join(folder, name) for name in names]


# ---- Clipboard ----

# What writes the clipboard's picture as PNG to its output or to the file {path}, where it is installed.
_READERS = {
    "linux": (["wl-paste", "--type", "image/png"], ["xclip", "-selection", "clipboard", "-t", "image/png", "-o"]),
    "darwin": (
        [
            "osascript",
            "-e",
            'set f to open for access POSIX file "{path}" with write permission',
            "-e",
            "write (the clipboard as «class PNGf») to f",
            "-e",
            "close access f",
        ],
    ),
    "win32": (
        [
            "powershell",
            "-NoProfile",
            "-STA",
            "-Command",
            "Add-Type -AssemblyName System.Windows.Forms;"
            "$i=[Windows.Forms.Clipboard]::GetImage();"
            "if($i){{$i.Save('{path}',[Drawing.Imaging.ImageFormat]::Png)}}",
        ],
    ),
}


def from_clipboard(text):
    """The picture in the clipboard as an Image datablock. `text`: what the clipboard holds as text, maybe a path."""
    path = _path_in(text)
    if path:
        return load(path)
    platform = "linux" if sys.platform.startswith("linux") else sys.platform
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "Pasted picture.png")
        for command in _READERS.get(platform, ()):
            try:
                command = [part.format(path=path) for part in command]
                done = subprocess.run(command, capture_output=True, timeout=10, check=False)
            except (OSError, subprocess.TimeoutExpired):
                continue
            if done.stdout.startswith(b"\x89PNG"):
                with open(path, "wb") as file:
                    file.write(done.stdout)
            if os.path.isfile(path) and os.path.getsize(path):
                image = bpy.data.images.load(path)
                image.pack()
                image.name = "Pasted picture"
                image.filepath = ""
                return image
    hint = " (on Linux this needs xclip or wl-clipboard)" if platform == "linux" else ""
    raise remedies.Problem(
        "the clipboard holds no picture%s; copy one, or choose a file" % hint, remedies.OPEN_PICTURE
    )


def _path_in(text):
    """The path of a picture if that is what the text is."""
    line = text.strip().splitlines()[0].strip().strip('"') if text.strip() else ""
    if line.startswith("file://"):
        line = urllib.parse.unquote(urllib.parse.urlparse(line).path)
        if sys.platform == "win32":
            line = line.lstrip("/")
    return line if line.lower().endswith(EXTENSIONS) and os.path.isfile(line) else None

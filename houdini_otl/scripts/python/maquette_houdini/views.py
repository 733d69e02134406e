# SPDX-License-Identifier: MIT OR Apache-2.0
"""The six views that a result was fitted to, as a folder of pictures that the Views Folder parameter takes: to paint over."""

import os
import shutil
import struct
import uuid
import zlib

# Where the cameras of numbered pictures without a cameras.json stand: azimuth and elevation in degrees.
RIG = [(30, 20), (90, -10), (150, 20), (210, -10), (270, 20), (330, -10)]


def save(folder, views):
    """Writes the views into a new folder, whole or not at all. Returns whether there is one: views of other cameras than
    those of the rig are not written, nor is a folder that is there already."""
    angles = [(round(view.azimuth_degrees, 2), round(view.elevation_degrees, 2)) for view in views]
    if angles != RIG:
        return False
    if os.path.isdir(folder):
        return True
    temporary = "%s.%s.partial" % (folder, uuid.uuid4().hex)
    os.mkdir(temporary)
    try:
        for index, view in enumerate(views):
            for name, image in (("albedo", view.color), ("normal_world", view.normal)):
                if image is not None:
                    with open(os.path.join(temporary, "%d_%s.png" % (index, name)), "wb") as file:
                        file.write(png(image))
        os.rename(temporary, folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        # Another process that made the same result was first.
        if not os.path.isdir(folder):
            raise
    return True


def copy(folder, name, source):
    """A copy of a folder of views for the artist to paint over: NAME_views, or NAME_views2, ..."""
    target, number = os.path.join(folder, name + "_views"), 1
    while os.path.exists(target):
        number += 1
        target = os.path.join(folder, "%s_views%d" % (name, number))
    shutil.copytree(source, target)
    return target


def png(image):
    """A native.Image as the bytes of a PNG file."""
    row = image.width * 4
    pixels = memoryview(image.rgba).cast("B")
    lines = b"".join(b"\0" + bytes(pixels[k : k + row]) for k in range(0, row * image.height, row))

    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 3)) + chunk(b"IEND", b"")

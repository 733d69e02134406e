# SPDX-License-Identifier: GPL-3.0-or-later
"""Between an object's own space in Blender (+Z up, front -Y) and the engine's (+Y up, front +Z, radius 0.48)."""

import numpy
from mathutils import Matrix

RADIUS = 0.48  # of the farthest vertex, in the engine's space


class Frame:
    """local = rotated(engine) * scale + offset"""

    def __init__(self, scale, offset):
        self.scale, self.offset = float(scale), numpy.asarray(offset, numpy.float64)

    @classmethod
    def of_result(cls, positions, size):
        """For a new mesh: its longest side is `size`, and it stands on the object's origin."""
        low, high = bounds(rotated_to_blender(positions))
        scale = size / max(float((high - low).max()), 1e-9)
        base = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]
        return cls(scale, -numpy.asarray(base) * scale)

    @classmethod
    def of_mesh(cls, positions):
        """For a mesh that is there already: its box is centred in the engine's space and its farthest vertex at RADIUS."""
        low, high = bounds(positions)
        center = (low + high) / 2
        radius = float(numpy.sqrt(((positions - center) ** 2).sum(1).max()))
        return cls(max(radius, 1e-9) / RADIUS, center)

    @classmethod
    def of_list(cls, numbers):
        return cls(numbers[0], numbers[1:4])

    def to_list(self):
        return [self.scale, *map(float, self.offset)]

    def to_local(self, positions):
        return (rotated_to_blender(positions) * self.scale + self.offset).astype(numpy.float32)

    def to_engine(self, positions):
        moved = (positions - self.offset) / self.scale
        return numpy.ascontiguousarray(rotated_to_engine(moved), numpy.float32)

    def matrix(self):
        """Engine to local."""
        rotation = Matrix(((1, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, 0), (0, 0, 0, 1)))
        return Matrix.Translation(self.offset) @ Matrix.Scale(self.scale, 4) @ rotation


def rotated_to_blender(vectors):
    return numpy.stack([vectors[:, 0], -vectors[:, 2], vectors[:, 1]], 1)


def rotated_to_engine(vectors):
    return numpy.stack([vectors[:, 0], vectors[:, 2], -vectors[:, 1]], 1)


def bounds(positions):
    return positions.min(0).astype(numpy.float64), positions.max(0).astype(numpy.float64)

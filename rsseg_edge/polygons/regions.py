"""What class maps are made of: runs of pixels in a row, and regions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.types import UInt8Array

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Runs:
    """Neighbours in a row that have one class.

    What is counted of a class map is counted by its runs, which are far fewer than its pixels.

    Attributes:
        start: int64 [n], position of the first pixel in the flattened class map.
        row: int64 [n].
        length: int64 [n], pixels.
        class_index: uint8 [n].
        confidence: int64 [n], the sum of its pixels.
    """

    start: Ints
    row: Ints
    length: Ints
    class_index: UInt8Array
    confidence: Ints

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, eq=False)
class Regions:
    """Connected pixels of one class each (sharing edges, not corners), as polygons in pixels of the class map: x to the
    right, y down.

    Attributes:
        class_index: int64 [n], of the class table.
        pixels: int64 [n], how many they are.
        area: float64 [n], on the ground, square metres.
        confidence: float64 [n], mean, 0..1.
        points: float64 [p, 2], x and y, ring by ring; a ring's last point is its first one. On the left of each is the
            region (y grows downwards).
        rings: int64 [r + 1], where rings begin in ``points``.
        polygons: int64 [n + 1], where regions begin in ``rings``, each with its outer ring.
    """

    class_index: Ints
    pixels: Ints
    area: Floats
    confidence: Floats
    points: Floats
    rings: Ints
    polygons: Ints

    def __len__(self) -> int:
        return len(self.class_index)

    @cached_property
    def polygon(self) -> npt.NDArray[Any]:
        """shapely's [n]."""
        import shapely

        if not len(self):
            return np.empty(0, object)
        made: npt.NDArray[Any] = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON, self.points, (self.rings, self.polygons)
        )
        return made

    @staticmethod
    def none() -> Regions:
        """No region."""
        numbers, sums, first = np.zeros(0, np.int64), np.zeros(0), np.zeros(1, np.int64)
        return Regions(numbers, numbers, sums, sums, np.zeros((0, 2)), first, first)

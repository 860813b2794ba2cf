"""A class map as polygons, band by band."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rsseg_edge.polygons.reference.borders import VOID, Borders, trace
from rsseg_edge.polygons.reference.labels import find_runs, label, number_runs
from rsseg_edge.polygons.reference.rings import polygons
from rsseg_edge.polygons.reference.seams import Seams
from rsseg_edge.polygons.reference.simplify import simplified
from rsseg_edge.polygons.regions import Ints, Regions, Runs
from rsseg_edge.types import NO_DATA, UInt8Array


class Polygonizer:
    """Takes bands from the top down and gives regions when nothing can be added to them any more.

    Memory is that of a band, and of the regions that reach its last row. Polygons do not depend on the bands.

    Args:
        pixel_areas: see :func:`rsseg_edge.polygons.polygonize.regions`.
        width: likewise.
        tolerance: likewise.
    """

    def __init__(self, pixel_areas: npt.NDArray[np.float64], width: int, tolerance: float) -> None:
        self._pixel_areas, self._width, self._tolerance = pixel_areas, width, tolerance
        self._row = 0
        self._next = 0
        self._classes = np.full(width + 2, NO_DATA, np.uint8)  # of the last row, and a column beyond either end
        self._names = np.full(width, VOID, np.int64)  # of the last row
        self._open = np.zeros(0, _SUMS)
        self._borders: list[Borders] = []  # of each band, as long as a region of it may still grow
        self._seams = Seams()

    def add(self, class_map: UInt8Array, runs: Runs) -> Regions:
        """The next rows, uint8 [n, width], and their runs; regions that are complete."""
        rows, width = class_map.shape
        classes = np.full((rows + 1, width + 2), NO_DATA, np.uint8)
        classes[0], classes[1:, 1:-1] = self._classes, class_map
        # Numbers of this band's runs, then one for what is beyond its ends, then those of the row before.
        numbers = np.empty((rows + 1, width + 2), np.int32)
        number_runs(class_map, numbers[1:, 1:-1])
        region, region_class = label(class_map, runs, numbers[1:, 1:-1])
        count = len(region_class)
        numbers[:, 0] = numbers[:, -1] = len(region)
        numbers[0, 1:-1] = len(region) + 1 + np.arange(width)

        mine = np.where(region_class == NO_DATA, VOID, self._next + np.arange(count))
        self._next += count
        renamed = self._join(mine[region[numbers[1, 1:-1]]], classes[:2, 1:-1])
        mine, before = renamed[mine], renamed[self._names]
        names = np.concatenate([mine[region], [VOID], before])
        self._count(renamed, mine, region, region_class, runs)
        kept = [replace(b, left=renamed[b.left], right=renamed[b.right]) for b in self._borders]
        band = trace(classes, numbers, names, self._row)
        made = simplified(self._seams.join(band, renamed.__getitem__).oriented(), self._tolerance)
        self._borders = [*kept, made]
        self._row += rows
        self._classes, self._names = classes[-1], names[numbers[-1, 1:-1]]
        return self._closed()

    def finish(self) -> Regions:
        """The regions that reach the last row."""
        beyond = np.full((1, self._width), NO_DATA, np.uint8)
        return self.add(beyond, find_runs(beyond, beyond))

    def _join(self, first: Ints, classes: UInt8Array) -> Ints:
        """What every region is called from now on, by name; regions that touch across two rows are one.

        Args:
            first: int64 [width], names of the band's first row.
            classes: uint8 [2, width], of the row before and of the first row.
        """
        result = np.arange(self._next + 1)
        result[-1] = VOID
        touch = (classes[0] == classes[1]) & (classes[0] != NO_DATA)
        pairs = np.unique(np.stack([self._names[touch], first[touch]], 1), axis=0)
        parent: dict[int, int] = {}

        def find(name: int) -> int:
            while name in parent:
                name = parent[name]
            return name

        for above, below in pairs.tolist():
            a, b = find(above), find(below)
            if a != b:
                parent[max(a, b)] = min(a, b)
        for name in parent:
            result[name] = find(name)
        return result

    def _count(self, renamed: Ints, mine: Ints, region: Ints, region_class: UInt8Array, runs: Runs) -> None:
        """Add a band's pixels to the sums of the open regions."""
        fresh = np.zeros(len(mine), _SUMS)
        areas = runs.length * np.append(self._pixel_areas, 0)[self._row + runs.row]
        fresh["name"], fresh["class_index"] = mine, region_class
        for field, values in (("pixels", runs.length), ("area", areas), ("confidence", runs.confidence)):
            fresh[field] = np.bincount(region, values, len(mine))
        every = np.concatenate([self._open, fresh[mine != VOID]])
        names, first, group = np.unique(renamed[every["name"]], return_index=True, return_inverse=True)
        self._open = every[first]
        self._open["name"] = names
        for field in ("pixels", "area", "confidence"):
            self._open[field] = np.bincount(group, every[field], len(names))

    def _closed(self) -> Regions:
        """Take out the regions that do not reach the last row."""
        reaching = np.zeros(self._next + 1, np.bool_)
        reaching[self._names] = True
        done = ~reaching[self._open["name"]]
        sums, self._open = self._open[done], self._open[~done]
        wanted = np.zeros(self._next + 1, np.bool_)
        wanted[sums["name"]] = True
        around = [b.take(wanted[b.left] | wanted[b.right]) for b in self._borders]
        made = polygons(Borders.joined(around), wanted, self._width)
        still = np.zeros(self._next + 1, np.bool_)
        still[self._open["name"]] = True
        self._borders = [b for b in (_without_most(b, still) for b in self._borders) if len(b)]
        return Regions(
            sums["class_index"], sums["pixels"], sums["area"], sums["confidence"] / sums["pixels"] / 255, *made
        )


def _without_most(borders: Borders, still: npt.NDArray[np.bool_]) -> Borders:
    """Without those that no region needs any more, where these are more than half.

    Large regions keep theirs for most of a scene: to copy them at every band would take longer than to make them.
    """
    needed = still[borders.left] | still[borders.right]
    return borders if 2 * np.count_nonzero(needed) > len(needed) else borders.take(needed)


_SUMS = np.dtype([("name", "i8"), ("class_index", "i8"), ("pixels", "i8"), ("area", "f8"), ("confidence", "f8")])

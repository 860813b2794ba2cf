"""A class map as polygons, band by band: dissolved across bands, neighbours simplified along one common line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.scenes.work import NO_DATA
from rsseg_edge.types import UInt8Array

BAND_PIXELS = 4 << 20
"""Pixels that are made into polygons at once."""

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Region:
    """Connected pixels of one class (sharing edges, not corners).

    Attributes:
        class_index: of the class table.
        pixels: how many they are.
        area: on the ground, square metres.
        confidence: mean, 0..1.
        polygon: shapely's, in pixels of the scene: x to the right, y down.
    """

    class_index: int
    pixels: int
    area: float
    confidence: float
    polygon: Any


@dataclass(eq=False)
class _Open:
    """A region that reaches the last row so far."""

    class_index: int
    pixels: int = 0
    area: float = 0.0
    confidence: float = 0.0
    parts: list[Any] = field(default_factory=list)

    def take(self, other: _Open) -> None:
        self.pixels += other.pixels
        self.area += other.area
        self.confidence += other.confidence
        self.parts += other.parts

    def close(self) -> Region:
        import shapely

        polygon = self.parts[0] if len(self.parts) == 1 else shapely.union_all(self.parts)
        return Region(self.class_index, self.pixels, self.area, self.confidence / self.pixels / 255, polygon)


class Polygonizer:
    """Takes bands from the top down and gives regions when nothing can be added to them any more.

    Memory is that of a band, and of the regions that reach its last row.

    Args:
        pixel_areas: float64 [height]: square metres of a pixel of each row.
        tolerance: of the simplification, in pixels: corners are dropped that span a triangle of less than its square.
            Common borders stay common, so that nothing overlaps or is lost, and where data ends they keep every
            corner. 0 keeps all.
    """

    def __init__(self, pixel_areas: npt.NDArray[np.float64], tolerance: float) -> None:
        self._pixel_areas, self._tolerance = pixel_areas, tolerance
        self._row = 0
        self._last: npt.NDArray[np.int64] | None = None  # of each column of the last row: which open region
        self._open: dict[int, _Open] = {}
        self._next = 0

    def add(self, class_map: UInt8Array, confidence: UInt8Array) -> list[Region]:
        """The next rows, uint8 [n, width] each; regions that are complete."""
        labels, classes = label(class_map)
        areas = self._pixel_areas[self._row : self._row + len(labels)]
        flat = labels.ravel()
        pixels = np.bincount(flat, minlength=len(classes))
        sums = np.bincount(flat, confidence.ravel(), len(classes))
        area = np.bincount(flat, np.repeat(areas, labels.shape[1]), len(classes))
        polygons = outlines(labels, classes != NO_DATA, self._tolerance, self._row)
        first = self._next
        self._next += len(classes)
        for i, class_index in enumerate(classes.tolist()):
            if class_index != NO_DATA:
                self._open[first + i] = _Open(
                    class_index, int(pixels[i]), float(area[i]), float(sums[i]), [polygons[i]]
                )
        last = labels[-1].astype(np.int64) + first
        if self._last is not None:
            names = self._join(labels[0].astype(np.int64) + first, self._last)
            last = np.array([names.get(name, name) for name in last.tolist()], np.int64)
        self._last = last
        self._row += len(labels)
        reaching = set(last.tolist())
        done = [name for name in self._open if name not in reaching]
        return [self._open.pop(name).close() for name in done]

    def finish(self) -> list[Region]:
        """The regions that reach the last row."""
        done = [region.close() for region in self._open.values()]
        self._open.clear()
        return done

    def _join(self, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> dict[int, int]:
        """Put together what touches across two rows; what each of them is called now."""
        names: dict[int, int] = {}

        def find(name: int) -> int:
            while name in names:
                name = names[name]
            return name

        for above, below in np.unique(np.stack([last, first], 1), axis=0).tolist():
            if above not in self._open and above not in names:
                continue  # no data above
            if below not in self._open and below not in names:
                continue
            a, b = find(above), find(below)
            if a != b and self._open[a].class_index == self._open[b].class_index:
                keep, drop = min(a, b), max(a, b)
                self._open[keep].take(self._open.pop(drop))
                names[drop] = keep
        return {name: find(name) for name in names}


def label(class_map: UInt8Array) -> tuple[Labels, UInt8Array]:
    """Connected regions of every class: int32 [h, w] from 0, and the class of each, uint8 [n]."""
    import cv2

    labels = np.empty(class_map.shape, np.int32)
    classes: list[npt.NDArray[np.uint8]] = []
    count = 0
    for index in np.flatnonzero(np.bincount(class_map.ravel(), minlength=256)).tolist():
        inside = cv2.compare(class_map, index, cv2.CMP_EQ)
        found, parts = cv2.connectedComponents(inside, connectivity=4, ltype=cv2.CV_32S)
        parts += count - 1  # 0 is what is outside
        np.copyto(labels, parts, where=inside.astype(np.bool_))
        classes.append(np.full(found - 1, index, np.uint8))
        count += found - 1
    return labels, np.concatenate(classes)


def outlines(labels: Labels, valid: npt.NDArray[np.bool_], tolerance: float, top: int) -> npt.NDArray[Any]:
    """A polygon of each label, simplified together; their border to no data and to other bands keeps its corners.

    Args:
        labels: int32 [h, w], each of them connected.
        valid: bool [n]: of each label, whether it is simplified with the others.
        tolerance: see :class:`Polygonizer`.
        top: added to y.

    Returns:
        shapely polygons [n].
    """
    import shapely
    from rasterio.features import shapes

    points: list[tuple[float, float]] = []
    rings: list[int] = []  # points of each ring
    owners: list[int] = []  # label of each ring; the first of a label is its outside
    for geometry, value in shapes(labels, connectivity=4):
        for ring in geometry["coordinates"]:
            points += ring
            rings.append(len(ring))
            owners.append(int(value))
    xy, ring_of = _with_junctions(np.array(points), np.array(rings), labels)
    order = np.argsort(np.array(owners), kind="stable")
    lines = shapely.linearrings(xy, indices=ring_of)[order]
    owner = np.array(owners)[order]
    outer = np.r_[True, owner[1:] != owner[:-1]]
    result = np.array(shapely.polygons(lines[outer]), dtype=object)
    holed = np.unique(owner[~outer])
    if len(holed):
        shells = lines[outer]
        position = np.searchsorted(holed, owner[~outer])
        holes = np.split(lines[~outer], np.flatnonzero(np.diff(position)) + 1)
        for index, inner in zip(holed.tolist(), holes, strict=True):
            result[index] = shapely.polygons(shells[index], holes=inner)
    assert len(result) == len(valid), "each label is connected"
    if tolerance:
        result[valid] = shapely.coverage_simplify(result[valid], tolerance, simplify_boundary=False)
    moved: npt.NDArray[Any] = shapely.transform(result, lambda points: points + np.array([0, top]))
    return moved


def _with_junctions(
    points: npt.NDArray[np.float64], rings: npt.NDArray[np.int64], labels: Labels
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Points of rings where they turn and, new, where three regions meet: neighbours must share their points.

    Returns:
        float64 [n, 2] and the ring of each, int64 [n].
    """
    xy = points.astype(np.int64)
    ring = np.repeat(np.arange(len(rings)), rings)
    following = np.r_[xy[1:], xy[:1]]
    last = np.cumsum(rings) - 1
    step = following - xy
    step[last] = 0  # a ring's last point is its first
    length = np.maximum(np.abs(step).sum(1), 1)
    start = np.repeat(np.arange(len(xy)), length)
    along = np.arange(len(start)) - np.repeat(np.cumsum(length) - length, length)
    every = xy[start] + np.sign(step)[start] * along[:, None]
    kept = (along == 0) | _junctions(labels)[every[:, 1], every[:, 0]]
    return every[kept].astype(np.float64), ring[start[kept]]


def _junctions(labels: Labels) -> npt.NDArray[np.bool_]:
    """bool [h + 1, w + 1]: corners of pixels where three or four borders meet."""
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    result = np.zeros((labels.shape[0] + 1, labels.shape[1] + 1), np.bool_)
    borders = across[1:].astype(np.uint8) + across[:-1] + down[:, 1:] + down[:, :-1]
    result[1:-1, 1:-1] = borders >= 3
    result[0, 1:-1] = across[0]
    result[-1, 1:-1] = across[-1]
    result[1:-1, 0] = down[:, 0]
    result[1:-1, -1] = down[:, -1]
    return result


def band_rows(width: int) -> int:
    """Rows that are made into polygons at once."""
    return max(64, BAND_PIXELS // max(1, width))


def regions(
    bands: Iterator[tuple[UInt8Array, UInt8Array]] | Sequence[tuple[UInt8Array, UInt8Array]],
    pixel_areas: npt.NDArray[np.float64],
    tolerance: float,
) -> Iterator[list[Region]]:
    """Regions of a scene, as its bands complete them."""
    polygonizer = Polygonizer(pixel_areas, tolerance)
    for class_map, confidence in bands:
        yield polygonizer.add(class_map, confidence)
    yield polygonizer.finish()

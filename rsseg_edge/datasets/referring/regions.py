"""Connected regions of a label map, and what can be measured of them."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from rsseg_edge.types import UInt8Array

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

VISIBLE = 1e-3
"""Share of the image from which on a region may be referred to."""

SPECK = 5e-5
"""Share of the image below which a region is labelling noise, which no sentence has to reckon with."""


class Regions:
    """The n connected regions of one class, specks left out, largest first.

    Attributes:
        all_pixels: bool [H, W], of the class, specks included.
        index: int32 [H, W], region 0..n-1, or n outside of all.
        area: int [n], in pixels.
        box: int [n, 4], left, top, right, bottom in pixels, the last two exclusive.
        centroid: float [n, 2], column and row.
        visible: bool [n], large enough to be referred to.
    """

    def __init__(self, labels: UInt8Array, label: int) -> None:
        self.all_pixels: BoolArray = labels == label
        count, components, stats, centroids = cv2.connectedComponentsWithStats(self.all_pixels.astype(np.uint8))
        area = stats[1:, cv2.CC_STAT_AREA]
        order = np.argsort(-area, kind="stable")
        order = order[area[order] >= max(2.0, SPECK * labels.size)]
        place = np.full(count, len(order), np.int32)
        place[order + 1] = np.arange(len(order))
        self.index = place[components]
        self.area = area[order].astype(np.int64)
        begin, size = stats[1:][order, :2].astype(np.int64), stats[1:][order, 2:4].astype(np.int64)
        self.box = np.concatenate([begin, begin + size], axis=1)
        self.centroid: FloatArray = np.asarray(centroids[1:][order], np.float64)
        self.visible: BoolArray = self.area >= VISIBLE * labels.size

    def __len__(self) -> int:
        return len(self.area)

    def mask(self, regions: tuple[int, ...] | None) -> BoolArray:
        """bool [H, W]: pixels of these regions, or for None of the class."""
        return self.all_pixels if regions is None else np.isin(self.index, regions)

    def count(self, where: BoolArray) -> npt.NDArray[np.int64]:
        """int64 [n]: pixels of each region in ``where``, bool [H, W]."""
        pixels, starts = self._pixels
        return np.add.reduceat(where.ravel()[pixels], starts, dtype=np.int64)

    def least(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 [n]: the least of ``values`` [H, W] in each region."""
        pixels, starts = self._pixels
        return np.minimum.reduceat(values.ravel()[pixels], starts)

    @cached_property
    def _pixels(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pixels in the order of their regions, and where each region begins among them."""
        inside = np.flatnonzero(self.index.ravel() < len(self))
        pixels = inside[np.argsort(self.index.ravel()[inside], kind="stable")]
        return pixels, np.concatenate([[0], np.cumsum(self.area[:-1])])

    @cached_property
    def distance(self) -> npt.NDArray[np.float32]:
        """float32 [H, W]: pixels to the nearest one of the class."""
        return np.asarray(cv2.distanceTransform((~self.all_pixels).astype(np.uint8), cv2.DIST_L2, 5), np.float32)

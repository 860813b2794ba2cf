"""The regions of a frame as polygons, in pixel coordinates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsseg_edge.polygons import polygonize
from rsseg_edge.types import Segmentation, UInt8Array


@dataclass(frozen=True, eq=False)
class Region:
    """Connected pixels of one class.

    Attributes:
        index: of the class.
        polygon: shapely polygon in continuous pixel coordinates (x to the right, y down; 0 is the picture's edge).
        confidence: mean over its pixels, 0..1.
        pixels: how many; the polygon's area, too.
    """

    index: int
    polygon: Any
    confidence: float
    pixels: int


def regions(
    segmentation: Segmentation, classes: Sequence[int], *, least: int = 16, tolerance: float = 1.0
) -> Iterator[Region]:
    """Regions of some classes, with their holes; pixels that touch at a corner alone are not connected.

    Neighbours share one simplified line, also where one of them is left out, so that an outline does not depend on what
    else is asked for. Classes that may overlap share none: each is drawn by itself.

    Args:
        segmentation: of a picture.
        classes: which ones.
        least: smaller regions, in pixels, are left out; they stay holes of what is around them.
        tolerance: pixels, 0 to 1: the width of the strip in which all corners of a simplified line lie. 1 undoes the
            stairs of a slope, 0 keeps every corner. No corner is half a pixel from its line, and the picture's edge
            stays as it is.
    """
    for class_map, wanted in _layers(segmentation, classes):
        runs = polygonize.find_runs(class_map, segmentation.confidence)
        if not np.isin(runs.class_index, list(wanted)).any():
            continue
        height, width = class_map.shape
        parts = list(polygonize.regions([(class_map, runs)], np.ones(height), width, tolerance))
        for value, index in wanted.items():
            for part in parts:
                for at in np.flatnonzero((part.class_index == value) & (part.pixels >= least)).tolist():
                    yield Region(index, part.polygon[at], float(part.confidence[at]), int(part.pixels[at]))


def _layers(segmentation: Segmentation, classes: Sequence[int]) -> Iterator[tuple[UInt8Array, dict[int, int]]]:
    """Class maps without overlap, and what is wanted of each: values of it, and the classes that they stand for."""
    if segmentation.masks is None:
        yield segmentation.class_map, {index: index for index in classes}
        return
    for index in classes:
        mask = segmentation.masks[index - 1] if index > 0 else segmentation.class_map == 0
        yield mask.view(np.uint8), {1: index}

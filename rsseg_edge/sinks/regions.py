"""Class maps as polygons, in pixel coordinates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsseg_edge.types import Segmentation


@dataclass(frozen=True, eq=False)
class Region:
    """Connected pixels of one class.

    Attributes:
        index: of the class.
        polygon: shapely polygon in continuous pixel coordinates (x to the right, y down; 0 is the picture's edge).
        confidence: mean over its pixels, 0..1.
        pixels: how many.
    """

    index: int
    polygon: Any
    confidence: float
    pixels: int


def regions(
    segmentation: Segmentation, classes: Sequence[int], *, least: int = 16, tolerance: float = 0.7
) -> Iterator[Region]:
    """Regions of some classes, with their holes; pixels that touch at a corner alone are not connected.

    Args:
        segmentation: of a picture.
        classes: which ones.
        least: smaller regions, in pixels, are left out.
        tolerance: outlines are simplified by at most so many pixels: 0.7 undoes the stairs of a slope.
    """
    import cv2
    import shapely
    from rasterio.features import shapes

    confidence = segmentation.confidence.ravel().astype(np.float64)
    for index in classes:
        if segmentation.masks is not None and index > 0:
            mask = segmentation.masks[index - 1]
        else:
            mask = segmentation.class_map == index
        if not mask.any():
            continue
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
        flat = labels.ravel()
        pixels = np.bincount(flat, minlength=count)
        means = np.bincount(flat, weights=confidence, minlength=count) / np.maximum(pixels, 1) / 255
        kept = (pixels >= least) & (np.arange(count) > 0)
        for outline, value in shapes(labels, mask=kept[labels], connectivity=4):
            shell, *holes = (shapely.linearrings(ring) for ring in outline["coordinates"])
            polygon = shapely.simplify(shapely.polygons(shell, holes or None), tolerance)
            if not polygon.is_empty:
                label = int(value)
                yield Region(index, polygon, float(means[label]), int(pixels[label]))

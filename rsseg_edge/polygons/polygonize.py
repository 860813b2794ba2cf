"""Class maps as polygons: band by band, dissolved across bands, neighbours simplified along one common line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.polygons import native
from rsseg_edge.polygons.reference import labels, polygonizer
from rsseg_edge.polygons.regions import Floats, Regions, Runs
from rsseg_edge.types import UInt8Array

BAND_PIXELS = 2 << 20
"""Pixels that are made into polygons at once."""


def band_rows(width: int) -> int:
    """Rows that are made into polygons at once."""
    return max(64, BAND_PIXELS // max(1, width))


def find_runs(class_map: UInt8Array, confidence: UInt8Array) -> Runs:
    """Of a class map and its confidence, uint8 [h, w] each."""
    form = labels.find_runs if native.library() is None else native.find_runs
    return form(class_map, confidence)


def regions(
    bands: Iterable[tuple[UInt8Array, Runs]], pixel_areas: Floats, width: int, tolerance: float
) -> Iterator[Regions]:
    """Regions of a class map, as its bands complete them. They do not depend on the bands.

    Args:
        bands: rows from the top down, uint8 [n, width], and their runs.
        pixel_areas: float64 [height]: square metres of a pixel of each row.
        width: of the class map, in pixels.
        tolerance: pixels, 0 to 1, see :func:`rsseg_edge.polygons.reference.simplify.simplified`. Common borders stay
            common, so that nothing overlaps or is lost, and every polygon keeps the area of its pixels.
    """
    form = polygonizer.Polygonizer if native.library() is None else native.Polygonizer
    made = form(pixel_areas, width, tolerance)
    for class_map, runs in bands:
        yield made.add(class_map, runs)
    yield made.finish()


def wkb(regions: Regions, scale: tuple[float, float], shift: tuple[float, float]) -> npt.NDArray[Any]:
    """Polygons as Well-Known Binary (OGC 06-103r4): bytes [n].

    Args:
        regions: n of them.
        scale: what x and y are multiplied with.
        shift: what is added then.
    """
    if native.library() is not None:
        return native.wkb(regions, scale, shift)
    import shapely

    placed = shapely.transform(regions.polygon, lambda xy: xy * np.array(scale) + np.array(shift))
    made: npt.NDArray[Any] = shapely.to_wkb(placed)
    return made

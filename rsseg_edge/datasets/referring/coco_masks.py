"""Masks as COCO's annotations have them: polygons and run lengths."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rsseg_edge.datasets.referring.regions import BoolArray

_SUBPIXEL = 4  # bits of a coordinate behind the point


def decode_segmentation(segmentation: Any, height: int, width: int) -> BoolArray:
    """bool [H, W] of an annotation's ``segmentation``.

    Args:
        segmentation: a list of polygons ``[x, y, x, y, ...]`` in pixels from the edge, a run-length object, or a list
            of such: their union.
        height: of the image.
        width: of the image.

    Raises:
        ValueError: it is none of these, or of another size.
    """
    parts = segmentation if isinstance(segmentation, list) else [segmentation]
    mask = np.zeros((height, width), np.bool_)
    for part in parts:
        mask |= _run_lengths(part, height, width) if isinstance(part, dict) else _polygon(part, height, width)
    return mask


def _polygon(points: Any, height: int, width: int) -> BoolArray:
    try:
        corners = np.asarray(points, np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise ValueError("a polygon is a list of x and y in turn") from None
    if len(corners) < 3 or not np.isfinite(corners).all() or np.abs(corners).max() > 1e6:
        raise ValueError("a polygon has three corners at least, all of them near the image")
    # COCO counts from the image's edge, OpenCV from the middle of the first pixel.
    fixed = np.round((corners - 0.5) * (1 << _SUBPIXEL)).astype(np.int32)
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [fixed], 1, shift=_SUBPIXEL)
    return np.asarray(canvas, np.bool_)


def _run_lengths(part: dict[str, Any], height: int, width: int) -> BoolArray:
    """Runs of 0 and 1 in turn, down the columns; as numbers, or packed into a string."""
    if part.get("size") != [height, width]:
        raise ValueError(f"run lengths of {part.get('size')}, but the image is {[height, width]}")
    counts = part.get("counts")
    runs = np.asarray(_unpack(counts) if isinstance(counts, str) else counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"run lengths do not add up to {height} x {width} pixels")
    values = np.arange(len(runs)) % 2 == 1
    return np.asarray(np.repeat(values, runs).reshape(width, height).T, np.bool_)


def _unpack(text: str) -> npt.NDArray[np.int64]:
    """COCO's string: 5 bits a character from "0" on, low ones first, the sixth says that more follow; from the fourth
    run on the difference to the run two before.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            raise ValueError("run lengths in a string that is not COCO's")
        value |= (code & 0x1F) << shift
        shift += 5
        if not code & 0x20:
            if code & 0x10:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("run lengths end within a number")
    return np.asarray(runs, np.int64)

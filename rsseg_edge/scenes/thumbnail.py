"""A scene's picture, made of what is read of the scene anyway, so that it need not be read once more."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rsseg_edge.scenes.reading import Box
from rsseg_edge.types import UInt8Array

LONG_SIDE = 1600
EMPTY = 255  # the grey of no data
CHUNK = 64  # rows of the picture that are read at once
TOLERANCE = 1e-6  # pixels; what rounding may make of a border


class Thumbnail:
    """A picture of a scene, filled piece by piece.

    Args:
        height: of the scene, in pixels.
        width: of the scene.

    Attributes:
        image: uint8 [h, w, 3] RGB, of which the longer side is at most ``LONG_SIDE``; white where nothing was shown.
    """

    def __init__(self, height: int, width: int) -> None:
        scale = min(1.0, LONG_SIDE / max(height, width))
        self.image = np.full((max(1, round(height * scale)), max(1, round(width * scale)), 3), EMPTY, np.uint8)
        self._down, self._across = height / self.image.shape[0], width / self.image.shape[1]
        self._seen = np.zeros(self.image.shape[:2], np.bool_)

    def show(self, box: Box, image: UInt8Array) -> None:
        """Fill in what is still empty, to half a pixel of ``image``.

        Args:
            box: a part of the scene, in its pixels.
            image: uint8 [height, width, 3] RGB of it, all of it valid. One that is coarser than the picture is left.
        """
        import cv2

        top, bottom = _inside(box.top, box.height, self._down)
        left, right = _inside(box.left, box.width, self._across)
        empty = ~self._seen[top:bottom, left:right]
        rows, columns = np.flatnonzero(empty.any(1)), np.flatnonzero(empty.any(0))
        if not rows.size:
            return
        top, bottom = top + int(rows[0]), top + int(rows[-1]) + 1
        left, right = left + int(columns[0]), left + int(columns[-1]) + 1
        y0, y1 = (round((edge * self._down - box.top) * len(image) / box.height) for edge in (top, bottom))
        x0, x1 = (round((edge * self._across - box.left) * image.shape[1] / box.width) for edge in (left, right))
        if y1 - y0 < bottom - top or x1 - x0 < right - left:
            return
        size = (right - left, bottom - top)
        part = image[y0:y1, x0:x1]
        # By halves first: OpenCV takes a tenth of the time for these, and there are few pixels left for the rest.
        while part.shape[0] >= 4 * size[1] and part.shape[1] >= 4 * size[0]:
            half = part.shape[1] // 2, part.shape[0] // 2
            part = np.asarray(cv2.resize(part[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA))
        self.image[top:bottom, left:right] = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        self._seen[top:bottom, left:right] = True

    def missing(self) -> Iterator[tuple[slice, Box]]:
        """Rows of the picture of which not all was shown, and the part of the scene that they are."""
        rows, columns = self._seen.shape
        for top in range(0, rows, CHUNK):
            bottom = min(top + CHUNK, rows)
            if not self._seen[top:bottom].all():
                yield slice(top, bottom), Box(top * self._down, 0, (bottom - top) * self._down, columns * self._across)


def _inside(start: float, size: float, scale: float) -> tuple[int, int]:
    """First pixel of the picture that lies in a part of the scene, and the end of them; ``scale`` is a pixel's side."""
    return math.ceil(start / scale - TOLERANCE), math.floor((start + size) / scale + TOLERANCE)

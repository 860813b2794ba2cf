"""A class map at half its size, and half of that: each pixel the class of most of its four, as GDAL's MODE has it.

GDAL takes longer for these than for the whole file otherwise.
"""

from __future__ import annotations

import numpy as np

from rsseg_edge.scenes.layers import Layers
from rsseg_edge.sinks.part_file import named_errors
from rsseg_edge.types import NO_DATA, UInt8Array


class Overviews:
    """Halves of a layer, written beside it while its rows come: until one is no larger than ``least`` pixels either
    way; none where the layer is not.

    Args:
        layers: the layer's size and folder.
        layer: its name.
        least: pixels.

    Attributes:
        levels: each half of the one before.

    Raises:
        RssegError: the file system refuses.
    """

    def __init__(self, layers: Layers, layer: str, least: int) -> None:
        self.levels: list[Layers] = []
        height, width = layers.height, layers.width
        self._missing = [height]  # rows of the layer, then of each level
        while max(height, width) > least:
            height, width = -(-height // 2), -(-width // 2)
            self.levels.append(Layers(layers.folder, height, width, (f"{layer}.{2 << len(self.levels)}",)))
            self._missing.append(height)
        self._odd: list[UInt8Array | None] = [None] * len(self.levels)
        for level in self.levels:
            path = level.path(level.names[0])
            with named_errors(path):
                path.write_bytes(b"")

    def add(self, rows: UInt8Array) -> None:
        """The layer's next rows, uint8 [n, width].

        Raises:
            RssegError: the file system refuses.
        """
        self._missing[0] -= len(rows)
        for number, level in enumerate(self.levels):
            odd = self._odd[number]
            if odd is not None:
                rows = np.concatenate([odd, rows])
            whole = len(rows) if self._missing[number] == 0 else len(rows) // 2 * 2
            self._odd[number] = rows[whole:].copy() if whole < len(rows) else None
            rows = halved(rows[:whole])
            self._missing[number + 1] -= len(rows)
            path = level.path(level.names[0])
            with named_errors(path), path.open("ab") as file:
                file.write(rows.data)


def halved(class_map: UInt8Array) -> UInt8Array:
    """uint8 [h, w] to [h / 2, w / 2], rounded up; of equally many the first in reading order; ``NO_DATA`` where there
    is no other."""
    import cv2

    if class_map.shape[0] % 2 or class_map.shape[1] % 2:
        class_map = np.pad(class_map, [(0, side % 2) for side in class_map.shape], constant_values=NO_DATA)
    height, width = (side // 2 for side in class_map.shape)
    if not height or not width:
        return np.zeros((height, width), np.uint8)
    # Columns by turns, as if they were the channels of a picture, which OpenCV takes apart.
    (a, b), (c, d) = (cv2.split(class_map[i::2].reshape(height, width, 2)) for i in (0, 1))
    result: UInt8Array = np.array(a)
    mixed = np.flatnonzero((a != b) | (a != c) | (a != d))  # few
    a, b, c, d = (plane.ravel()[mixed] for plane in (a, b, c, d))
    chosen = a.copy()
    for other in (b, c, d):
        np.copyto(chosen, other, where=chosen == NO_DATA)
    np.copyto(chosen, c, where=(c == d) & (c != NO_DATA))
    np.copyto(chosen, b, where=((b == c) | (b == d)) & (b != NO_DATA))
    np.copyto(chosen, a, where=((a == b) | (a == c) | (a == d)) & (a != NO_DATA))
    result.ravel()[mixed] = chosen
    return result

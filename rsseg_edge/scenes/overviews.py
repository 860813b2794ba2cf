"""A class map at half its size, and half of that: each pixel the class of most of its four, as GDAL's MODE has it.

GDAL takes longer for these than for the whole file otherwise.
"""

from __future__ import annotations

import numpy as np

from rsseg_edge.scenes.layers import Layers
from rsseg_edge.sinks.part_file import named_errors
from rsseg_edge.types import NO_DATA, UInt8Array

ROWS = 512
"""That are halved at once: an even number."""


def write_overviews(layers: Layers, layer: str, least: int) -> list[Layers]:
    """Write halves of a layer beside it, until one is no larger than ``least`` pixels either way; none where the layer
    is not.

    Raises:
        RssegError: the file system refuses.
    """
    made: list[Layers] = []
    whole, name = layers, layer
    while max(whole.height, whole.width) > least:
        half = f"{layer}.{2 << len(made)}"
        made.append(Layers(layers.folder, -(-whole.height // 2), -(-whole.width // 2), (half,)))
        path = made[-1].path(half)
        with named_errors(path), path.open("wb") as file:
            for top in range(0, whole.height, ROWS):
                file.write(halved(whole.read(name, top, min(top + ROWS, whole.height))).data)
        whole, name = made[-1], half
    return made


def halved(class_map: UInt8Array) -> UInt8Array:
    """uint8 [h, w] to [h / 2, w / 2], rounded up; of equally many the first in reading order; ``NO_DATA`` where there
    is no other."""
    height, width = class_map.shape
    if height % 2 or width % 2:
        class_map = np.pad(class_map, ((0, height % 2), (0, width % 2)), constant_values=NO_DATA)
    a, b, c, d = (np.ascontiguousarray(class_map[i::2, j::2]) for i in (0, 1) for j in (0, 1))
    result = a.copy()
    for other in (b, c, d):
        np.copyto(result, other, where=result == NO_DATA)
    np.copyto(result, c, where=(c == d) & (c != NO_DATA))
    np.copyto(result, b, where=((b == c) | (b == d)) & (b != NO_DATA))
    np.copyto(result, a, where=((a == b) | (a == c) | (a == d)) & (a != NO_DATA))
    return result

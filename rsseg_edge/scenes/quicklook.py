"""A scene small enough to look at: its picture, and its classes over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.postprocess.overlay import Overlay
from rsseg_edge.scenes.layers import Layers
from rsseg_edge.scenes.reading import Box
from rsseg_edge.scenes.scene import Scene
from rsseg_edge.types import NO_DATA, UInt8Array

LONG_SIDE = 1600
EMPTY = 255  # the grey of no data
CHUNK = 64  # rows of the picture that are read at once


@dataclass(frozen=True, eq=False)
class QuickLook:
    """A scene scaled down.

    Attributes:
        image: uint8 [h, w, 3] RGB; white where there is no data.
        class_map: uint8 [h, w]; ``NO_DATA`` there.
    """

    image: UInt8Array
    class_map: UInt8Array

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """bool [h, w]."""
        return np.asarray(self.class_map != NO_DATA, np.bool_)

    def overlay(self, overlay: Overlay) -> UInt8Array:
        """The picture with its classes and, to its right, the legend: uint8 [h or more, w + legend, 3] RGB."""
        drawn = overlay.draw(self.image, np.where(self.valid, self.class_map, 0), legend=False)
        drawn[~self.valid] = EMPTY
        legend = overlay.legend(*self.class_map.shape)
        height, width = max(len(drawn), len(legend)), drawn.shape[1] + legend.shape[1]
        result = np.full((height, width, 3), legend[0, 0], np.uint8)
        result[: len(drawn), : drawn.shape[1]] = drawn
        result[: len(legend), drawn.shape[1] :] = legend
        return result


def quick_look(scene: Scene, layers: Layers) -> QuickLook:
    """Scale a scene and its class map down to ``LONG_SIDE``.

    Raises:
        RssegError: something cannot be read.
    """
    height, width = scene.geo.height, scene.geo.width
    scale = min(1.0, LONG_SIDE / max(height, width))
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    image = np.full((h, w, 3), EMPTY, np.uint8)
    rows = ((np.arange(h) + 0.5) * height / h).astype(np.int64)
    columns = ((np.arange(w) + 0.5) * width / w).astype(np.int64)
    class_map = np.stack([layers.read("classes", int(row), int(row) + 1)[0, columns] for row in rows])
    for top in range(0, h, CHUNK):
        bottom = min(top + CHUNK, h)
        part, valid = scene.read(Box(top * height / h, 0, (bottom - top) * height / h, width), (bottom - top, w))
        image[top:bottom][valid] = part[valid]
    return QuickLook(image, class_map)

"""A scene small enough to look at: its picture, and its classes over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.postprocess.overlay import Overlay
from rsseg_edge.scenes.layers import Layers
from rsseg_edge.scenes.scene import Scene
from rsseg_edge.scenes.thumbnail import EMPTY, Thumbnail
from rsseg_edge.types import NO_DATA, UInt8Array


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
    """Scale a scene and its class map down; what its thumbnail was not shown is read.

    Raises:
        RssegError: something cannot be read.
    """
    height, width = scene.geo.height, scene.geo.width
    thumbnail = scene.thumbnail or Thumbnail(height, width)
    image = thumbnail.image
    h, w = image.shape[:2]
    rows = ((np.arange(h) + 0.5) * height / h).astype(np.int64)
    columns = ((np.arange(w) + 0.5) * width / w).astype(np.int64)
    class_map = np.stack([layers.read("classes", int(row), int(row) + 1)[0, columns] for row in rows])
    for part, box in thumbnail.missing():
        read, valid = scene.read(box, (part.stop - part.start, w))
        image[part] = EMPTY
        image[part][valid] = read[valid]
    return QuickLook(image, class_map)

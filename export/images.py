"""Images that an export is measured and checked on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import RssegError
from rsseg_edge.export.parity import Images
from rsseg_edge.types import UInt8Array


def gate_images(given: str | None, count: int, prepare: Callable[[UInt8Array], npt.NDArray[np.uint8]]) -> Images:
    """Up to ``count`` images spread over what was given, as the graph takes them.

    Args:
        given: folder, image or video; None generates scenes.
        count: of images.
        prepare: an image uint8 [H, W, 3] to a graph's input uint8 [1, ., ., 3].

    Raises:
        UsageError: nothing is there.
        RssegError: no image of it can be read.
    """
    if given is None:
        from rsseg_edge.datasets.reader import open_dataset

        scenes = open_dataset("scenes", None, "val")
        found, what = [scenes[i].image for i in range(count)], f"{count} generated scenes"
    else:
        from rsseg_edge.sources.base import Selection
        from rsseg_edge.sources.choose import open_source

        refused: list[str] = []
        source = open_source(given, Selection(), threads=1, report=refused.append)
        try:
            stride = max(1, (source.expected or count) // count)
            found = [frame.image for frame in source.frames() if frame.index % stride == 0][:count]
        finally:
            source.close()
        if not found:
            raise RssegError(f"{given}: no image in it can be read ({'; '.join(refused) or 'it is empty'})")
        what = f"{len(found)} images of {Path(given).name}"
    return Images(what, [prepare(image) for image in found])

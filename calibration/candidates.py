"""Images to calibrate on, from whatever holds some: a video, a folder, a data set of the table, a scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.types import UInt8Array

MOST = 400
"""Images that are looked at, spread over a longer source."""

WINDOW = 1024
"""Pixels a side of what a scene is cut into."""

Report = Callable[[str], None]


def images(where: str, root: Path | None, report: Report) -> Iterator[UInt8Array]:
    """Every image, or some spread over a long source, uint8 [H, W, 3] RGB; the same ones whenever it is called.

    Args:
        where: a video, an image, a folder or glob of images, a georeferenced raster, or a data set of the table, of
            which the split "train" is taken.
        root: of the data set.
        report: told a line about each image that cannot be read; it is left out.

    Raises:
        UsageError: nothing is there.
        RssegError: a file cannot be opened at all.
    """
    from rsseg_edge.scenes.probe import scene_inputs

    if is_dataset(where):
        yield from _of_dataset(where, root, report)
    elif (scenes := scene_inputs(where)) is not None:
        for scene in scenes:
            yield from _of_scene(scene.path, MOST // len(scenes) or 1)
    else:
        yield from _of_source(where, report)


def is_dataset(where: str) -> bool:
    """Whether a name is one of the table, and no file here."""
    from rsseg_edge.datasets.table import describe

    if Path(where).exists():
        return Path(where).suffix == ".toml"
    try:
        describe(where)
    except UsageError:
        return False
    return True


def _of_dataset(name: str, root: Path | None, report: Report) -> Iterator[UInt8Array]:
    from rsseg_edge.datasets.reader import open_dataset
    from rsseg_edge.datasets.table import describe

    if describe(name).generator is not None:
        raise UsageError(f"--calibration {name}: its images are generated, and ranges are measured on real ones alone")
    dataset = open_dataset(name, root, "train")
    for index in np.unique(np.linspace(0, len(dataset) - 1, min(MOST, len(dataset))).round().astype(int)):
        try:
            yield dataset[int(index)].image
        except RssegError as error:
            report(str(error))


def _of_source(where: str, report: Report) -> Iterator[UInt8Array]:
    from rsseg_edge.sources.base import Selection
    from rsseg_edge.sources.choose import open_source

    source = open_source(where, Selection(), threads=1, report=report)
    try:
        stride = max(1, (source.expected or 0) // MOST)
        for frame in source.frames():
            if frame.index % stride == 0:
                yield frame.image
    except RssegError as error:
        report(str(error))  # a video that breaks off: what came before is good
    finally:
        source.close()


def _of_scene(path: str, most: int) -> Iterator[UInt8Array]:
    from rsseg_edge.scenes.gdal import environment
    from rsseg_edge.scenes.reading import Box
    from rsseg_edge.scenes.scene import Options, Scene

    with environment(), Scene(path, Options()) as scene:
        scene.stretch = scene.measure()
        height, width = scene.geo.height, scene.geo.width
        side = min(WINDOW, height, width)
        places = [(top, left) for top in range(0, height - side + 1, side) for left in range(0, width - side + 1, side)]
        for index in np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int)):
            top, left = places[index]
            image, valid = scene.read(Box(top, left, side, side), (side, side))
            if valid.mean() > 0.9:
                yield image

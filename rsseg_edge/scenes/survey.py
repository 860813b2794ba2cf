"""The first look at a scene: a few windows all over it, from which the queries come that every window will share."""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from rsseg_edge.bundle import InputSpec
from rsseg_edge.scenes.clock import Clock
from rsseg_edge.scenes.gdal import environment
from rsseg_edge.scenes.reading import Box
from rsseg_edge.scenes.scene import Scene
from rsseg_edge.scenes.windows import Axis, Plan
from rsseg_edge.segmenter import ScoringSegmenter
from rsseg_edge.segmenters.scene_queries import SceneQueries
from rsseg_edge.types import UInt8Array

SIDE = 768
"""Pixels of the survey's windows: with six of them in place of four of twice the side, mIoU over Dubai stays as it was
to 0.1 %, for three eighths of the work. More of them, or smaller ones, bring nothing."""
ONE_IN, AT_LEAST, AT_MOST = 16, 6, 48
"""Windows of the survey: one for so many of the scene's, but at least and at most so many."""

Sides = tuple[int, int]
"""Height and width of windows, in working pixels."""


def survey(scene: Scene, segmenter: ScoringSegmenter, plan: Plan, sides: Sides, clock: Clock) -> SceneQueries | None:
    """The queries of a scene, which do not depend on where its windows lie.

    None where the scene is a single window, has no valid pixel where it was looked at, or the model has no queries.

    Args:
        scene: opened.
        segmenter: gives the queries.
        plan: the scene's windows.
        sides: of the survey's windows, see :func:`survey_sides`.
        clock: counts them.

    Raises:
        RssegError: the scene cannot be read any more, or the engine failed.
    """

    def read(place: tuple[int, int]) -> UInt8Array | None:
        with environment():  # GDAL's settings reach no other thread
            return window_image(scene, plan, *place, sides)

    def ask(image: UInt8Array) -> SceneQueries | None:
        with clock.window(image, survey=True):
            return segmenter.queries(image)

    seen: list[SceneQueries] = []
    waiting: deque[Future[SceneQueries | None]] = deque()

    def take() -> bool:
        queries = waiting.popleft().result()
        if queries is not None:
            seen.append(queries)
        return queries is not None

    with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(segmenter.at_once) as several:
        for image in ahead.map(read, survey_windows(plan, sides)):
            if image is not None:
                waiting.append(several.submit(ask, image))
            if len(waiting) > segmenter.at_once and not take():
                ahead.shutdown(cancel_futures=True)
                return None
        while waiting:
            take()
    return SceneQueries.mean(seen) if seen else None


def survey_sides(plan: Plan, spec: InputSpec) -> Sides:
    """Of the survey's windows: ``SIDE`` where the network takes any size, and the scene's windows are no smaller."""

    def side(axis: Axis, fixed: int | None) -> int:
        return fixed or min(axis.tile, max(1, SIDE // axis.lattice) * axis.lattice)

    return side(plan.rows, spec.height), side(plan.columns, spec.width)


def survey_windows(plan: Plan, sides: Sides) -> list[tuple[int, int]]:
    """First row and column of the survey's windows, in working pixels, spread evenly; none for a single window."""
    rows, columns = plan.rows, plan.columns
    windows = len(rows.starts) * len(columns.starts)
    if windows == 1:
        return []
    wanted = min(AT_MOST, max(AT_LEAST, windows // ONE_IN))
    most = [-(-axis.length // side) for axis, side in zip((rows, columns), sides, strict=True)]
    down = max(1, min(most[0], round(math.sqrt(wanted * rows.length / columns.length))))
    across = max(1, min(most[1], round(wanted / down)))
    return [(top, left) for top in _spread(rows, sides[0], down) for left in _spread(columns, sides[1], across)]


def window_image(scene: Scene, plan: Plan, top: int, left: int, sides: Sides) -> UInt8Array | None:
    """A window of a scene as the network sees it: uint8 [*sides, 3], mirrored beyond the scene's border.

    None where no pixel of it is valid.

    Args:
        scene: opened.
        plan: its windows.
        top: first row, in working pixels.
        left: first column.
        sides: of the window.

    Raises:
        RssegError: the scene cannot be read any more.
    """
    import cv2

    height, width = min(sides[0], plan.rows.length - top), min(sides[1], plan.columns.length - left)
    down, across = plan.height / plan.rows.length, plan.width / plan.columns.length
    image, valid = scene.read(Box(top * down, left * across, height * down, width * across), (height, width))
    if not valid.any():
        return None
    bottom, right = sides[0] - height, sides[1] - width
    if bottom or right:
        image = np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT_101), np.uint8)
    return image


def _spread(axis: Axis, side: int, count: int) -> list[int]:
    """Starts of ``count`` windows on the lattice; a single one lies in the middle."""
    last = max(0, -(-axis.length // axis.lattice) * axis.lattice - side)
    places = np.linspace(0, last, count) if count > 1 else np.array([last / 2])
    return [int(place) // axis.lattice * axis.lattice for place in places]

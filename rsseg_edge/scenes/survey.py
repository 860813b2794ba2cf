"""The first look at a scene: a few windows all over it, from which the queries come that every window will share."""

from __future__ import annotations

import math

import numpy as np

from rsseg_edge.scenes.clock import Clock
from rsseg_edge.scenes.reading import Box
from rsseg_edge.scenes.scene import Scene
from rsseg_edge.scenes.windows import Axis, Plan
from rsseg_edge.segmenter import ScoringSegmenter
from rsseg_edge.segmenters.scene_queries import SceneQueries
from rsseg_edge.types import UInt8Array

ONE_IN, AT_LEAST, AT_MOST = 32, 4, 24
"""Windows of the survey: of so many one, but at least and at most so many."""


def survey(scene: Scene, segmenter: ScoringSegmenter, plan: Plan, clock: Clock) -> SceneQueries | None:
    """The queries of a scene, which do not depend on where its windows lie.

    None where the scene is a single window, has no valid pixel where it was looked at, or the model has no queries.

    Raises:
        RssegError: the scene cannot be read any more, or the engine failed.
    """
    seen: list[SceneQueries] = []
    for top, left in survey_windows(plan):
        image = window_image(scene, plan, top, left)
        if image is None:
            continue
        with clock.window(image, survey=True):
            queries = segmenter.queries(image)
        if queries is None:
            return None
        seen.append(queries)
    return SceneQueries.mean(seen) if seen else None


def survey_windows(plan: Plan) -> list[tuple[int, int]]:
    """First row and column of the survey's windows, in working pixels, spread evenly; none for a single window."""
    rows, columns = plan.rows, plan.columns
    windows = len(rows.starts) * len(columns.starts)
    if windows == 1:
        return []
    wanted = min(windows, AT_MOST, max(AT_LEAST, windows // ONE_IN))
    down = max(1, min(len(rows.starts), round(math.sqrt(wanted * rows.length / columns.length))))
    across = max(1, min(len(columns.starts), round(wanted / down)))
    return [(top, left) for top in _spread(rows, down) for left in _spread(columns, across)]


def window_image(scene: Scene, plan: Plan, top: int, left: int) -> UInt8Array | None:
    """A window of a scene as the network sees it: uint8 [tile, tile, 3], mirrored beyond the scene's border.

    None where no pixel of it is valid.

    Args:
        scene: opened.
        plan: its windows.
        top: first row, in working pixels.
        left: first column.

    Raises:
        RssegError: the scene cannot be read any more.
    """
    import cv2

    height = min(plan.rows.tile, plan.rows.length - top)
    width = min(plan.columns.tile, plan.columns.length - left)
    down, across = plan.height / plan.rows.length, plan.width / plan.columns.length
    image, valid = scene.read(Box(top * down, left * across, height * down, width * across), (height, width))
    if not valid.any():
        return None
    bottom, right = plan.rows.tile - height, plan.columns.tile - width
    if bottom or right:
        image = np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT_101), np.uint8)
    return image


def _spread(axis: Axis, count: int) -> list[int]:
    """Starts of ``count`` windows on the lattice; a single one lies in the middle."""
    last = axis.starts[-1]
    places = np.linspace(0, last, count) if count > 1 else np.array([last / 2])
    return [int(place) // axis.lattice * axis.lattice for place in places]

"""Class scores of a frame on the network's own grid, and how they are carried to another frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rsseg_edge.temporal.motion import Motion, places_in_reference
from rsseg_edge.types import ClassTable, Segmentation, UInt8Array

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ScoreGrid:
    """Scores before a class is chosen.

    Attributes:
        scores: float32 [C, h, w], such that weighted means of them are scores again.
        box: where the image lies in the grid: left, top, width and height in cells, from the outer edge of the first.
        table: the classes that a decision on them gives; scores of another table do not mix with them.
        decide: chooses the classes of an image, uint8 [H, W, 3], by scores [C, h, w] of the same grid and classes.
    """

    scores: Float32Array
    box: tuple[float, float, float, float]
    table: ClassTable
    decide: Callable[[UInt8Array, Float32Array], Segmentation]


def carry(grid: ScoreGrid, motion: Motion) -> tuple[ScoreGrid, Float32Array]:
    """The scores of a reference where a later frame sees them.

    Args:
        grid: of the reference.
        motion: from the later frame back to it.

    Returns:
        The scores in the later frame, and float32 [h, w], 0..1: how far they can be relied on there. What the
        reference did not see gets the scores of its nearest cell.
    """
    import cv2

    (_, height, width), (left, top, across, down) = grid.scores.shape, grid.box
    pixels_x, pixels_y = motion.flow.shape[1] / across, motion.flow.shape[0] / down  # of the grey picture a cell
    # cells to pixels, both counted from the middle of the first, hence the halves
    to_pixels = np.array(
        [
            [pixels_x, 0, (0.5 - left) * pixels_x - 0.5],
            [0, pixels_y, (0.5 - top) * pixels_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    flow, reliability = (
        cv2.warpAffine(field, to_pixels, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        for field in (motion.flow, motion.reliability)
    )
    flow /= np.array([pixels_x, pixels_y], np.float32)
    places = places_in_reference(np.asarray(flow, np.float32))
    # Cells around the image hold nothing of it, or a mirrored copy: they are not carried into it.
    first, last = (max(0.0, left), max(0.0, top)), (min(width, left + across) - 1, min(height, top + down) - 1)
    for axis in (0, 1):
        np.clip(places[..., axis], first[axis], max(first[axis], last[axis]), out=places[..., axis])
    scores = np.stack([cv2.remap(plane, places, None, cv2.INTER_LINEAR) for plane in grid.scores])
    return replace(grid, scores=scores), np.asarray(reliability, np.float32)


def blend(grid: ScoreGrid, earlier: ScoreGrid, weight: Float32Array) -> ScoreGrid:
    """Scores of one frame, merged with those that were carried to it.

    Args:
        grid: of the frame.
        earlier: of :func:`carry`.
        weight: float32 [h, w], 0..1, of the earlier ones.
    """
    return replace(grid, scores=grid.scores + weight * (earlier.scores - grid.scores))

"""Blended class scores of the rows of windows that are at work, and no more: memory is the scene's width by one row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.scenes.windows import Plan
from rsseg_edge.segmenter import ScoringSegmenter
from rsseg_edge.types import UInt8Array

Scores = npt.NDArray[np.float32]
_Places = npt.NDArray[np.float64]  # in cells: 0 is the middle of the first
CHUNK = (64, 2048)
"""Output rows and columns that are enlarged at once: their scores stay in the processor's cache, or near it."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Blended scores that a band is made from.

    Attributes:
        band: its index.
        first: row of cells of ``scores[:, 0]``.
        scores: float32 [classes or words, rows of cells, columns of cells].
    """

    band: int
    first: int
    scores: Scores


class Blender:
    """Adds windows row by row, and gives each band's scores when its last row of windows is in.

    Args:
        plan: the windows and bands.
        band: the first that is wanted. What came before need not have been seen: windows begin at
            ``plan.first_window(band)``.
    """

    def __init__(self, plan: Plan, band: int) -> None:
        self._plan, self._band = plan, band
        self._first = plan.rows.starts[plan.first_window(band)] // plan.rows.stride
        self._sum: Scores | None = None
        self._done = 0  # rows of it whose band was given

    def add(self, row: int, column: int, scores: Scores) -> None:
        """Add a window.

        Args:
            row: of windows; they come row by row.
            column: of windows.
            scores: float32 [Q, h, w] as the segmenter gave them.
        """
        self._drop()
        rows, columns = self._plan.rows, self._plan.columns
        total = self._room(row, len(scores))
        left, top = columns.starts[column] // columns.stride, rows.starts[row] // rows.stride - self._first
        height, width = min(scores.shape[1], rows.cells - self._first - top), min(scores.shape[2], columns.cells - left)
        weight = rows.weights[row][:height, None] * columns.weights[column][None, :width]
        total[:, top : top + height, left : left + width] += scores[:, :height, :width] * weight

    def finish(self, row: int) -> Cells | None:
        """After a row's last window: the scores of the band that it completes, until the next window is added.

        None for a band that is not wanted, or that no window was added to yet.
        """
        self._drop()
        plan = self._plan
        if row < self._band:
            return None
        last = row + 1 == len(plan.ready)
        begin = plan.first_cell(row)
        keep = begin if last else plan.first_cell(row + 1)
        self._done = keep - self._first
        if self._sum is None:
            return None
        return Cells(row, begin, self._sum[:, begin - self._first : plan.ready[row] - self._first])

    def _drop(self) -> None:
        """Make room where the last band's rows were."""
        done, self._done = self._done, 0
        self._first += done
        if self._sum is not None and done:
            for plane in self._sum:  # one by one: what is copied on the way is large
                plane[:-done] = plane[done:]
                plane[-done:] = 0

    def _room(self, row: int, classes: int) -> Scores:
        """The running sums, tall enough for every row of windows that follows."""
        if self._sum is None:
            plan = self._plan
            tallest = plan.rows.tile // plan.rows.stride
            bands = range(max(row, self._band), len(plan.ready))
            firsts = [self._first, *(plan.first_cell(band) for band in bands[1:])]
            ends = [plan.rows.starts[band] // plan.rows.stride + tallest for band in bands]
            height = max(end - first for first, end in zip(firsts, ends, strict=True))
            self._sum = np.zeros((classes, height, plan.columns.cells), np.float32)
        return self._sum


def decide_rows(cells: Cells, rows: range, plan: Plan, segmenter: ScoringSegmenter) -> tuple[UInt8Array, UInt8Array]:
    """Class map and confidence of some rows of a band at the scene's own size: uint8 [len(rows), width] each.

    Scores are interpolated linearly between the middles of their cells, then a class is chosen.
    """
    class_map = np.empty((len(rows), plan.width), np.uint8)
    confidence = np.empty_like(class_map)
    if not rows:
        return class_map, confidence
    down, across = plan.scale
    if (down, across) == (4.0, 4.0):
        begin, end = _reach(_positions(rows.start, rows.stop, down) - cells.first, cells.scores.shape[1])
        enlarged = segmenter.decide_enlarged(cells.scores[:, begin:end])
        if enlarged is not None:
            skipped = rows.start - 4 * (cells.first + begin)
            for plane, part in zip((class_map, confidence), enlarged, strict=True):
                plane[:] = part[skipped : skipped + len(rows), : plan.width]
            return class_map, confidence
    for first_row in range(rows.start, rows.stop, CHUNK[0]):
        chosen = _positions(first_row, min(first_row + CHUNK[0], rows.stop), down) - cells.first
        y0, y1 = _reach(chosen, cells.scores.shape[1])
        for first_column in range(0, plan.width, CHUNK[1]):
            columns = _positions(first_column, min(first_column + CHUNK[1], plan.width), across)
            x0, x1 = _reach(columns, cells.scores.shape[2])
            scores = _interpolated(cells.scores[:, y0:y1, x0:x1], chosen - y0, columns - x0, plan.scale)
            place = (
                slice(first_row - rows.start, first_row - rows.start + len(chosen)),
                slice(first_column, first_column + len(columns)),
            )
            class_map[place], confidence[place] = segmenter.decide(scores)
    return class_map, confidence


def _interpolated(scores: Scores, rows: _Places, columns: _Places, scale: tuple[float, float]) -> Scores:
    """Scores [Q, h, w] at evenly spaced rows and columns of theirs."""
    import cv2

    planes, height, width = scores.shape
    if scale[0].is_integer() and scale[1].is_integer():  # a scene as it is: a tenth of the time, and the same values
        down, across = int(scale[0]), int(scale[1])
        whole = np.empty((planes, height * down, width * across), np.float32)
        for plane, enlarged in zip(scores, whole, strict=True):
            cv2.resize(plane, enlarged.shape[::-1], dst=enlarged, interpolation=cv2.INTER_LINEAR)
        top, left = round((rows[0] + 0.5) * down - 0.5), round((columns[0] + 0.5) * across - 0.5)
        return whole[:, top : top + len(rows), left : left + len(columns)]
    from_output = np.array([[1 / scale[1], 0, columns[0]], [0, 1 / scale[0], rows[0]]])
    result = np.empty((planes, len(rows), len(columns)), np.float32)
    for plane, enlarged in zip(scores, result, strict=True):
        cv2.warpAffine(
            plane, from_output, enlarged.shape[::-1], dst=enlarged,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
    return result


def _positions(first: int, last: int, scale: float) -> _Places:
    """Of output pixels first to last."""
    return np.asarray((np.arange(first, last) + 0.5) / scale - 0.5, np.float64)


def _reach(positions: _Places, cells: int) -> tuple[int, int]:
    """First and end of the cells that positions are interpolated from."""
    return max(0, int(np.floor(positions[0]))), min(cells, int(np.floor(positions[-1])) + 2)

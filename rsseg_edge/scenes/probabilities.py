"""The probability of every class, row by row: uint8, ``SCALE`` of them to 1, ``NO_DATA`` where there is no data."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from rsseg_edge.scenes.blend import Cells, decide_rows
from rsseg_edge.scenes.windows import Plan
from rsseg_edge.segmenter import ScoringSegmenter
from rsseg_edge.types import UInt8Array

SCALE = 254
"""A probability of 1: 255 is no-data."""


def probabilities_of_rows(
    cells: Cells, rows: range, plan: Plan, segmenter: ScoringSegmenter, classes: int
) -> list[UInt8Array]:
    """Of each class, uint8 [len(rows), width], enlarged as the class map is, so that its largest is the map's class."""
    planes: list[UInt8Array] = []
    for first in range(0, classes, 2):
        two = cast(ScoringSegmenter, _Two(segmenter, first))  # of which deciding is all that is asked
        planes += decide_rows(cells, rows, plan, two)
    return planes[:classes]


class _Two:
    """In place of a decision, the probabilities of two classes: a band's scores are enlarged piece by piece, and all
    classes of a wide band at once would be more than the band's share of memory."""

    def __init__(self, segmenter: ScoringSegmenter, first: int) -> None:
        self.segmenter, self.first = segmenter, first

    def decide_enlarged(self, scores: npt.NDArray[np.float32]) -> None:
        """They are made of the enlarged scores."""

    def decide(self, scores: npt.NDArray[np.float32]) -> tuple[UInt8Array, UInt8Array]:
        found = self.segmenter.probabilities(scores)
        last = min(self.first + 1, len(found) - 1)
        one, two = (np.rint(np.clip(found[k], 0, 1) * SCALE).astype(np.uint8) for k in (self.first, last))
        return one, two

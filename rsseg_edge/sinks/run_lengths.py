"""Masks as run lengths, the way COCO writes them: along columns, beginning with a run of zeros."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.types import UInt8Array

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of equal values in column order.

    Attributes:
        size: height and width of the picture.
        starts: int64: position of each run's first pixel, ``column * height + row``.
        lengths: int64: pixels of each.
        values: of each.
    """

    size: tuple[int, int]
    starts: Counts
    lengths: Counts
    values: npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class RunLengthMask:
    """A mask.

    Attributes:
        size: height and width of the picture.
        counts: int64: lengths of the runs of zeros and ones in turn; the first, of zeros, may be 0.
        bbox: left, top, width, height in pixels.
    """

    size: tuple[int, int]
    counts: Counts
    bbox: tuple[int, int, int, int]

    @property
    def area(self) -> int:
        """Pixels in the mask."""
        return int(self.counts[1::2].sum())

    def compressed(self) -> str:
        """The counts as COCO's string: differences to the count before last, five bits a character."""
        values = self.counts.copy()
        values[3:] -= self.counts[1:-2]
        columns: list[UInt8Array] = []
        used: list[npt.NDArray[np.bool_]] = []
        more = np.ones(len(values), dtype=bool)
        while more.any():
            bits = values & 31
            values = values >> 5
            goes_on = np.where(bits & 16, values != -1, values != 0)
            columns.append((bits + 32 * goes_on + 48).astype(np.uint8))
            used.append(more)
            more = more & goes_on
        if not columns:
            return ""
        return np.stack(columns, 1)[np.stack(used, 1)].tobytes().decode("ascii")


def runs_of(picture: UInt8Array | npt.NDArray[np.bool_]) -> Runs:
    """Runs of equal values of a class map or mask [H, W]."""
    height, width = picture.shape
    flat = np.ascontiguousarray(picture.T).ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([np.zeros(1, np.int64), changes])
    lengths = np.diff(starts, append=flat.size)
    return Runs((height, width), starts, lengths, flat[starts])


def mask_of(runs: Runs, value: int) -> RunLengthMask | None:
    """The pixels of one value; None where there are none."""
    chosen = runs.values == value
    if not chosen.any():
        return None
    begins, lengths = runs.starts[chosen], runs.lengths[chosen]
    ends = begins + lengths
    height, width = runs.size
    # Runs of other values in between add up to zeros; two runs of the same value never touch.
    gaps = begins - np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    counts = np.stack([gaps, lengths], 1).ravel()
    if ends[-1] < height * width:
        counts = np.append(counts, height * width - ends[-1])
    left, right = int(begins[0]) // height, int(ends[-1] - 1) // height
    inside = begins // height == (ends - 1) // height  # runs over the end of a column hold its last and first row
    if inside.all():
        top, bottom = int((begins % height).min()), int(((ends - 1) % height).max())
    else:
        top, bottom = 0, height - 1
    return RunLengthMask(runs.size, counts, (left, top, right - left + 1, bottom - top + 1))

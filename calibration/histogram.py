"""What a tensor's values look like over any number of images, in a few kilobytes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

BINS = 8192
Counts = npt.NDArray[np.int64]


def _no_counts() -> Counts:
    return np.zeros(BINS, np.int64)


@dataclass(eq=False)
class Histogram:
    """Extremes of all values, and counts of a sample of them in equal bins from ``-reach`` to ``reach``.

    ``reach`` is a power of two that doubles when a value lies outside: two bins then become one, exactly, so that no
    image has to be seen twice and the order of the images does not matter.

    Attributes:
        low: least value; infinity before the first.
        high: greatest value.
        finite: whether every value was a finite number. Values that are not are never counted.
        reach: see above; 0 before the first value other than 0.
        counts: int64 [BINS].
        zeros: values counted while ``reach`` was 0.
    """

    low: float = math.inf
    high: float = -math.inf
    finite: bool = True
    reach: float = 0.0
    counts: Counts = field(default_factory=_no_counts)
    zeros: int = 0

    def add(self, low: float, high: float, mean: float, sample: npt.NDArray[np.float32]) -> None:
        """Count one image's values.

        Args:
            low: the least of them.
            high: the greatest.
            mean: of their magnitudes; one value that is not finite makes it not finite.
            sample: some of them, any shape.
        """
        if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(mean)):
            self.finite = False
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        top = max(-low, high)
        if top > 0:
            self._stretch(2.0 ** math.ceil(math.log2(top)))
        if self.reach == 0:
            self.zeros += sample.size
            return
        places = np.floor(sample.ravel().astype(np.float64) * (BINS / 2 / self.reach)).astype(np.int64) + BINS // 2
        self.counts += np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)

    def _stretch(self, reach: float) -> None:
        if self.reach == 0:
            self.reach = reach
            self.counts[BINS // 2] += self.zeros
            self.zeros = 0
        while self.reach < reach:
            merged = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.zeros(BINS, np.int64)
            self.counts[BINS // 4 : 3 * BINS // 4] = merged
            self.reach *= 2

    @property
    def greatest(self) -> float:
        """Greatest magnitude; infinity where a value was not finite, 0 where there was none."""
        if not self.finite:
            return math.inf
        return max(-self.low, self.high, 0.0)

    def centres(self) -> npt.NDArray[np.float64]:
        """The middle of each bin."""
        return np.asarray((np.arange(BINS) + 0.5) * (2 * self.reach / BINS) - self.reach, np.float64)

"""From what a sensor stores to the 8 bits that a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import UsageError
from rsseg_edge.types import UInt8Array


@dataclass(frozen=True)
class Stretch:
    """A straight line a band, from ``low`` to 0 and from ``high`` to 255, cut off there.

    Attributes:
        low: of each band.
        high: of each band; above ``low``.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of_percentiles(cls, samples: npt.NDArray[Any], percentiles: tuple[float, float]) -> Stretch:
        """From a sample of valid pixels.

        Args:
            samples: [bands, n]; n may not be 0.
            percentiles: of each band's values, 0..100.
        """
        low, high = np.percentile(samples.astype(np.float64), percentiles, axis=1)
        high = np.where(high > low, high, low + 1)  # a band of one value becomes black
        return cls(tuple(low.tolist()), tuple(high.tolist()))

    def __call__(self, values: npt.NDArray[Any]) -> UInt8Array:
        """[bands, h, w] of any real type, finite, to uint8 [h, w, bands]."""
        result = np.empty((*values.shape[1:], len(values)), np.uint8)
        for index, (band, low, high) in enumerate(zip(values, self.low, self.high, strict=True)):
            scaled = (band.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
            result[..., index] = np.clip(np.rint(scaled), 0, 255)
        return result


def parse_percentiles(text: str) -> tuple[float, float]:
    """``"2,98"`` as two numbers.

    Raises:
        UsageError: these are not two increasing percentages.
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 0.0, 0.0
    if not 0 <= low < high <= 100:
        raise UsageError(f"--stretch {text}: two percentiles such as 2,98")
    return low, high


def parse_bands(text: str) -> tuple[int, int, int]:
    """``"4,3,2"`` as three band numbers, from 1.

    Raises:
        UsageError: these are not three band numbers.
    """
    try:
        red, green, blue = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--bands {text}: three band numbers from 1, red first, such as 4,3,2") from None
    if min(red, green, blue) < 1:
        raise UsageError(f"--bands {text}: bands are counted from 1")
    return red, green, blue

"""From a histogram to the range that eight bits are spent on: four methods, of which the better is measured later.

All of them keep zero inside, since it must be a value that the integers have.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from rsseg_edge.calibration.histogram import Histogram

Method = Literal["max", "percentile", "entropy", "mse"]
METHODS: tuple[Method, ...] = ("max", "percentile", "entropy", "mse")

TAIL = 1e-4
"""Share of the values that ``percentile`` cuts off, both ends together."""

_SHRINK = np.linspace(1.0, 0.2, 41)
"""Candidates of ``entropy`` and ``mse``: shares of the whole range."""

Range = tuple[float, float]
Doubles = npt.NDArray[np.float64]


def clip_range(histogram: Histogram, method: Method, *, symmetric: bool) -> Range:
    """The least and the greatest value that are still told apart.

    Args:
        histogram: of finite values.
        method: ``max`` takes all of them, ``percentile`` all but :data:`TAIL`; ``mse`` has the least mean square of
            rounding and clipping together, ``entropy`` the least Kullback-Leibler divergence between the values and
            their 256 levels (Migacz, "8-bit inference with TensorRT", GTC 2017).
        symmetric: the levels lie symmetric about zero.

    Raises:
        ValueError: the tensor was never seen, or held values that are not finite.
    """
    if not histogram.finite or not np.isfinite(histogram.low):
        raise ValueError("a range needs finite values")
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if histogram.reach == 0:  # nothing but zeros: any range holds them
        return (-1.0, 1.0) if symmetric else (0.0, 1.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    if method == "max" or not histogram.counts.any():
        return low, high
    if method == "percentile":
        return _percentile(histogram, low, high, symmetric)
    error = _square_error if method == "mse" else _divergence
    centres, counts = histogram.centres(), histogram.counts.astype(np.float64)
    seen = counts > 0
    losses = [error(centres[seen], counts[seen], low * f, high * f) for f in _SHRINK]
    best = float(_SHRINK[int(np.argmin(losses))])
    return low * best, high * best


def _percentile(histogram: Histogram, low: float, high: float, symmetric: bool) -> Range:
    centres, share = histogram.centres(), histogram.counts / histogram.counts.sum()
    half = histogram.reach / len(centres)
    if symmetric:
        order = np.argsort(np.abs(centres), kind="stable")
        inside = np.cumsum(share[order]) <= 1 - TAIL
        top = float(np.abs(centres[order][inside]).max(initial=half)) + half
        return max(low, -top), min(high, top)
    total = np.cumsum(share)
    first = int(np.searchsorted(total, TAIL / 2))
    last = min(int(np.searchsorted(total, 1 - TAIL / 2)), len(centres) - 1)
    return max(low, min(0.0, float(centres[first]) - half)), min(high, max(0.0, float(centres[last]) + half))


def _square_error(values: Doubles, counts: Doubles, low: float, high: float) -> float:
    step = (high - low) / 255
    inside = np.clip(values, low, high)
    rounded = np.round((inside - low) / step) * step + low
    return float((counts * (values - rounded) ** 2).sum())


def _divergence(values: Doubles, counts: Doubles, low: float, high: float) -> float:
    """Of the clipped values, outliers at the ends, from the mean of each level spread over the bins that it holds."""
    level = np.clip(np.floor((values - low) * (256 / (high - low))), 0, 255).astype(np.int64)
    inside = (values >= low) & (values <= high)
    if not inside.any():
        return float("inf")
    clipped = np.where(inside, counts, 0.0)
    first, last = np.flatnonzero(inside)[[0, -1]]
    expected = clipped.copy()
    expected[first] += counts[values < low].sum()
    expected[last] += counts[values > high].sum()
    filled = inside & (clipped > 0)
    mass = np.bincount(level[filled], clipped[filled], 256)
    size = np.bincount(level[filled], minlength=256)
    spread = mass[level[filled]] / size[level[filled]]
    p = expected[filled] / expected[filled].sum()
    q = spread / spread.sum()
    return float((p * np.log(p / q)).sum())

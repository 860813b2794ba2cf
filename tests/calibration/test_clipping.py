"""Ranges that eight bits are spent on."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

from rsseg_edge.calibration.clipping import METHODS, clip_range
from rsseg_edge.calibration.histogram import Histogram


def histogram(values: np.ndarray) -> Histogram:
    made = Histogram()
    made.add(float(values.min()), float(values.max()), float(np.abs(values).mean()), values.astype(np.float32))
    return made


def rounding_error(values: np.ndarray, low: float, high: float) -> float:
    step = (high - low) / 255
    return float(((np.round((values.clip(low, high) - low) / step) * step + low - values) ** 2).mean())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_zero_lies_inside_and_nothing_beyond_what_was_seen(method, symmetric: bool) -> None:
    for values in (np.linspace(2, 9, 1000), -np.linspace(2, 9, 1000), np.random.default_rng(0).normal(0, 1, 1000)):
        low, high = clip_range(histogram(values), method, symmetric=symmetric)
        assert low <= 0 <= high
        assert low < high
        assert max(-low, high) <= np.abs(values).max() * 1.0001
        if symmetric:
            assert low == -high


def test_mse_errs_less_than_the_whole_range_where_there_are_outliers() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(0, 1, 100_000), [60.0, -55.0]])
    found = histogram(values)
    whole, mse = clip_range(found, "max", symmetric=False), clip_range(found, "mse", symmetric=False)
    assert rounding_error(values, *mse) < 0.85 * rounding_error(values, *whole)
    cut = clip_range(found, "percentile", symmetric=False)
    assert 3 < cut[1] < 6
    assert clip_range(found, "entropy", symmetric=True)[1] < 40


def test_a_tensor_of_zeros_has_a_range() -> None:
    low, high = clip_range(histogram(np.zeros(10)), "mse", symmetric=False)
    assert low <= 0 < high


def test_no_range_comes_of_what_is_not_finite_or_was_never_seen() -> None:
    bad = histogram(np.ones(4))
    bad.add(0.0, float("inf"), 1.0, np.ones(1, np.float32))
    for found in (bad, Histogram()):
        with pytest.raises(ValueError, match="finite"):
            clip_range(found, "max", symmetric=False)

"""The integers that stand for a tensor's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rsseg_edge.calibration.clipping import Range

Target = Literal["cpu", "tensorrt"]

WEIGHT_LEVEL = 127
"""Greatest integer of a weight."""


@dataclass(frozen=True)
class Step:
    """How integers of a tensor become numbers: ``scale * (q - zero)``, ``signed`` 8 bits or not."""

    scale: float
    zero: int
    signed: bool


def step_of(bounds: Range, target: Target) -> Step:
    """Steps of an activation's range.

    Raises:
        ValueError: the range is empty or not finite.
    """
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        raise ValueError(f"no range: {bounds}")
    if target == "tensorrt":
        return Step(_single(max(-low, high) / 127), 0, True)
    scale = _single((high - low) / 255)
    return Step(scale, int(np.clip(np.round(-low / scale), 0, 255)), False)


def weight_steps(
    weight: npt.NDArray[np.float32], axis: int, levels: int, least: npt.NDArray[np.float64] | float = 0.0
) -> npt.NDArray[np.float32]:
    """Steps of a weight along its output channels, float32 [O], each at least ``least``."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.maximum(np.abs(weight.astype(np.float64)).max(others) / levels, least)
    scale[scale < np.finfo(np.float32).tiny] = 1.0 / levels  # a channel of zeros
    return np.asarray(scale, np.float32)


def weight_integers(
    weight: npt.NDArray[np.float32], axis: int, least: npt.NDArray[np.float64] | float = 0.0
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """A weight as int8 of its shape, and its steps along its output channels, float32 [O], each at least ``least``."""
    scale = weight_steps(weight, axis, WEIGHT_LEVEL, least)
    shape = [-1 if k == axis else 1 for k in range(weight.ndim)]
    return np.clip(np.round(weight / scale.reshape(shape)), -WEIGHT_LEVEL, WEIGHT_LEVEL).astype(np.int8), scale


def _single(value: float) -> float:
    """A float32 above zero."""
    return float(max(np.float32(value), np.finfo(np.float32).tiny))

"""How far two runtimes decide alike: the measure of the parity gate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.engines.base import Arrays

THRESHOLDS = {"fp32": 0.999, "fp16": 0.995, "int8": 0.98}
"""Least share of decisions in common, by precision of the graph."""

_CLOSE = {"fp32": 1e-3, "fp16": 2e-2, "int8": 5e-2}
"""Features and the like decide nothing by themselves: values this near, by the largest of them, count as the same."""


def reflections(inputs: Arrays) -> list[dict[str, npt.NDArray[Any]]]:
    """The inputs of a frame, and the same with every image mirrored left to right, top to bottom, and both.

    Four frames of the camera at hand in place of one. Images are uint8 [B, H, W, 3].
    """

    def mirrored(value: npt.NDArray[Any], axes: tuple[int, ...]) -> npt.NDArray[Any]:
        image = value.dtype == np.uint8 and value.ndim == 4 and value.shape[-1] == 3
        return np.ascontiguousarray(np.flip(value, axes)) if image and axes else value

    return [{k: mirrored(v, axes) for k, v in inputs.items()} for axes in ((), (2,), (1,), (1, 2))]


def agreement(expected: Arrays, found: Arrays, precision: str) -> float:
    """Share, 0..1, of the decisions in common.

    A class map decides pixel by pixel, cosines [B, Q, H, W] by the best query, mask logits by their sign. A graph
    without any of them is measured by all of its values. A value that is not a number agrees with nothing.
    """
    if any(name not in found or found[name].shape != value.shape for name, value in expected.items()):
        return 0.0
    if any(not np.isfinite(value).all() for value in found.values() if value.dtype.kind == "f"):
        return 0.0
    if "class_map" in expected:
        return _same(expected["class_map"], found["class_map"])
    if "cosines" in expected:
        return _same(expected["cosines"].argmax(1), found["cosines"].argmax(1))
    if "mask_logits" in expected:
        return _same(expected["mask_logits"] > 0, found["mask_logits"] > 0)
    return min(_near(value, found[name], _CLOSE[precision]) for name, value in expected.items())


def _same(expected: npt.NDArray[Any], found: npt.NDArray[Any]) -> float:
    return float((expected == found).mean())


def _near(expected: npt.NDArray[Any], found: npt.NDArray[Any], share: float) -> float:
    if expected.dtype.kind != "f":
        return _same(expected, found)
    a, b = expected.astype(np.float64), found.astype(np.float64)
    return float((np.abs(a - b) <= share * max(np.abs(a).max(), 1e-12)).mean())

"""Sides that change from call to call, for an engine whose sides are fixed: filled up, and cut off again.

Where a network's result for the first of several words or windows does not depend on the others, zeros may follow
them. Sizes go up in powers of two: a handful of engines serves every vocabulary, for at most twice the work on a side.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.engines.base import Arrays, Pending
from rsseg_edge.engines.onnx_file import Signature

Side = tuple[str, int]
"""An input's name and one of its axes."""


class Padding:
    """How the inputs of a graph are filled up.

    Args:
        signature: of the graph. A free side has one name wherever it occurs, in inputs and outputs.
        sides: those that may be filled up; sides that are fixed in the graph are left out.
    """

    def __init__(self, signature: Signature, sides: Collection[Side]) -> None:
        shapes = {info.name: info.shape for info in signature.inputs}
        found = (shapes[name][axis] for name, axis in sides if name in shapes and axis < len(shapes[name]))
        self._sides = {side for side in found if isinstance(side, str)}
        self._inputs = shapes
        self._outputs = {info.name: info.shape for info in signature.outputs}

    def fill(self, inputs: Arrays) -> tuple[dict[str, npt.NDArray[Any]], dict[str, int]]:
        """Inputs with zeros behind, and by side how many of its values are real."""
        real: dict[str, int] = {}
        filled = dict(inputs)
        for name, value in inputs.items():
            sides = self._inputs.get(name, ())
            if self._sides.isdisjoint(sides) or value.ndim != len(sides):
                continue
            real |= {s: n for s, n in zip(sides, value.shape, strict=True) if isinstance(s, str) and s in self._sides}
            zeros = [(0, _rounded(n) - n if s in self._sides else 0) for s, n in zip(sides, value.shape, strict=True)]
            filled[name] = np.pad(value, zeros) if any(n for _, n in zeros) else value
        return filled, real

    def cut(self, outputs: Arrays, real: Mapping[str, int]) -> dict[str, npt.NDArray[Any]]:
        """Outputs without what belongs to the zeros."""
        return {name: value[_ends(self._outputs[name], real)] for name, value in outputs.items()}


class CutLater:
    """A frame whose outputs are cut when they come; see :class:`rsseg_edge.engines.base.Pending`."""

    def __init__(self, pending: Pending, padding: Padding, real: Mapping[str, int]) -> None:
        self._pending, self._padding, self._real = pending, padding, real

    def result(self) -> dict[str, npt.NDArray[Any]]:
        """Wait for the outputs."""
        return self._padding.cut(self._pending.result(), self._real)


def _rounded(size: int) -> int:
    return 1 << max(0, size - 1).bit_length()


def _ends(sides: tuple[int | str, ...], real: Mapping[str, int]) -> tuple[slice, ...]:
    return tuple(slice(real.get(side)) if isinstance(side, str) else slice(None) for side in sides)

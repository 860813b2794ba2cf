"""Where the windows of a scene lie, and how much each counts where they overlap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """Windows along one axis. A cell is the square of pixels that one score stands for.

    Attributes:
        length: of the scene, in pixels.
        tile: of a window, in pixels: a multiple of ``lattice``.
        overlap: of neighbouring windows, in pixels: a multiple of ``lattice``; the first and last may overlap more.
        halo: pixels at either end of a window that count for nothing where another window sees them: a multiple of
            ``stride``.
        stride: pixels a cell.
        lattice: windows begin at multiples of so many pixels, a multiple of ``stride``. It is the network's coarsest
            stride: windows that begin between would see the same ground cut into other pieces.
        offset: how many pixels the second window and those after it are moved back by, a multiple of ``lattice`` less
            than a step. Results hardly depend on it, which is how seams are measured.
    """

    length: int
    tile: int
    overlap: int
    halo: int
    stride: int
    lattice: int
    offset: int = 0

    def __post_init__(self) -> None:
        if self.halo % self.stride or self.lattice % self.stride:
            raise ValueError(f"halo {self.halo} and lattice {self.lattice} in cells of {self.stride}")
        if self.tile % self.lattice or self.overlap % self.lattice or self.offset % self.lattice:
            raise ValueError(f"tile {self.tile}, overlap {self.overlap}, offset {self.offset} on {self.lattice}")
        if not 0 <= 2 * self.halo <= self.overlap or self.overlap > self.tile // 2:
            raise ValueError(f"overlap {self.overlap} of windows of {self.tile} with a halo of {self.halo}")
        if not 0 <= self.offset < self.tile - self.overlap:
            raise ValueError(f"offset {self.offset} of windows {self.tile - self.overlap} apart")

    @property
    def cells(self) -> int:
        """Cells that cover the scene."""
        return -(-self.length // self.stride)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First pixel of each window. The last is pulled back, to reach beyond the scene by less than the lattice."""
        last = self._end - self.tile
        step = self.tile - self.overlap
        return (0, *range(step - self.offset, last, step), last) if last > 0 else (0,)

    @property
    def _end(self) -> int:
        return max(self.tile, -(-self.length // self.lattice) * self.lattice)

    @cached_property
    def weights(self) -> tuple[Weights, ...]:
        """Of each window, float32 [tile / stride]: they sum to 1 over the windows that see a cell.

        A raised cosine between the halos; no ramp at the border of the scene.
        """
        n, ramp = self.tile // self.stride, (self.overlap - 2 * self.halo) // self.stride
        halo = self.halo // self.stride
        rise = np.sin((np.arange(ramp) + 0.5) / max(1, ramp) * (math.pi / 2)) ** 2
        rise = np.concatenate([np.zeros(halo), rise])
        total = np.zeros(self._end // self.stride)
        parts = []
        for start in self.starts:
            weight = np.ones(n)
            if start > 0:
                weight[: len(rise)] = rise
            if start < self.starts[-1]:
                weight[n - len(rise) :] = np.minimum(weight[n - len(rise) :], rise[::-1])
            first = start // self.stride
            total[first : first + n] += weight
            parts.append((first, weight))
        return tuple((weight / total[first : first + n]).astype(np.float32) for first, weight in parts)


@dataclass(frozen=True)
class Plan:
    """The windows of a scene in rows, and the bands of output rows that each row of windows completes.

    Attributes:
        rows: the vertical axis, in working pixels.
        columns: the horizontal one.
        height: of the output, in pixels of the scene.
        width: of the output.
    """

    rows: Axis
    columns: Axis
    height: int
    width: int

    @property
    def scale(self) -> tuple[float, float]:
        """Output pixels per cell, down and across."""
        rows, columns = self.rows, self.columns
        return self.height / rows.length * rows.stride, self.width / columns.length * columns.stride

    @cached_property
    def ready(self) -> tuple[int, ...]:
        """After each row of windows, how many rows of cells are complete."""
        following = [start // self.rows.stride for start in self.rows.starts[1:]]
        return (*following, self.rows.cells)

    @cached_property
    def bounds(self) -> tuple[int, ...]:
        """Output rows at which bands begin, and their end: band i is bounds[i] to bounds[i + 1].

        A row is written when both rows of cells that it is interpolated from are complete.
        """
        scale = self.scale[0]
        inner = [math.ceil(scale * (cells - 0.5) - 0.5) for cells in self.ready[:-1]]
        return (0, *(max(0, row) for row in inner), self.height)

    def first_cell(self, band: int) -> int:
        """The first row of cells that a band is interpolated from."""
        return max(0, math.floor((self.bounds[band] + 0.5) / self.scale[0] - 0.5))

    def first_window(self, band: int) -> int:
        """The first row of windows that a band needs."""
        cell = self.first_cell(band) * self.rows.stride
        return next(i for i, start in enumerate(self.rows.starts) if start + self.rows.tile > cell)

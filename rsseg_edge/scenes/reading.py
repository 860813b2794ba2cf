"""Windows of a raster, read again where that fails, and left out in the smallest pieces where it keeps failing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import RssegError
from rsseg_edge.scenes.gdal import REMOTE, reason

PAUSES = (0.05, 0.2, 0.8)
"""Seconds before a read is tried again."""
PIECE = 64
"""Pixels a side: what fails is not cut smaller than this, or than the file's blocks."""
PATIENCE = 8
"""Reads that fail in a row before the next ones are tried only once."""
GIVE_UP = 48
"""Reads over a network that fail in a row: then it is the network that is gone, and not a part of the file."""


@dataclass(frozen=True)
class Box:
    """A part of a raster in pixels: first row, first column, and size. May have fractions where it is scaled."""

    top: float
    left: float
    height: float
    width: float

    def within(self, height: int, width: int) -> Box:
        """The part that lies in a raster of a given size."""
        top, left = max(0.0, self.top), max(0.0, self.left)
        bottom, right = min(height, self.top + self.height), min(width, self.left + self.width)
        return Box(top, left, bottom - top, right - left)


@dataclass(frozen=True, order=True)
class Failure:
    """What could not be read: whole pixels of the scene, and why."""

    top: int
    left: int
    height: int
    width: int
    reason: str

    @property
    def place(self) -> str:
        """In words."""
        return f"rows {self.top} to {self.top + self.height}, columns {self.left} to {self.left + self.width}"

    def __str__(self) -> str:
        return f"{self.place} cannot be read: {self.reason}"


def united(failures: Iterable[Failure]) -> list[Failure]:
    """Pieces side by side, then those one above the other, as one: a file that was cut short is few of them."""
    rows: list[Failure] = []
    for piece in sorted(failures):
        last = rows[-1] if rows else None
        if last and (last.top, last.height, last.left + last.width) == (piece.top, piece.height, piece.left):
            rows[-1] = replace(last, width=last.width + piece.width)
        else:
            rows.append(piece)
    result: list[Failure] = []
    for piece in sorted(rows, key=lambda f: (f.left, f.width, f.top)):
        last = result[-1] if result else None
        if last and (last.left, last.width, last.top + last.height) == (piece.left, piece.width, piece.top):
            result[-1] = replace(last, height=last.height + piece.height)
        else:
            result.append(piece)
    return sorted(result)


class Reader:
    """Reads bands and their validity.

    Args:
        dataset: rasterio's.
        name: what messages call it.
        bands: the ones that are read, from 1.

    Attributes:
        failures: pieces that could not be read, by position; they are not tried again.
    """

    def __init__(self, dataset: Any, name: str, bands: tuple[int, ...]) -> None:
        from rasterio.enums import ColorInterp, MaskFlags

        self._dataset, self._name, self._bands = dataset, name, bands
        flags = [flag for band in dataset.mask_flag_enums for flag in band]
        self._masked = any(flag != MaskFlags.all_valid for flag in flags) or ColorInterp.alpha in dataset.colorinterp
        self._float = np.dtype(dataset.dtypes[bands[0] - 1]).kind == "f"
        self._in_a_row = 0
        self._remote = name.startswith(REMOTE)
        self.failures: dict[tuple[int, int, int, int], Failure] = {}

    @property
    def always_valid(self) -> bool:
        """Whether the raster has neither no-data, alpha, mask nor NaN, as far as anyone knows before it is read."""
        return not (self._masked or self._float)

    def read(self, box: Box, shape: tuple[int, int]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Values [bands, *shape] and validity, bool [*shape], of a part of the raster.

        Averages where the part has more pixels than ``shape``, and interpolates where it has fewer. What is not valid
        is 0.

        Raises:
            RssegError: nothing can be read any more.
        """
        values = np.zeros((len(self._bands), *shape), self._dataset.dtypes[self._bands[0] - 1])
        valid = np.zeros(shape, np.bool_)
        self._fill(box, values, valid)
        if not valid.all():
            values[:, ~valid] = 0
        return values, valid

    def valid(self, top: int, rows: int) -> npt.NDArray[np.bool_] | None:
        """Validity of whole rows, bool [rows, width]; None where all is valid.

        Raises:
            RssegError: nothing can be read any more.
        """
        width = int(self._dataset.width)
        if self.always_valid:
            touched = [f for f in self.failures.values() if f.top < top + rows and f.top + f.height > top]
            if not touched:
                return None
            result = np.ones((rows, width), np.bool_)
        else:
            _, result = self.read(Box(top, 0, rows, width), (rows, width))
            touched = list(self.failures.values())
        for f in touched:  # what one band could not be read of is lost, though its mask may say otherwise
            result[max(0, f.top - top) : max(0, f.top + f.height - top), f.left : f.left + f.width] = False
        return result

    def _fill(self, box: Box, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> None:
        if any(_holds(failure, box) for failure in self.failures.values()):
            return
        error = self._attempt(box, values, valid)
        if error is None:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._remote and self._in_a_row > GIVE_UP:
            raise RssegError(
                f"{self._name}: {self._in_a_row} reads in a row failed, the last with: {error}; "
                f"the same command goes on where it was"
            )
        pieces = list(self._pieces(box, valid.shape))
        if not pieces:
            failure = self._lost(box, valid.shape, error)
            self.failures[failure.top, failure.left, failure.height, failure.width] = failure
        for part, rows, columns in pieces:
            self._fill(part, values[:, rows, columns], valid[rows, columns])

    def _lost(self, box: Box, shape: tuple[int, ...], error: str) -> Failure:
        """A piece that cannot be read: all of the block that it lies in, if it was read as it is."""
        height, width = int(self._dataset.height), int(self._dataset.width)
        top, left = int(np.floor(box.top)), int(np.floor(box.left))
        bottom, right = int(np.ceil(box.top + box.height)), int(np.ceil(box.left + box.width))
        if (box.height, box.width) == shape:
            rows, columns = self._dataset.block_shapes[self._bands[0] - 1]
            top, left = top // rows * rows, left // columns * columns
            bottom, right = -(-bottom // rows) * rows, -(-right // columns) * columns
        return Failure(top, left, min(bottom, height) - top, min(right, width) - left, error)

    def _attempt(self, box: Box, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> str | None:
        """Read in place; what went wrong, where it did every time."""
        from rasterio.errors import RasterioError

        for pause in (*(PAUSES if self._in_a_row < PATIENCE else ()), None):
            try:
                self._read(box, values, valid)
            except (RasterioError, OSError) as error:
                said = reason(error)
            else:
                return None
            if pause is not None:
                time.sleep(pause)
        return said

    def _read(self, box: Box, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> None:
        from rasterio.enums import Resampling
        from rasterio.windows import Window

        window = Window(box.left, box.top, box.width, box.height)
        shape = valid.shape
        same = (box.height, box.width) == shape
        method = Resampling.nearest if same else Resampling.average
        if not same and (box.height < shape[0] or box.width < shape[1]):
            method = Resampling.bilinear
        self._dataset.read(list(self._bands), window=window, out=values, resampling=method)
        valid[:] = True
        if self._masked:
            mask = self._dataset.dataset_mask(window=window, out_shape=shape, resampling=method)
            valid[:] = mask > (0 if same else 127)
        if self._float:
            valid &= np.isfinite(values).all(axis=0)

    def _pieces(self, box: Box, shape: tuple[int, ...]) -> Iterator[tuple[Box, slice, slice]]:
        """Halves along the longer side, cut between blocks of the file where its pixels are read as they are."""
        same = (box.height, box.width) == shape
        block = self._dataset.block_shapes[self._bands[0] - 1] if same else (1, 1)
        least = (1, 1) if same else (PIECE, PIECE)
        for axis in sorted((0, 1), key=lambda k: -shape[k]):
            begin = (box.top, box.left)[axis]
            cut = _cut(begin, shape[axis], block[axis], least[axis])
            if cut is None:
                continue
            step = (box.height, box.width)[axis] / shape[axis]
            ends = (0, cut, shape[axis])
            for first, last in (ends[:2], ends[1:]):
                start, size = begin + first * step, (last - first) * step
                if axis == 0:
                    yield Box(start, box.left, size, box.width), slice(first, last), slice(None)
                else:
                    yield Box(box.top, start, box.height, size), slice(None), slice(first, last)
            return


def _cut(begin: float, length: int, block: int, least: int) -> int | None:
    """Where to cut an axis in two: at the edge of a block nearest to its middle, leaving ``least`` on either side."""
    if block > 1:
        first = -(-(int(begin) + 1) // block) * block - int(begin)
        edges = range(first, length, block)
        return min(edges, key=lambda edge: abs(edge - length / 2)) if len(edges) else None
    return length // 2 if length >= 2 * least else None


def _holds(failure: Failure, box: Box) -> bool:
    return (
        failure.top <= box.top
        and failure.left <= box.left
        and failure.top + failure.height >= box.top + box.height
        and failure.left + failure.width >= box.left + box.width
    )

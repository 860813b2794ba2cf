"""What is compiled of this package; see its folder ``compiled``."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import RssegError
from rsseg_edge.kernels.registry import compiled_library
from rsseg_edge.polygons.regions import Floats, Ints, Regions, Runs
from rsseg_edge.types import NO_DATA, UInt8Array

_NO_MEMORY = "there is no memory left for polygons; --polygons none leaves them out"
_Pointer, _Size = ctypes.c_void_p, ctypes.c_size_t


class _RunColumns(ctypes.Structure):
    _fields_ = [(name, _Pointer) for name in ("start", "row", "length", "class_index", "confidence")]


class _RegionColumns(ctypes.Structure):
    _fields_ = [
        (name, _Pointer) for name in ("class_index", "pixels", "area", "confidence", "points", "rings", "polygons")
    ]


class _Grid(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("scale_x", "shift_x", "scale_y", "shift_y")]


@cache
def library() -> ctypes.CDLL | None:
    """The compiled library; None where the package was installed without a C++ compiler."""
    path = compiled_library("rsseg_polygons")
    if path is None:
        return None
    found = ctypes.CDLL(str(path))
    for name, result, arguments in (
        ("count_runs", _Size, [_Pointer, _Size, _Size]),
        ("find_runs", None, [_Pointer, _Pointer, _Size, _Size, _Pointer]),
        ("polygonizer_new", _Pointer, [_Size, ctypes.c_double]),
        ("polygonizer_delete", None, [_Pointer]),
        ("polygonizer_add", ctypes.c_bool, [_Pointer, _Pointer, _Size, _Size, _Pointer]),
        ("polygonizer_count", None, [_Pointer, _Pointer]),
        ("polygonizer_take", None, [_Pointer, _Pointer]),
        ("write_wkb", None, [_Pointer, _Pointer, _Pointer, _Size, _Pointer, _Pointer, _Pointer]),
    ):
        function = getattr(found, f"rsseg_{name}")
        function.restype, function.argtypes = result, arguments
    return found


def _loaded() -> ctypes.CDLL:
    found = library()
    if found is None:
        raise RuntimeError("rsseg_polygons was not compiled")
    return found


def find_runs(class_map: UInt8Array, confidence: UInt8Array) -> Runs:
    """See :func:`rsseg_edge.polygons.polygonize.find_runs`."""
    if class_map.shape != confidence.shape or class_map.ndim != 2:
        raise ValueError(f"class map {class_map.shape} and confidence {confidence.shape}")
    class_map, confidence = (np.ascontiguousarray(plane, np.uint8) for plane in (class_map, confidence))
    height, width = class_map.shape
    count = _loaded().rsseg_count_runs(class_map.ctypes.data, height, width)
    start, row, length, sums = (np.empty(count, np.int64) for _ in range(4))
    runs = Runs(start, row, length, np.empty(count, np.uint8), sums)
    _loaded().rsseg_find_runs(
        class_map.ctypes.data, confidence.ctypes.data, height, width, ctypes.byref(_columns(runs))
    )
    return runs


class Polygonizer:
    """See :class:`rsseg_edge.polygons.reference.polygonizer.Polygonizer`.

    Regions come in the order in which they end; memory is that of two rows, and of the regions that reach the last one.

    Raises:
        RssegError: there is no memory left.
    """

    def __init__(self, pixel_areas: Floats, width: int, tolerance: float) -> None:
        self._pixel_areas, self._width = np.ascontiguousarray(np.append(pixel_areas, 0), np.float64), width
        self._row = 0
        self._library = _loaded()
        self._handle = self._library.rsseg_polygonizer_new(width, tolerance)
        if not self._handle:
            raise RssegError(_NO_MEMORY)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.rsseg_polygonizer_delete(self._handle)

    def add(self, class_map: UInt8Array, runs: Runs) -> Regions:
        """The next rows, uint8 [n, width], and their runs; regions that are complete."""
        rows, width = class_map.shape
        areas = self._pixel_areas[self._row : self._row + rows]
        if width != self._width or len(areas) != rows or int(runs.length.sum()) != rows * width:
            raise ValueError(f"rows {class_map.shape} after row {self._row}, with {len(runs)} runs")
        columns = _columns(runs)
        if not self._library.rsseg_polygonizer_add(
            self._handle, ctypes.byref(columns), len(runs), rows, areas.ctypes.data
        ):
            raise RssegError(_NO_MEMORY)
        self._row += rows
        return self._complete()

    def finish(self) -> Regions:
        """The regions that reach the last row."""
        beyond = np.full((1, self._width), NO_DATA, np.uint8)
        return self.add(beyond, find_runs(beyond, beyond))

    def _complete(self) -> Regions:
        counts = (ctypes.c_int64 * 3)()
        self._library.rsseg_polygonizer_count(self._handle, counts)
        count, rings, points = counts
        class_index, pixels, sums = (np.empty(count, np.int64) for _ in range(3))
        area, places = np.empty(count), np.empty((points, 2))
        ring, polygon = np.empty(rings + 1, np.int64), np.empty(count + 1, np.int64)
        columns = _RegionColumns(*(a.ctypes.data for a in (class_index, pixels, area, sums, places, ring, polygon)))
        self._library.rsseg_polygonizer_take(self._handle, ctypes.byref(columns))
        return Regions(class_index, pixels, area, sums / pixels / 255, places, ring, polygon)


def wkb(regions: Regions, scale: tuple[float, float], shift: tuple[float, float]) -> npt.NDArray[Any]:
    """See :func:`rsseg_edge.polygons.polygonize.wkb`."""
    points, rings, polygons = (
        np.ascontiguousarray(values, kind)
        for values, kind in ((regions.points, np.float64), (regions.rings, np.int64), (regions.polygons, np.int64))
    )
    made = np.empty(9 * len(regions) + 4 * (len(rings) - 1) + 16 * len(points), np.uint8)
    ends: Ints = np.empty(len(regions), np.int64)
    grid = _Grid(scale[0], shift[0], scale[1], shift[1])
    _loaded().rsseg_write_wkb(
        points.ctypes.data, rings.ctypes.data, polygons.ctypes.data, len(regions), ctypes.byref(grid),
        made.ctypes.data, ends.ctypes.data,
    )  # fmt: skip
    whole = made.data
    result = np.empty(len(regions), object)
    begin = 0
    for number, end in enumerate(ends.tolist()):
        result[number] = bytes(whole[begin:end])
        begin = end
    return result


def _columns(runs: Runs) -> _RunColumns:
    """Where the columns lie; they must live as long as this."""
    columns: list[npt.NDArray[Any]] = [runs.start, runs.row, runs.length, runs.class_index, runs.confidence]
    for column, kind in zip(columns, (np.int64, np.int64, np.int64, np.uint8, np.int64), strict=True):
        if column.dtype != kind or not column.flags.c_contiguous or len(column) != len(runs):
            raise ValueError("runs that find_runs did not make")
    return _RunColumns(*(column.ctypes.data for column in columns))

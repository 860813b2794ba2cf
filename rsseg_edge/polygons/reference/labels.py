"""Connected regions of a class map, and its runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rsseg_edge.polygons.regions import Ints, Runs
from rsseg_edge.types import UInt8Array

Labels = npt.NDArray[np.int32]


def find_runs(class_map: UInt8Array, confidence: UInt8Array) -> Runs:
    """See :func:`rsseg_edge.polygons.polygonize.find_runs`."""
    start = np.flatnonzero(_begins(class_map))
    sums = np.add.reduceat(confidence.ravel(), start, dtype=np.int64)
    length = np.diff(start, append=class_map.size)
    return Runs(start, start // class_map.shape[1], length, class_map.ravel()[start], sums)


def number_runs(class_map: UInt8Array, numbers: Labels) -> None:
    """Tell of each pixel which of the runs it is of: fills int32 [h, w]."""
    numbers[:] = np.cumsum(_begins(class_map).ravel(), dtype=np.int32).reshape(class_map.shape)
    numbers -= 1


def label(class_map: UInt8Array, runs: Runs, run: Labels) -> tuple[Ints, UInt8Array]:
    """Connected regions of every class: sharing edges, not corners.

    Args:
        class_map: uint8 [h, w].
        runs: its n runs.
        run: int32 [h, w], filled by :func:`number_runs`.

    Returns:
        int64 [n], the number of each run's region from 0; and the class of each region, uint8.
    """
    begins = _begins(class_map)
    touch = np.equal(class_map[1:], class_map[:-1])
    touch &= begins[1:] | begins[:-1]
    above, below = run[:-1][touch], run[1:][touch]
    # Each round hooks the roots of trees that touch to earlier ones, and makes every tree flat again.
    root = np.arange(len(runs.start))
    while len(above):
        a, b = root[above], root[below]
        apart = a != b
        above, below, a, b = above[apart], below[apart], a[apart], b[apart]
        root[np.maximum(a, b)] = np.minimum(a, b)
        while True:
            flat = root[root]
            if np.array_equal(flat, root):
                break
            root = flat
    first = root == np.arange(len(root))
    return (np.cumsum(first) - 1)[root], runs.class_index[first]


def _begins(class_map: UInt8Array) -> npt.NDArray[np.bool_]:
    """Where a run begins."""
    begins = np.ones(class_map.shape, np.bool_)
    np.not_equal(class_map[:, 1:], class_map[:, :-1], out=begins[:, 1:])
    return begins

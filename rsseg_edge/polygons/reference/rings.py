"""Polygons of regions, put together from their borders."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rsseg_edge.polygons.reference.borders import Borders
from rsseg_edge.polygons.reference.chains import rank
from rsseg_edge.polygons.reference.simplify import as_complex, swept
from rsseg_edge.polygons.regions import Floats, Ints


def polygons(borders: Borders, wanted: npt.NDArray[np.bool_], width: int) -> tuple[Floats, Ints, Ints]:
    """A polygon of each wanted region, in the order of their names.

    Args:
        borders: all of the wanted regions', and any others.
        wanted: bool [names + 1], by name; the last is ``VOID``'s, False.
        width: of the class map, in pixels.

    Returns:
        ``points``, ``rings`` and ``polygons`` of :class:`rsseg_edge.polygons.regions.Regions`.
    """
    if not wanted.any():
        return np.zeros((0, 2)), np.zeros(1, np.int64), np.zeros(1, np.int64)
    forward, backward = np.flatnonzero(wanted[borders.left]), np.flatnonzero(wanted[borders.right])
    border = np.concatenate([forward, backward])
    turned = np.repeat([False, True], [len(forward), len(backward)])
    name = np.concatenate([borders.left[forward], borders.right[backward]])
    number = np.cumsum(wanted) - 1
    region = number[name]
    ahead = _ahead(borders, border, turned, region, width)

    before = np.empty(len(border), np.int64)
    before[ahead] = np.arange(len(border))
    first, distance = rank(before, np.arange(len(border)))

    # A ring's area is negative for the outside of a region and positive for a hole: the outside comes first.
    area = swept(as_complex(borders.points), borders.offsets)[border]
    area = np.bincount(first, np.where(turned, -area, area), len(border))
    order = np.lexsort((distance, first, area[first], region))
    border, turned, first = border[order], turned[order], first[order]

    count = np.diff(borders.offsets)[border] - 1  # the last point is the next one's first
    begin = np.where(turned, borders.offsets[border + 1] - 1, borders.offsets[border])
    total = np.concatenate([[0], np.cumsum(count)])
    along = np.arange(total[-1]) - np.repeat(total[:-1], count)
    index = np.repeat(begin, count) + np.repeat(np.where(turned, -1, 1), count) * along
    ring = np.flatnonzero(np.concatenate([[True], first[1:] != first[:-1]]))
    starts = total[ring]
    ends = np.concatenate([starts[1:], total[-1:]])
    index = np.insert(index, ends, index[starts])  # closed
    rings = np.concatenate([starts + np.arange(len(starts)), [len(index)]])
    of_regions = np.searchsorted(region[order][ring], np.arange(int(wanted.sum()) + 1))
    return borders.points[index], rings, of_regions


def _ahead(borders: Borders, border: Ints, turned: npt.NDArray[np.bool_], region: Ints, width: int) -> Ints:
    """Which border follows each around its region."""
    firsts, lasts = borders.offsets[:-1], borders.offsets[1:] - 1
    place = (borders.points[:, 1] * (width + 1) + borders.points[:, 0]).astype(np.int64)
    begin = place[np.where(turned, lasts[border], firsts[border])]
    end = place[np.where(turned, firsts[border], lasts[border])]
    leaves, arrives = borders.leaves[border], borders.arrives[border]
    leaves, arrives = np.where(turned, (arrives + 2) % 4, leaves), np.where(turned, (leaves + 2) % 4, arrives)
    places = int(place.max(initial=0)) + 1
    key = region * places + begin
    order = np.argsort(key)
    key = np.append(key[order], -1)
    found = np.searchsorted(key[:-1], region * places + end)
    # Where a region touches itself at a corner, its two borders there turn towards the corner's other side, so that
    # each ring meets the corner once.
    twice = key[found + 1] == key[found]
    other = leaves[order[found]] != (arrives + 1) % 4
    result: Ints = order[found + (twice & other)]
    return result

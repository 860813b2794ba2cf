"""The borders between regions of a band, traced along the edges of its pixels from where three regions meet to the
next such place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.polygons.reference.chains import rank
from rsseg_edge.polygons.reference.labels import Labels
from rsseg_edge.polygons.regions import Ints
from rsseg_edge.types import UInt8Array

VOID = -1
"""In place of a region: what has no data, and what lies outside of the class map."""
EAST, SOUTH, WEST, NORTH = range(4)
_E, _S, _W, _N = (1 << direction for direction in range(4))
_DEGREE = np.array([bin(bits).count("1") for bits in range(16)], np.uint8)


@dataclass(frozen=True, eq=False)
class Borders:
    """Lines of corners, each with one region on its left and another on its right all along (y grows downwards).

    Attributes:
        points: float64 [p, 2], x and y in pixels of the class map: the lines' corners, one line after another.
        offsets: int64 [n + 1], where each line begins in ``points``.
        left: int64 [n], names of regions, or ``VOID``.
        right: int64 [n].
        leaves: uint8 [n], direction of the first step.
        arrives: uint8 [n], direction of the last step.
    """

    points: npt.NDArray[np.float64]
    offsets: Ints
    left: Ints
    right: Ints
    leaves: UInt8Array
    arrives: UInt8Array

    def __len__(self) -> int:
        return len(self.left)

    def take(self, chosen: npt.NDArray[np.bool_]) -> Borders:
        """Those that are chosen, bool [n]."""
        lengths = np.diff(self.offsets)
        return Borders(
            self.points[np.repeat(chosen, lengths)],
            np.concatenate([[0], np.cumsum(lengths[chosen])]),
            self.left[chosen],
            self.right[chosen],
            self.leaves[chosen],
            self.arrives[chosen],
        )

    def oriented(self) -> Borders:
        """Each from its upper end, or the left one of the same row; a ring clockwise: however it was traced."""
        first, last = self.offsets[:-1], self.offsets[1:] - 1
        ring = (self.points[first] == self.points[last]).all(1)
        first, last = first + ring, last - ring
        (x, y), (to_x, to_y) = self.points[first].T, self.points[last].T
        turned = (y > to_y) | ((y == to_y) & (x > to_x))
        lengths = np.diff(self.offsets)
        base = np.where(turned, self.offsets[1:] - 1, self.offsets[:-1])
        along = np.arange(len(self.points)) - np.repeat(self.offsets[:-1], lengths)
        points = self.points[np.repeat(base, lengths) + np.repeat(np.where(turned, -1, 1), lengths) * along]
        return Borders(
            points,
            self.offsets,
            np.where(turned, self.right, self.left),
            np.where(turned, self.left, self.right),
            np.where(turned, (self.arrives + 2) % 4, self.leaves),
            np.where(turned, (self.leaves + 2) % 4, self.arrives),
        )

    @staticmethod
    def joined(parts: list[Borders]) -> Borders:
        """All of several."""
        lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(part.offsets) for part in parts)])
        return Borders(
            np.concatenate([np.zeros((0, 2)), *(part.points for part in parts)]),
            np.concatenate([[0], np.cumsum(lengths)]),
            np.concatenate([np.zeros(0, np.int64), *(part.left for part in parts)]),
            np.concatenate([np.zeros(0, np.int64), *(part.right for part in parts)]),
            np.concatenate([np.zeros(0, np.uint8), *(part.leaves for part in parts)]),
            np.concatenate([np.zeros(0, np.uint8), *(part.arrives for part in parts)]),
        )


@dataclass(frozen=True, eq=False)
class BandBorders:
    """The borders of a band, cut at its first and last grid line.

    Attributes:
        borders: of the band.
        cut_first: bool [n], whether each begins at a cut.
        cut_last: bool [n], whether each ends at a cut.
        through: int64 [m], x of the cuts of the first line. Where else a border came down, it met others.
    """

    borders: Borders
    cut_first: npt.NDArray[np.bool_]
    cut_last: npt.NDArray[np.bool_]
    through: Ints


def trace(classes: UInt8Array, labels: Labels, names: Ints, top: int) -> BandBorders:
    """The borders of a band.

    Borders that reach down to the band's last grid line are cut there, and those that came down to its first line
    begin there anew, so that they can be joined. On their left is the region with the smaller name.

    Args:
        classes: uint8 [h + 1, w + 2]: the last row before the band, its rows, and a column beyond either end.
        labels: int32 [h + 1, w + 2], of the same pixels.
        names: int64, of each label: the region's, or ``VOID``.
        top: the band's first row in the class map.
    """
    across, down = classes[:, 1:] != classes[:, :-1], classes[1:] != classes[:-1]
    sides = (down[:, 1:], across[1:], down[:, :-1], across[:-1])
    east, south, west, north = sides
    corner = (north ^ south) | (west ^ east) | (north & west & south & east)
    corner[0] |= north[0]
    height, width = corner.shape
    y, x = np.divmod(np.flatnonzero(corner), width)
    inner = len(y)
    bits = np.zeros(inner, np.uint8)
    for direction, side in enumerate(sides):
        bits |= side[y, x].astype(np.uint8) << direction
    cuts = np.flatnonzero(across[-1])
    x, y = np.concatenate([x, cuts]), np.concatenate([y, np.full(len(cuts), height)])
    bits = np.concatenate([bits, np.full(len(cuts), _N, np.uint8)])

    # A corner is linked to the next one in its row, and to the next one in its column.
    row_links = np.flatnonzero(bits[:inner] & _E)
    by_column = np.argsort(x, kind="stable")
    column_links = np.flatnonzero(bits[by_column] & _S)
    begin = np.concatenate([row_links, by_column[column_links]])
    end = np.concatenate([row_links + 1, by_column[column_links + 1]])
    step = np.repeat(np.array([EAST, SOUTH], np.uint8), [len(row_links), len(column_links)])
    vertical = step == SOUTH
    left = names[labels[y[begin] + vertical, x[begin] + 1]]
    right = names[labels[y[begin] + 1, x[begin] + ~vertical]]
    turned = left > right
    begin, end = np.where(turned, end, begin), np.where(turned, begin, end)
    left, right = np.where(turned, right, left), np.where(turned, left, right)
    step = np.where(turned, step + 2, step).astype(np.uint8)

    degree = _DEGREE[bits]
    through = (y == 0) & (bits & _N > 0) & (degree == 2)
    cut = through.copy()
    cut[inner:] = True
    ends = cut | (degree != 2)
    arriving = np.full(len(x), -1, np.int64)
    arriving[end] = np.arange(len(end))
    before = np.where(ends[begin], -1, arriving[begin])
    first, distance = rank(before, begin)

    line = np.flatnonzero(first == np.arange(len(first)))
    number = np.empty(len(first), np.int64)
    number[line] = np.arange(len(line))
    number = number[first]
    links = np.bincount(number, minlength=len(line))
    offsets = np.concatenate([[0], np.cumsum(links + 1)])
    corners = np.empty(offsets[-1], np.int64)
    place = offsets[number] + distance
    corners[place] = begin
    last = np.empty(len(line), np.int64)
    final = distance == links[number] - 1
    last[number[final]] = np.flatnonzero(final)
    corners[offsets[1:] - 1] = end[last]
    points = np.stack([x[corners], y[corners] + top], 1).astype(np.float64)
    borders = Borders(points, offsets, left[line], right[line], step[line], step[last])
    return BandBorders(borders, cut[corners[offsets[:-1]]], cut[corners[offsets[1:] - 1]], x[through])

"""Borders with fewer corners, none of which moves by half a pixel, and which enclose what they enclosed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rsseg_edge.polygons.reference.borders import VOID, Borders
from rsseg_edge.polygons.regions import Floats, Ints

Complex = npt.NDArray[np.complex128]
Mask = npt.NDArray[np.bool_]

NEAR = 0.5
"""Pixels that a border moves by less than: half of what lies between borders that do not touch."""
STRIP = 0.49
"""Corners lie so far from their line at most, in tolerances; up to ``NEAR`` there is room for the shift."""


def simplified(borders: Borders, tolerance: float) -> Borders:
    """Borders between regions along fewer lines; where data ends they keep every corner.

    A pixel's edges run up and down beside the line that was drawn, so that lines go from middle to middle of such
    edges as long as no corner between is further than half the tolerance from them. (Douglas and Peucker's division,
    of the middles.) Then each border is shifted sideways so that it leaves either side the area that it had. Borders
    that keep a distance of a pixel from each other cannot meet while none moves by half of one.

    Args:
        borders: with a corner wherever they turn.
        tolerance: pixels, 0 to 1: the width of the strip in which all corners of a line lie. 0 changes nothing.
    """
    lengths = np.diff(borders.offsets)
    rectangles = (lengths == 5) & (borders.points[borders.offsets[:-1]] == borders.points[borders.offsets[1:] - 1]).all(
        1
    )
    chosen = (borders.left != VOID) & (borders.right != VOID) & (lengths > 3) & ~rectangles
    if not tolerance or not chosen.any():
        return borders
    line = _Lines.of(borders.take(chosen))
    keep = line.divided(STRIP * tolerance)
    points, offsets = line.drawn(keep)
    replaced = np.repeat(chosen, lengths)
    counts = lengths.copy()
    counts[chosen] = np.diff(offsets)
    new_offsets = np.concatenate([[0], np.cumsum(counts)])
    result = np.empty(new_offsets[-1], np.complex128)
    here = np.repeat(chosen, counts)
    result[here] = points
    result[~here] = as_complex(borders.points)[~replaced]
    return replace(borders, points=result.view(np.float64).reshape(-1, 2), offsets=new_offsets)


@dataclass(frozen=True, eq=False)
class _Lines:
    """Borders, and the places that simpler ones may go through: corner, middle of an edge, corner, and so on.

    Attributes:
        corners: complex128 [p], x + iy.
        offsets: int64 [n + 1], of borders in ``corners``.
        places: complex128 [2p]: 2i is corner i; 2i + 1 the middle between it and the next.
        edges: float64 [p], length from each corner to the next.
    """

    corners: Complex
    offsets: Ints
    places: Complex
    edges: Floats

    @classmethod
    def of(cls, borders: Borders) -> _Lines:
        corners = as_complex(borders.points)
        following = np.append(corners[1:], corners[-1:])
        places = np.empty(2 * len(corners), np.complex128)
        places[0::2], places[1::2] = corners, (corners + following) / 2
        return cls(corners, borders.offsets, places, np.abs(following - corners))

    def divided(self, limit: float) -> Mask:
        """Which places are kept, bool [2p]: no corner is further than ``limit`` from the line between the kept places
        on either side of it."""
        keep = np.zeros(len(self.places), np.bool_)
        begin, end = 2 * self.offsets[:-1], 2 * (self.offsets[1:] - 1)
        keep[begin] = keep[end] = True
        while True:
            corner, owner, starts, some = _between(begin, end)
            begin, end = begin[some], end[some]
            if not len(begin):
                return keep
            far, scale = self._distance2(corner, owner, self.places[begin], self.places[end])
            most = np.maximum.reduceat(far, starts)
            hits = np.flatnonzero(far == most[owner])
            farthest = corner[hits[np.searchsorted(hits, starts)]]
            split = most > limit * limit * scale
            begin, end, farthest = begin[split], end[split], farthest[split]
            before, after = 2 * farthest - 1, 2 * farthest + 1
            longer = self.edges[farthest - 1] >= self.edges[farthest]
            before_only, after_only = (before > begin) & (longer | (after >= end)), after < end
            at = np.where(before_only, before, np.where(after_only, after, 2 * farthest))
            keep[at] = True
            begin, end = np.concatenate([begin, at]), np.concatenate([at, end])

    def drawn(self, keep: Mask) -> tuple[Complex, Ints]:
        """Points and offsets of borders through the kept places, shifted to keep areas; a border that this does not
        simplify, or that would move too far, keeps its corners."""
        lengths = np.diff(self.offsets)
        number = np.repeat(np.arange(len(lengths)), 2 * lengths)
        inner = np.ones(len(self.places), np.bool_)
        inner[2 * self.offsets[:-1]] = inner[2 * (self.offsets[1:] - 1)] = False
        at = np.flatnonzero(keep)
        points = self.places[at]
        bends = _cross(points[1:-1] - points[:-2], points[2:] - points[1:-1]) != 0
        at = at[np.concatenate([[True], bends | ~inner[at[1:-1]], [True]])]
        of, points = number[at], self.places[at]
        count = np.bincount(of, minlength=len(lengths))
        offsets = np.concatenate([[0], np.cumsum(count)])

        # From each line's own beginning: areas of a scene have too many digits.
        local = points - np.repeat(points[offsets[:-1]], count)
        corners = self.corners - np.repeat(self.corners[self.offsets[:-1]], lengths)
        lost = swept(corners, self.offsets) - swept(local, offsets)
        middle = np.flatnonzero(inner[at])
        chord = points[middle + 1] - points[middle - 1]
        room = self._room(at, points, of[:-1] == of[1:])
        shifts = np.zeros_like(points)
        shifts[middle] = -1j * chord / np.maximum(np.abs(chord), 1e-9) * np.minimum(room[middle - 1], room[middle])
        # What lines sweep is a polynomial of the shift: (p + tn) x (q + tm) = p x q + t (p x m + n x q) + t2 (n x m).
        twice = swept(shifts, offsets)
        once = swept(local + shifts, offsets) - swept(local, offsets) - twice
        root = np.sqrt(np.maximum(once**2 + 4 * twice * lost, 0))
        part = np.divide(2 * lost, once + root, out=np.zeros_like(lost), where=once + root > 0)
        failed = (np.abs(lost - once * part - twice * part**2) > 1e-6) | (np.abs(part) >= 1) | (count >= lengths)
        moved = points + shifts * part[of]

        result_offsets = np.concatenate([[0], np.cumsum(np.where(failed, lengths, count))])
        result = np.empty(result_offsets[-1], np.complex128)
        whole = np.repeat(failed, np.diff(result_offsets))
        result[whole] = self.corners[failed[number[::2]]]
        result[~whole] = moved[~failed[of]]
        return result, result_offsets

    def _room(self, at: Ints, points: Complex, same: Mask) -> Floats:
        """By how much the line from each point to the next may move before a corner is ``NEAR`` away from it.

        Args:
            at: their places.
            points: complex128 [m].
            same: bool [m - 1], whether a point and the next are of one border.
        """
        room = np.full(len(points), NEAR)
        corner, owner, starts, some = _between(at[:-1], at[1:], same)
        if len(some):
            far, scale = self._distance2(corner, owner, points[:-1][some], points[1:][some])
            room[some] -= np.sqrt(np.maximum.reduceat(far, starts) / scale)
        return room

    def _distance2(self, corner: Ints, owner: Ints, begin: Complex, end: Complex) -> tuple[Floats, Floats]:
        """Squared distance of corners to line segments, each to the one that owns it, times that one's squared length;
        and those lengths, with 1 for none. Of whole numbers of quarters: rounding does not decide which is farthest."""
        along = end - begin
        length2 = _dot(along, along)
        scale = np.where(length2 > 0, length2, 1)
        out, line = self.corners[corner] - begin[owner], along[owner]
        there, aside, beyond = _dot(out, line), _cross(line, out), out - line
        distance2 = np.where(there <= 0, _dot(out, out) * scale[owner], aside * aside)
        return np.where((there > 0) & (there >= length2[owner]), _dot(beyond, beyond) * scale[owner], distance2), scale


def _between(begin: Ints, end: Ints, chosen: Mask | None = None) -> tuple[Ints, Ints, Ints, Ints]:
    """Corners strictly between pairs of places: all of them, which pair each is of, where each pair's begin, and which
    pairs have any."""
    first, last = begin // 2 + 1, (end - 1) // 2
    some = np.flatnonzero((last >= first) if chosen is None else (last >= first) & chosen)
    first, count = first[some], (last - first + 1)[some]
    owner = np.repeat(np.arange(len(first)), count)
    starts = np.cumsum(count) - count
    return np.arange(len(owner)) + (first - starts)[owner], owner, starts, some


def as_complex(points: Floats) -> Complex:
    """float64 [p, 2] as complex128 [p], x + iy."""
    return np.ascontiguousarray(points).view(np.complex128)[:, 0]


def _dot(a: Complex, b: Complex) -> Floats:
    product: Floats = a.real * b.real + a.imag * b.imag
    return product


def _cross(a: Complex, b: Complex) -> Floats:
    product: Floats = a.real * b.imag - a.imag * b.real
    return product


def swept(points: Complex, offsets: Ints) -> Floats:
    """Twice the area that the line from the origin sweeps along each of some lines, signed.

    Args:
        points: complex128 [p], x + iy.
        offsets: int64 [n + 1], where each line begins.
    """
    each = np.append(_cross(points[:-1], points[1:]), 0)
    each[offsets[1:] - 1] = 0
    sums: Floats = np.add.reduceat(each, offsets[:-1])
    return sums

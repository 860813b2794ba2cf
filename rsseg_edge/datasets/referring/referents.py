"""What an image lets one refer to without doubt: each form with the margin that keeps it unambiguous."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rsseg_edge.datasets.referring.lexicon import Names
from rsseg_edge.datasets.referring.regions import BoolArray, FloatArray, Regions

Kind = Literal["category", "size", "position", "relation", "number"]

LARGER = 1.3
"""Least ratio of areas where one is called larger."""

NEARER = 1.5
"""Least ratio of distances where one is called nearer."""

APART = 0.05
"""Least distance, in image sides, from what is farthest out to the next."""

_INSIDE = 0.8  # least share of the referent that is inside a place; all others have as much of theirs outside
_STRAY = 0.1  # other regions' pixels in a place, at most, to one of the referent's
_BESIDE = 0.9  # least share of a region that lies on one side of a landmark
_COUNTS = {2: "both", 3: "three", 4: "four"}
_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Referent:
    """Pixels, and the form in which they are referred to.

    Attributes:
        kind: of the expression.
        form: entry of ``phrasings.toml``.
        label: class of the pixels.
        regions: which of its :class:`Regions`; None for all pixels of the class.
        word: place or direction, an entry of the same file; "" where the form has none.
        landmark: class of the landmark; -1 where the form has none.
    """

    kind: Kind
    form: str
    label: int
    regions: tuple[int, ...] | None
    word: str = ""
    landmark: int = -1


def find_referents(classes: Mapping[int, Regions], names: list[Names]) -> list[Referent]:
    """All referents of an image, in a fixed order.

    Of a mass, as water, the bare name means every pixel; of things, as buildings, only a plural does. Landmarks are
    masses, so that their name alone says which pixels are meant.

    Args:
        classes: regions of the labels that have names.
        names: of every class.
    """
    found: list[Referent] = []
    for label, regions in classes.items():
        found += _categories(label, regions, thing=not names[label].whole)
        if len(regions) < 2:
            continue
        found += [*_sizes(label, regions), *_counts(label, regions)]
        found += [*_places(label, regions), *_extremes(label, regions)]
        for other, landmark in classes.items():
            if other != label and names[other].whole and landmark.visible.any():
                found += _distances(label, regions, other, landmark)
                found += _directions(label, regions, other, landmark)
    return found


def _categories(label: int, regions: Regions, *, thing: bool) -> Iterator[Referent]:
    if regions.visible.any():
        form = "whole" if not thing else "only" if len(regions) == 1 else "all"
        yield Referent("category", form, label, None)


def _sizes(label: int, regions: Regions) -> Iterator[Referent]:
    area, last = regions.area, len(regions) - 1
    if regions.visible[0] and area[0] >= LARGER * area[1]:
        yield Referent("size", "largest", label, (0,))
    if regions.visible[last] and area[last - 1] >= LARGER * area[last]:
        yield Referent("size", "smallest", label, (last,))


def _counts(label: int, regions: Regions) -> Iterator[Referent]:
    if len(regions) in _COUNTS and regions.visible.all():
        yield Referent("number", _COUNTS[len(regions)], label, None)
    if len(regions) > 2 and regions.visible[1] and regions.area[1] >= LARGER * regions.area[2]:
        yield Referent("number", "two_largest", label, (0, 1))


def _places(label: int, regions: Regions) -> Iterator[Referent]:
    """The only region of its class in a part of the image: nobody could mean another one."""
    for place, (rows, columns) in places(*regions.all_pixels.shape).items():
        where = np.zeros(regions.all_pixels.shape, np.bool_)
        where[rows, columns] = True
        within = regions.count(where)
        best = int(within.argmax())
        others = np.arange(len(regions)) != best
        if (
            regions.visible[best]
            and within[best] >= _INSIDE * regions.area[best]
            and (within[others] <= _STRAY * within[best]).all()
            and (within[others] <= (1 - _INSIDE) * regions.area[others]).all()
        ):
            yield Referent("position", "place", label, (best,), word=place)


def places(height: int, width: int) -> dict[str, tuple[slice, slice]]:
    """Rows and columns of each place: halves, quarters, and the middle third of both sides."""
    top, bottom = slice(0, height // 2), slice(height - height // 2, height)
    left, right = slice(0, width // 2), slice(width - width // 2, width)
    rows, columns = slice(0, height), slice(0, width)
    return {
        "left": (rows, left),
        "right": (rows, right),
        "top": (top, columns),
        "bottom": (bottom, columns),
        "top left": (top, left),
        "top right": (top, right),
        "bottom left": (bottom, left),
        "bottom right": (bottom, right),
        "middle": (slice(height // 3, height - height // 3), slice(width // 3, width - width // 3)),
    }


def _extremes(label: int, regions: Regions) -> Iterator[Referent]:
    """The region that is farthest out both by its centroid and by its edge."""
    height, width = regions.all_pixels.shape
    column, row = regions.centroid.T
    left, top, right, bottom = regions.box.T
    outward = {
        "leftmost": (-column, -left, width),
        "rightmost": (column, right, width),
        "topmost": (-row, -top, height),
        "bottommost": (row, bottom, height),
    }
    for form, (centre, edge, side) in outward.items():
        second, first = (int(i) for i in np.argsort(centre, kind="stable")[-2:])
        if regions.visible[first] and edge[first] == edge.max() and centre[first] - centre[second] >= APART * side:
            yield Referent("position", form, label, (first,))


def _distances(label: int, regions: Regions, other: int, landmark: Regions) -> Iterator[Referent]:
    """The region nearest to a class and the one farthest from it, by their nearest pixels."""
    gaps = regions.least(landmark.distance)
    order = [int(i) for i in np.argsort(gaps, kind="stable")]
    margin = APART * max(regions.all_pixels.shape)
    if regions.visible[order[0]] and gaps[order[1]] >= NEARER * gaps[order[0]] + margin:
        yield Referent("relation", "nearest", label, (order[0],), landmark=other)
    if regions.visible[order[-1]] and gaps[order[-1]] >= NEARER * gaps[order[-2]] + margin:
        yield Referent("relation", "farthest", label, (order[-1],), landmark=other)


def _directions(label: int, regions: Regions, other: int, landmark: Regions) -> Iterator[Referent]:
    """The only region on one side of a landmark that is a single region, all others being on the opposite side."""
    if len(landmark) != 1:
        return
    shares = _shares_beside(regions, landmark.mask((0,)))
    for direction, opposite in _OPPOSITE.items():
        here = np.flatnonzero(shares[direction] >= _BESIDE)
        if len(here) == 1 and regions.visible[here[0]]:
            others = np.arange(len(regions)) != here[0]
            if (shares[opposite][others] >= _BESIDE).all():
                yield Referent("relation", "direction", label, (int(here[0]),), word=direction, landmark=other)


def _shares_beside(regions: Regions, landmark: BoolArray) -> dict[str, FloatArray]:
    """Shares [n] of each region that lie left of all of the landmark's pixels in their row, and so on."""
    shares = {}
    for turned, before, after in ((False, "left of", "right of"), (True, "above", "below")):
        along = landmark.T if turned else landmark
        position, met = np.arange(along.shape[1]), along.any(1, keepdims=True)
        begin, end = along.argmax(1)[:, None], along.shape[1] - 1 - along[:, ::-1].argmax(1)[:, None]
        for side, where in ((before, met & (position < begin)), (after, met & (position > end))):
            shares[side] = regions.count(where.T if turned else where) / regions.area
    return shares

"""Linked lists in arrays, put in order all at once by pointer doubling."""

from __future__ import annotations

import numpy as np

from rsseg_edge.polygons.regions import Ints


def rank(before: Ints, key: Ints) -> tuple[Ints, Ints]:
    """The first element of each element's list, and how many lie between.

    Args:
        before: int64 [n], the element before each; -1 for a first one. Lists may be closed to rings.
        key: int64 [n]; the element of a ring that has the least one is its first.

    Returns:
        int64 [n] each: index of the first element, and elements from there.
    """
    first, distance, rings = _rank(before, key)
    if len(rings):
        opened = before.copy()
        opened[rings[first[rings] == rings]] = -1
        place = np.empty(len(before), np.int64)
        place[rings] = np.arange(len(rings))
        inner = opened[rings]
        within, steps, _ = _rank(np.where(inner < 0, -1, place[inner]), key[rings])
        first[rings], distance[rings] = rings[within], steps
    return first, distance


def _rank(before: Ints, key: Ints) -> tuple[Ints, Ints, Ints]:
    """As :func:`rank`, and the elements of rings; of a ring's elements only whether they are its first is right."""
    begins = before < 0
    jump = np.where(begins, np.arange(len(before)), before)
    distance = (~begins).astype(np.int64)
    least = key.copy()
    active = np.flatnonzero(~begins)
    # Jumps double. A list that is longer than a jump has elements that reach its first with this one: where no
    # element does, rings alone are left.
    while len(active):
        middle = jump[active]
        after, steps, low = jump[middle], distance[middle], least[middle]
        jump[active] = after
        distance[active] += steps
        least[active] = np.minimum(least[active], low)
        left = active[~begins[after]]
        if len(left) == len(active):
            break
        active = left
    changed = len(active) > 0
    while changed:
        middle = jump[active]
        low = np.minimum(least[active], least[middle])
        changed = bool((low != least[active]).any())
        after = jump[middle]
        least[active], jump[active] = low, after
    jump[active] = np.where(least[active] == key[active], active, -1)
    return jump, distance, active

"""Polygons of many frames that become one map: those of a class that touch are united."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

PENDING = 256  # polygons of a class before they are united: memory and time stay with the map, not the flight
GRID = 1e-9  # degrees to which vertices are rounded: a tenth of a millimetre, and unions that do not fail


@dataclass(frozen=True, eq=False)
class Observation:
    """A polygon, and when it was seen.

    Attributes:
        polygon: shapely, in longitude and latitude.
        confidence: 0..1; of a union, the mean weighted by area.
        first: seconds of the video.
        unix_first: UTC in seconds; None where it is not known.
        last: seconds of the video; None is ``first``.
        unix_last: UTC in seconds.
        observations: how many polygons of frames it stands for.
        weight: summed area of these, in square degrees; None is the polygon's own.
    """

    polygon: Any
    confidence: float
    first: float
    unix_first: float | None
    last: float | None = None
    unix_last: float | None = None
    observations: int = 1
    weight: float | None = None

    def __post_init__(self) -> None:
        if self.last is None:
            object.__setattr__(self, "last", self.first)
            object.__setattr__(self, "unix_last", self.unix_first)
        if self.weight is None:
            object.__setattr__(self, "weight", self.polygon.area)


class MergedPolygons:
    """Unites the polygons of each class as they come."""

    def __init__(self) -> None:
        self._united: dict[str, list[Observation]] = {}
        self._pending: dict[str, list[Observation]] = {}

    def add(self, name: str, seen: Observation) -> None:
        """Add a polygon of a class."""
        pending = self._pending.setdefault(name, [])
        pending.append(seen)
        if len(pending) >= PENDING:
            self._unite(name)

    def finish(self) -> Iterator[tuple[str, Observation]]:
        """Classes and their united polygons."""
        for name in list(self._pending):
            self._unite(name)
            for merged in self._united[name]:
                yield name, merged

    def _unite(self, name: str) -> None:
        import shapely

        parts = self._united.get(name, []) + self._pending[name]
        self._pending[name] = []
        union = shapely.unary_union([part.polygon for part in parts], grid_size=GRID)
        whole = [p for p in shapely.get_parts(union) if isinstance(p, shapely.Polygon) and p.area > 0]
        tree = shapely.STRtree(whole)
        homes = tree.nearest([part.polygon.representative_point() for part in parts]) if whole else []
        members: dict[int, list[Observation]] = {}
        for home, part in zip(np.asarray(homes).tolist(), parts, strict=False):
            members.setdefault(home, []).append(part)
        self._united[name] = [_sum(whole[home], there) for home, there in members.items()]


def _sum(polygon: Any, parts: list[Observation]) -> Observation:
    weight = sum(part.weight or 0.0 for part in parts)
    confidence = sum(part.confidence * (part.weight or 0.0) for part in parts) / weight if weight else 0.0
    firsts = [part.unix_first for part in parts if part.unix_first is not None]
    lasts = [part.unix_last for part in parts if part.unix_last is not None]
    return replace(
        parts[0],
        polygon=polygon,
        confidence=confidence,
        first=min(part.first for part in parts),
        last=max(part.last if part.last is not None else part.first for part in parts),
        unix_first=min(firsts, default=None),
        unix_last=max(lasts, default=None),
        observations=sum(part.observations for part in parts),
        weight=weight,
    )

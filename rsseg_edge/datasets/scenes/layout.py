"""Where things are: streets cut the ground into blocks, and every block gets a use."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rsseg_edge.datasets.scenes.canvas import Points
from rsseg_edge.datasets.scenes.roads import Road


@dataclass(frozen=True)
class Style:
    """A kind of place.

    Attributes:
        block: length of a block's side, metres, from and to.
        road: width of its roads, metres, from and to.
        paved: share of the roads that are paved.
        kept: share of the cuts between blocks that carry a road.
        uses: what blocks are used for, with weights.
    """

    block: tuple[float, float]
    road: tuple[float, float]
    paved: float
    kept: float
    uses: dict[str, float]


STYLES = {
    "suburb": Style((45, 90), (5, 8), 0.97, 1.0, {"houses": 8, "park": 1, "flats": 1, "bare": 1, "parking": 0.15}),
    "town": Style(
        (60, 120), (6, 11), 1.0, 1.0, {"flats": 5, "houses": 2, "park": 1, "parking": 0.6, "works": 1, "bare": 1}
    ),
    "works": Style((90, 180), (7, 12), 0.9, 0.9, {"works": 6, "bare": 3, "parking": 0.5, "park": 0.5}),
    "farms": Style((100, 260), (3, 6), 0.35, 0.6, {"field": 8, "forest": 1, "bare": 1, "farmyard": 1}),
    "open": Style(
        (160, 420), (5, 20), 0.6, 0.45, {"bare": 8, "works": 0.7, "park": 0.7, "forest": 0.4, "farmyard": 0.6}
    ),
    "woods": Style((120, 320), (3, 7), 0.4, 0.5, {"forest": 6, "field": 2, "bare": 1, "park": 1}),
}


@dataclass(frozen=True)
class Bend:
    """A smooth turn of the plane, so that streets are not all straight: metres to metres."""

    angle: float
    amplitude: float
    length: float
    phase: float

    def __call__(self, points: Points) -> Points:
        swing = np.sin(points[..., ::-1] * (2 * math.pi / self.length) + (self.phase, 2 * self.phase))
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        bent: Points = (points + swing * (self.amplitude, 0.7 * self.amplitude)) @ np.array([[cos, sin], [-sin, cos]])
        return bent

    def heading(self, point: Points) -> float:
        """Where the straight x direction points to at this place, radians."""
        behind, ahead = self(point + np.array([[-0.5, 0.0], [0.5, 0.0]]))
        return math.atan2(ahead[1] - behind[1], ahead[0] - behind[0])


@dataclass(frozen=True)
class Block:
    """A rectangle (metres, before the bend) between streets, and its use."""

    low: Points
    high: Points
    use: str

    @property
    def size(self) -> Points:
        """Width and height in metres."""
        return self.high - self.low

    def outline(self, bend: Bend, inset: float = 0.0) -> Points:
        """Corner points [n, 2] after the bend, dense enough to follow it."""
        low, high = self.low + inset, self.high - inset
        corners = np.array([low, (high[0], low[1]), high, (low[0], high[1]), low])
        steps = np.linspace(0, 1, 8)[:-1, None]
        return bend((corners[:4, None] + (corners[1:] - corners[:4])[:, None] * steps).reshape(-1, 2))


def choose_bend(rng: np.random.Generator) -> Bend:
    """Straight streets in a third of the scenes."""
    length = rng.uniform(180, 700)
    amplitude = 0.0 if rng.random() < 0.35 else rng.uniform(0.01, 0.05) * length
    return Bend(rng.uniform(0, 2 * np.pi), amplitude, length, rng.uniform(0, 2 * np.pi))


def lay_out(rng: np.random.Generator, style: Style, bend: Bend, radius: float) -> tuple[list[Block], list[Road]]:
    """Cut a square of ``radius`` metres around the centre into blocks, with a road along most of the cuts."""
    blocks: list[Block] = []
    roads: list[Road] = []
    uses, weights = list(style.uses), np.array(list(style.uses.values()))
    wide = rng.uniform(1, 2)

    def cut(low: Points, high: Points, level: int) -> None:
        size = high - low
        axis = int(size[1] > size[0])
        if size[axis] < rng.uniform(*style.block) * 1.6 or level > 12:
            use = uses[int(rng.choice(len(uses), p=weights / weights.sum()))]
            blocks.append(Block(low, high, use))
            return
        at = low[axis] + size[axis] * rng.uniform(0.35, 0.65)
        has_road = rng.random() < style.kept
        width = rng.uniform(*style.road) * (wide if level < 3 else 1) if has_road else 0.5
        if has_road:
            ends = np.array([low, high])
            ends[:, axis] = at
            line = bend(ends[0] + (ends[1] - ends[0]) * np.linspace(0, 1, 40)[:, None])
            roads.append(Road(line, width, bool(rng.random() < style.paved)))
        margin = width / 2 + (1.5 if has_road else 0)
        left, right = high.copy(), low.copy()
        left[axis], right[axis] = at - margin, at + margin
        cut(low, left, level + 1)
        cut(right, high, level + 1)

    reach = radius * 1.15
    cut(np.array([-reach, -reach]), np.array([reach, reach]), 0)
    return blocks, roads

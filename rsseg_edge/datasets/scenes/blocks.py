"""What fills a block: houses with gardens, flats, works, parks, fields, forest, parking, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsseg_edge.datasets.scenes.biome import Biome
from rsseg_edge.datasets.scenes.buildings import Sun, place_building
from rsseg_edge.datasets.scenes.canvas import BUILDING, LAND, ROAD, WATER, Canvas, Points, pick, rectangle
from rsseg_edge.datasets.scenes.ground import field, lawn, pond
from rsseg_edge.datasets.scenes.layout import Bend, Block
from rsseg_edge.datasets.scenes.roads import parked
from rsseg_edge.datasets.scenes.trees import Crowns, along, plant, scatter


@dataclass(frozen=True)
class Place:
    """What all blocks of a scene share."""

    canvas: Canvas
    biome: Biome
    sun: Sun
    bend: Bend
    crowns: Crowns
    garden: float
    """Share of gardens that are green."""

    def fill(self, block: Block) -> None:
        """Paint a block by its use."""
        if self.canvas.outside(self.bend((block.low + block.high) / 2), float(block.size.max())):
            return
        getattr(self, f"_{block.use}")(block)

    def trees(self, places: Points, radius: tuple[float, float] = (1.5, 4.0)) -> None:
        """Plant trees at these places (metres)."""
        plant(self.canvas, self.crowns, places, radius)

    def _bare(self, block: Block) -> None:
        rng = self.canvas.rng
        if rng.random() < 0.5:
            lawn(self.canvas, block.outline(self.bend), pick(rng, self.biome.land), LAND, rough=rng.uniform(0.6, 1.6))
        if rng.random() < self.biome.green:
            self.trees(scatter(rng, block.outline(self.bend), rng.uniform(14, 40)), (1.0, 3.0))

    def _field(self, block: Block) -> None:
        rng = self.canvas.rng
        heading = self.bend.heading((block.low + block.high) / 2) + rng.choice((0, np.pi / 2))
        field(self.canvas, self.biome, block.outline(self.bend), heading)
        if rng.random() < 0.35:
            edge = block.outline(self.bend, 1.0)
            self.trees(along(rng, edge[: int(rng.integers(8, len(edge)))], rng.uniform(4, 9), 1.0), (1.5, 4.5))

    def _forest(self, block: Block) -> None:
        rng = self.canvas.rng
        outline = block.outline(self.bend)
        lawn(self.canvas, outline, pick(rng, self.biome.grass))
        spacing = rng.uniform(3.5, 7)
        places = scatter(rng, outline, spacing)
        clearing = rng.normal(0, 1, 2) @ (places / 60).T
        self.trees(places[np.sin(clearing) > rng.uniform(-1.1, -0.3)], (0.45 * spacing, 0.95 * spacing))

    def _park(self, block: Block) -> None:
        rng = self.canvas.rng
        outline = block.outline(self.bend)
        lawn(self.canvas, outline, pick(rng, self.biome.grass), rough=rng.uniform(0.6, 1.4))
        if rng.random() < 0.35:
            pond(
                self.canvas,
                self.biome,
                self.bend((block.low + block.high) / 2),
                block.size.min() * rng.uniform(0.12, 0.3),
            )
        self.trees(scatter(rng, outline, rng.uniform(7, 22)), (1.5, 5.0))
        if rng.random() < 0.5:
            self.trees(along(rng, block.outline(self.bend, 2.0), rng.uniform(5, 10)), (2.0, 4.0))

    def _houses(self, block: Block) -> None:
        rng = self.canvas.rng
        axis = int(block.size[1] > block.size[0])
        lot, depth = rng.uniform(14, 24), block.size[1 - axis] / 2
        hedge = rng.random() < 0.4
        for row in (-1, 1):
            for at in np.arange(lot / 2, block.size[axis] - lot / 2 + 0.1, lot):
                self._lot(block, axis, float(at), row, (lot, min(depth, 40.0)))
        if hedge:
            self.trees(along(rng, block.outline(self.bend, 1.0), rng.uniform(5, 12)), (1.2, 3.0))

    def _lot(self, block: Block, axis: int, at: float, row: int, size: tuple[float, float]) -> None:
        rng = self.canvas.rng
        middle = (block.low + block.high) / 2
        middle[axis] = block.low[axis] + at
        middle[1 - axis] += row * (block.size[1 - axis] / 2 - size[1] / 2)
        center = self.bend(middle)
        if self.canvas.outside(center, max(size)):
            return
        heading = self.bend.heading(middle) + axis * np.pi / 2
        green = rng.random() < self.garden
        ground = pick(rng, self.biome.grass if green else self.biome.land)
        if rng.random() < 0.85:
            plot = rectangle(center, (size[0] - 0.6, size[1] - 0.6), heading)
            lawn(self.canvas, plot, ground, None if not green else 3)
        house = (size[0] * rng.uniform(0.5, 0.8), np.clip(size[1] * rng.uniform(0.35, 0.6), 6, 18))
        middle[1 - axis] += row * rng.uniform(0.02, 0.12) * size[1]
        heading += rng.normal(0, 0.03)
        if rng.random() < 0.92:
            place_building(self.canvas, self.biome, self.sun, self.bend(middle), house, heading, rng.uniform(3, 8))
        if rng.random() < 0.12 and self.canvas.label_at(center - (0, 0)) not in (BUILDING, ROAD, WATER, -1):
            pool = rectangle(center, (rng.uniform(4, 9), rng.uniform(3, 5)), heading)
            if all(self.canvas.label_at(p) not in (BUILDING, ROAD, -1) for p in pool):
                self.canvas.flat(pool, (70, 150, 176), WATER, 0.0)
        count = int(rng.poisson(2.5 * self.garden + 0.5))
        self.trees(center + rng.uniform(-0.5, 0.5, (count, 2)) * size[0], (1.0, 3.2))

    def _flats(self, block: Block) -> None:
        rng = self.canvas.rng
        ground = self.biome.grass if rng.random() < 0.5 * self.garden else self.biome.land
        lawn(
            self.canvas,
            block.outline(self.bend),
            pick(rng, ground),
            3 if ground is self.biome.grass else LAND,
            rough=0.7,
        )
        storeys = rng.uniform(3, 12)
        pitch = rng.uniform(28, 48)
        size = (pitch * rng.uniform(0.55, 0.85), pitch * rng.uniform(0.3, 0.7))
        for x in np.arange(block.low[0] + pitch / 2, block.high[0] - pitch / 3, pitch):
            for y in np.arange(block.low[1] + pitch / 2, block.high[1] - pitch / 3, pitch):
                middle = np.array([x, y])
                place = self.bend(middle), size, self.bend.heading(middle)
                if rng.random() < 0.85:
                    height = 3.2 * storeys * rng.uniform(0.7, 1.2)
                    place_building(self.canvas, self.biome, self.sun, *place, height)
        self.trees(scatter(rng, block.outline(self.bend), rng.uniform(12, 30)), (1.2, 3.5))

    def _works(self, block: Block) -> None:
        rng = self.canvas.rng
        lawn(self.canvas, block.outline(self.bend), pick(rng, (*self.biome.land, (168, 166, 162))), LAND, rough=0.7)
        parts = np.maximum(1, np.round(block.size / rng.uniform(35, 90))).astype(int)
        cell = block.size / parts
        for i in range(int(parts[0])):
            for j in range(int(parts[1])):
                middle = block.low + cell * (i + 0.5, j + 0.5)
                size = cell * rng.uniform(0.45, 0.82, 2)
                if rng.random() < 0.8:
                    shed = self.bend(middle), (float(size[0]), float(size[1])), self.bend.heading(middle)
                    place_building(self.canvas, self.biome, self.sun, *shed, rng.uniform(5, 14))
        for place in scatter(rng, block.outline(self.bend), rng.uniform(25, 70)):
            if self.canvas.label_at(place) == LAND:
                parked(self.canvas, place, self.bend.angle + float(rng.choice((0, np.pi / 2))))

    def _parking(self, block: Block) -> None:
        rng = self.canvas.rng
        lawn(self.canvas, block.outline(self.bend), pick(rng, self.biome.asphalt), ROAD, rough=0.5)
        full = rng.uniform(0.1, 0.8)
        for y in np.arange(block.low[1] + 5, block.high[1] - 4, 8.5):
            for x in np.arange(block.low[0] + 4, block.high[0] - 3, 2.7):
                middle = np.array([x, y])
                place = self.bend(middle)
                if rng.random() < full and self.canvas.label_at(place) == ROAD:
                    parked(self.canvas, place, self.bend.heading(middle) + np.pi / 2)

    def _farmyard(self, block: Block) -> None:
        rng = self.canvas.rng
        field(self.canvas, self.biome, block.outline(self.bend), self.bend.angle)
        middle = block.low + block.size * rng.uniform(0.25, 0.75, 2)
        yard, heading = self.bend(middle), self.bend.heading(middle)
        lawn(self.canvas, rectangle(yard, (60, 45), heading), pick(rng, self.biome.dirt_road), LAND)
        for _ in range(int(rng.integers(2, 6))):
            size = (rng.uniform(10, 32), rng.uniform(7, 15))
            place = yard + rng.uniform(-24, 24, 2)
            place_building(self.canvas, self.biome, self.sun, place, size, heading, rng.uniform(3, 7))
        self.trees(yard + rng.normal(0, 22, (int(rng.integers(4, 25)), 2)), (1.5, 4.5))

"""Roads with shoulders, markings and vehicles."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rsseg_edge.datasets.scenes.biome import Biome
from rsseg_edge.datasets.scenes.canvas import LAND, ROAD, WATER, Canvas, FloatArray, Points, pick, rectangle, vary

_VEHICLES = (
    (236, 236, 234),
    (206, 206, 204),
    (150, 152, 154),
    (60, 60, 62),
    (36, 36, 38),
    (150, 40, 36),
    (40, 62, 112),
)


@dataclass(frozen=True)
class Road:
    """A road: its middle line [n, 2] in metres, its width in metres, and whether it is paved."""

    line: Points
    width: float
    paved: bool


def paint_roads(canvas: Canvas, biome: Biome, roads: list[Road], *, bridges: bool) -> None:
    """All roads at once, so that crossings are clean: shoulders, surface, markings, vehicles.

    Args:
        bridges: whether paved roads cross water; else roads end at the shore.
    """
    rng = canvas.rng
    dry = canvas.labels != WATER
    for paved in (False, True):
        chosen = [road for road in roads if road.paved == paved]
        if not chosen:
            continue
        allowed = np.ones_like(dry) if bridges and paved else dry
        surface = _mask(canvas, chosen, 0.0) & allowed
        if paved:
            shoulder = _mask(canvas, chosen, rng.uniform(1, 5)) & dry & ~surface
            _cover(canvas, shoulder, vary(rng, pick(rng, biome.land), 14), LAND)
            canvas.height[surface & ~dry] = 4.0  # a bridge casts a shadow on the water
        color = vary(rng, pick(rng, biome.asphalt if paved else biome.dirt_road), 10)
        _cover(canvas, surface, color, ROAD)
    paved_roads = [road for road in roads if road.paved]
    _mark(canvas, paved_roads)
    for road in roads:
        _drive(canvas, road)


def parked(canvas: Canvas, center: Points, angle: float) -> None:
    """A parked car, heading along ``angle`` (radians)."""
    _vehicle(canvas, center, angle, truck=False)


def _mask(canvas: Canvas, roads: list[Road], wider: float) -> npt.NDArray[np.bool_]:
    mask = np.zeros(canvas.shape, np.uint8)
    for road in roads:
        pixels = np.round(canvas.to_pixels(road.line) * 16).astype(np.int32)
        thickness = max(1, round((road.width + 2 * wider) / canvas.gsd))
        cv2.polylines(mask, [pixels], isClosed=False, color=1, thickness=thickness, lineType=cv2.LINE_8, shift=4)
    return mask > 0


def _cover(canvas: Canvas, mask: npt.NDArray[np.bool_], color: FloatArray, label: int) -> None:
    texture = 1 + 0.05 * canvas.coarse[mask] + 0.03 * canvas.mid[mask] + 0.025 * canvas.fine[mask]
    canvas.image[mask] = color * texture[:, None]
    canvas.labels[mask] = label


def _mark(canvas: Canvas, roads: list[Road]) -> None:
    """Lines of 15 cm: thinner than a pixel, so they are blended by their share of it."""
    rng = canvas.rng
    paint = np.zeros(canvas.shape, np.uint8)
    for road in roads:
        if road.width < 6 or rng.random() < 0.25:
            continue
        lanes = max(2, round(road.width / 3.6))
        for lane in range(lanes + 1):
            line = _offset(road.line, (lane / lanes - 0.5) * (road.width - 0.8))
            dashed = lane not in (0, lanes) and not (lanes >= 4 and lane == lanes // 2)
            pieces = _dashes(line, 3.0, 9.0) if dashed else [line]
            fixed = [np.round(canvas.to_pixels(piece) * 16).astype(np.int32) for piece in pieces]
            cv2.polylines(paint, fixed, isClosed=False, color=255, thickness=1, lineType=cv2.LINE_AA, shift=4)
    strength = min(0.9, 0.25 / canvas.gsd) * rng.uniform(0.4, 1)
    weight = np.where(canvas.labels == ROAD, paint * np.float32(strength / 255), 0)[..., None]
    canvas.image += (np.float32(225) - canvas.image) * weight


def _drive(canvas: Canvas, road: Road) -> None:
    rng = canvas.rng
    steps = np.diff(road.line, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    density = rng.uniform(0, 0.025 if road.paved else 0.003) * max(1.0, road.width / 7)
    for _ in range(int(rng.poisson(density * lengths.sum()))):
        piece = int(rng.choice(len(steps), p=lengths / lengths.sum()))
        angle = float(np.arctan2(steps[piece][1], steps[piece][0]))
        side = rng.choice((-1, 1)) * rng.uniform(0.15, 0.38) * road.width
        center = road.line[piece] + rng.random() * steps[piece] + side * np.array([-np.sin(angle), np.cos(angle)])
        if canvas.label_at(center) == ROAD:
            _vehicle(canvas, center, angle + rng.normal(0, 0.03), truck=bool(rng.random() < 0.12))


def _vehicle(canvas: Canvas, center: Points, angle: float, *, truck: bool) -> None:
    rng = canvas.rng
    length, width = (rng.uniform(8, 14), 2.5) if truck else (rng.uniform(4, 5), rng.uniform(1.7, 2))
    height = 3.2 if truck else 1.5
    canvas.flat(rectangle(center, (length, width), angle), vary(rng, pick(rng, _VEHICLES)), None, height)
    if not truck and canvas.gsd < 0.6:
        glass = center + (0.1 * length) * np.array([np.cos(angle), np.sin(angle)])
        canvas.flat(rectangle(glass, (0.16 * length, 0.8 * width), angle), (42, 46, 52))


def _offset(line: Points, distance: float) -> Points:
    """The line moved sideways."""
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1])[:, None], 1e-9)
    return line + distance * np.stack([-along[:, 1], along[:, 0]], axis=1)


def _dashes(line: Points, dash: float, gap: float) -> list[Points]:
    steps = np.hypot(*np.diff(line, axis=0).T)
    distance = np.concatenate([[0], np.cumsum(steps)])
    starts = np.arange(0, distance[-1] - dash, dash + gap)
    ends = np.stack([starts, starts + dash], axis=1)
    return list(np.stack([np.interp(ends, distance, line[:, axis]) for axis in (0, 1)], axis=-1))

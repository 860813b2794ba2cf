"""Buildings: roofs of several kinds, lit by their slope. Shadows come later from the heights."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rsseg_edge.datasets.scenes.biome import Biome
from rsseg_edge.datasets.scenes.canvas import BUILDING, ROAD, WATER, Canvas, FloatArray, Points, pick, rectangle, vary


@dataclass(frozen=True)
class Sun:
    """Where the light comes from, in radians: azimuth clockwise from north (up), elevation above the horizon."""

    azimuth: float
    elevation: float

    @property
    def towards(self) -> Points:
        """Unit vector on the ground towards the sun, x right and y down."""
        return np.array([np.sin(self.azimuth), -np.cos(self.azimuth)])

    def on_slope(self, downhill: Points, pitch: float) -> float:
        """Light on a roof that falls ``downhill`` (unit vector) at ``pitch`` (radians), relative to flat ground."""
        facing = float(downhill @ self.towards)
        light = np.cos(pitch) + np.sin(pitch) * facing / np.tan(self.elevation)
        return float(np.clip(0.35 + 0.65 * light, 0.35, 1.4))  # a third of the light comes from the sky


def place_building(
    canvas: Canvas, biome: Biome, sun: Sun, center: Points, size: tuple[float, float], angle: float, height: float
) -> bool:
    """Build where there is dry ground and no road; says whether it did.

    Args:
        center: metres.
        size: along and across ``angle``, metres.
        angle: radians.
        height: of the eaves, metres.
    """
    corners = rectangle(center, size, angle)
    if canvas.outside(center, max(size)):
        return False
    if any(canvas.label_at(p) in (WATER, ROAD, BUILDING) for p in (*corners, center, *(corners + center) / 2)):
        return False
    rng = canvas.rng
    color = vary(rng, pick(rng, biome.roofs), 12)
    large = size[0] * size[1] > 500
    kind = rng.choice(["flat", "gable", "hip"], p=(0.9, 0.1, 0.0) if large else _small_roofs(biome))
    if kind == "flat":
        _flat_roof(canvas, center, size, angle, height, color)
        if not large and rng.random() < 0.4:  # a wing, for an L
            wing = corners[int(rng.integers(4))]
            _flat_roof(canvas, (wing + center) / 2, (size[0] * 0.7, size[1] * 0.9), angle + np.pi / 2, height, color)
    else:
        _pitched_roof(canvas, sun, center, size, angle, height, color, hip=kind == "hip")
    return True


def _small_roofs(biome: Biome) -> tuple[float, float, float]:
    return (0.8, 0.1, 0.1) if biome.name == "desert" else (0.25, 0.45, 0.3)


def _flat_roof(
    canvas: Canvas, center: Points, size: tuple[float, float], angle: float, height: float, color: FloatArray
) -> None:
    rng = canvas.rng
    canvas.flat(rectangle(center, size, angle), color * rng.uniform(0.82, 1.12), BUILDING, height + 0.6)
    inner = (size[0] - 1.0, size[1] - 1.0)
    if min(inner) < 3 * canvas.gsd:
        return
    canvas.flat(rectangle(center, inner, angle), color, BUILDING, height)  # inside the parapet
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if size[0] * size[1] > 400 and rng.random() < 0.5:
        _panels(canvas, center, inner, angle, color)
    for _ in range(int(rng.integers(0, 2 + min(14, int(size[0] * size[1] / 60))))):
        place = center + rng.uniform(-0.4, 0.4, 2) * inner @ axes
        unit = tuple(rng.uniform(1, 3, 2))
        shade = vary(rng, (176, 176, 176), 30)
        canvas.flat(rectangle(place, (unit[0], unit[1]), angle), shade, BUILDING, height + rng.uniform(0.8, 2.5))


def _panels(canvas: Canvas, center: Points, size: tuple[float, float], angle: float, color: FloatArray) -> None:
    """Sheet metal in strips, or rows of skylights and solar panels."""
    rng = canvas.rng
    tint = pick(rng, (color * 0.9, color * 1.08, (44, 50, 70), (208, 212, 214)))
    along = np.array([np.cos(angle), np.sin(angle)])
    count = int(np.clip(size[0] / rng.uniform(4, 10), 2, 40))
    for place in np.linspace(-0.45, 0.45, count) * size[0]:
        canvas.flat(rectangle(center + place * along, (size[0] / count * 0.4, size[1] * 0.85), angle), tint)


def _pitched_roof(
    canvas: Canvas,
    sun: Sun,
    center: Points,
    size: tuple[float, float],
    angle: float,
    height: float,
    color: FloatArray,
    *,
    hip: bool,
) -> None:
    if size[0] < size[1]:
        size, angle = (size[1], size[0]), angle + np.pi / 2
    pitch = canvas.rng.uniform(0.3, 0.7)
    a, b, c, d = rectangle(center, size, angle)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-np.sin(angle), np.cos(angle)])
    half = size[0] / 2 - (min(size[1], 0.95 * size[0]) / 2 if hip else 0)
    start, end = center - half * along, center + half * along
    facets = [([a, b, end, start], -across), ([c, d, start, end], across)]
    if hip:
        facets += [([d, a, start], -along), ([b, c, end], along)]
    canvas.flat(np.stack([a, b, c, d]), color, BUILDING, height)
    for corners, downhill in facets:
        canvas.flat(np.stack(corners), color * sun.on_slope(downhill, pitch), BUILDING)
    # The ridge is what a pitched roof's shadow shows.
    ridge = rectangle(center, (2 * half + 0.1, max(size[1] * 0.3, canvas.gsd)), angle)
    corners_px = np.round((canvas.to_pixels(ridge) - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(canvas.height, [corners_px], height + size[1] / 2 * float(np.tan(pitch)) * 0.8, cv2.LINE_8, 4)

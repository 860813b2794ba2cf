"""One scene from a seed."""

from __future__ import annotations

import numpy as np

from rsseg_edge.datasets.sample import Sample
from rsseg_edge.datasets.scenes.biome import choose_biome
from rsseg_edge.datasets.scenes.blocks import Place
from rsseg_edge.datasets.scenes.buildings import Sun
from rsseg_edge.datasets.scenes.canvas import Canvas, Points
from rsseg_edge.datasets.scenes.ground import paint_land, paint_water
from rsseg_edge.datasets.scenes.layout import STYLES, choose_bend, lay_out
from rsseg_edge.datasets.scenes.light import expose
from rsseg_edge.datasets.scenes.roads import Road, paint_roads
from rsseg_edge.datasets.scenes.trees import Crowns, along

_STYLE_SHARES = {"suburb": 0.24, "town": 0.2, "works": 0.14, "farms": 0.14, "open": 0.18, "woods": 0.1}
_WATER_SHARES = {"none": 0.4, "coast": 0.22, "river": 0.16, "lake": 0.22}


def generate_scene(
    seed: int,
    height: int,
    width: int,
    *,
    gsd: float = 0.5,
    sun_azimuth: float | None = None,
    sun_elevation: float | None = None,
) -> Sample:
    """An aerial scene seen from straight above, with exact labels: building, land, road, vegetation, water.

    The same arguments give the same bytes. A label is the class of what is topmost, whether in shadow or not; vehicles
    belong to what they stand on.

    Args:
        seed: any integer from 0.
        height: in pixels.
        width: in pixels.
        gsd: ground sampling distance, metres a pixel.
        sun_azimuth: degrees clockwise from the top of the picture; None draws it from the seed.
        sun_elevation: degrees above the horizon, 10 to 90; None draws it from the seed.

    Raises:
        ValueError: a size or an angle that makes no picture.

    Example:
        >>> generate_scene(7, 256, 320).labels.shape
        (256, 320)
    """
    if min(height, width) < 1 or gsd <= 0:
        raise ValueError(f"a scene of {width}x{height} pixels at {gsd} m is empty")
    if sun_elevation is not None and not 10 <= sun_elevation <= 90:
        raise ValueError(f"sun elevation {sun_elevation}: 10 to 90 degrees")
    rng = np.random.default_rng(seed)
    azimuth, elevation = rng.uniform(0, 360), rng.uniform(28, 70)  # always drawn: the rest of the scene stays the same
    sun = Sun(
        np.radians(azimuth if sun_azimuth is None else sun_azimuth),
        np.radians(elevation if sun_elevation is None else min(sun_elevation, 89.9)),
    )
    canvas = Canvas.blank(height, width, gsd, rng)
    _paint(canvas, sun)
    return Sample(expose(canvas, sun), canvas.labels, f"scene_{seed}")


def _paint(canvas: Canvas, sun: Sun) -> None:
    rng = canvas.rng
    biome, bend = choose_biome(rng), choose_bend(rng)
    style = STYLES[_draw(rng, _STYLE_SHARES)]
    paint_land(canvas, biome)
    water = _draw(rng, _WATER_SHARES)
    if water != "none":
        paint_water(canvas, biome, water)
    blocks, roads = lay_out(rng, style, bend, canvas.radius)
    paint_roads(canvas, biome, [*roads, *_tracks(canvas)], bridges=water == "river")
    garden = float(np.clip(biome.green + rng.normal(0, 0.25), 0.05, 0.95))
    place = Place(canvas, biome, sun, bend, Crowns(canvas, biome, sun), garden)
    for block in blocks:
        place.fill(block)
    for road in roads:
        if road.paved and rng.random() < 0.3:
            side = road.line + np.array([0.6, 0.6]) * road.width
            place.trees(along(rng, side, rng.uniform(6, 14)), (1.5, 3.5))


def _tracks(canvas: Canvas) -> list[Road]:
    """Dirt tracks and now and then a broad road, which keep to no block."""
    rng = canvas.rng
    tracks = []
    for _ in range(int(rng.poisson(0.8))):
        paved = bool(rng.random() < 0.4)
        width = rng.uniform(8, 24) if paved else rng.uniform(2.5, 5)
        tracks.append(Road(_wander(rng, canvas.radius), width, paved))
    return tracks


def _wander(rng: np.random.Generator, radius: float) -> Points:
    """A curve [60, 2] across the whole scene, in metres."""
    along_line = np.linspace(-1.2, 1.2, 60)
    across = rng.uniform(-0.6, 0.6) + sum(
        rng.normal(0, 0.12 / k) * np.sin(k * 2.2 * along_line + rng.uniform(0, 6.3)) for k in (1, 2, 3)
    )
    angle = rng.uniform(0, 2 * np.pi)
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(radius * np.stack([along_line, across], axis=1) @ axes)


def _draw(rng: np.random.Generator, shares: dict[str, float]) -> str:
    names = list(shares)
    return names[int(rng.choice(len(names), p=list(shares.values())))]

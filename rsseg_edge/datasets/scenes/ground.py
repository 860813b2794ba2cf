"""What lies flat: bare land, water with its shores, fields and lawns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rsseg_edge.datasets.scenes.biome import Biome
from rsseg_edge.datasets.scenes.canvas import (
    LAND,
    VEGETATION,
    WATER,
    Canvas,
    FloatArray,
    Points,
    Rgb,
    fractal,
    pick,
    vary,
)


def paint_land(canvas: Canvas, biome: Biome) -> None:
    """Bare land over the whole canvas: two soils mixed by noise, pale patches, dark scrub that stays land."""
    rng = canvas.rng
    first, second = vary(rng, pick(rng, biome.land), 12), vary(rng, pick(rng, biome.land), 12)
    blend = _smooth_step(canvas.coarse * 1.2 + canvas.mid * 0.35)[..., None]
    canvas.image[:] = first + (second - first) * blend
    roughness = rng.uniform(0.03, 0.09)
    canvas.image *= 1 + roughness * canvas.mid[..., None] + 0.03 * canvas.fine[..., None]
    if rng.random() < 0.6:
        patches = fractal(rng, canvas.shape, rng.uniform(15, 60) / canvas.gsd) > rng.uniform(0.6, 1.4)
        canvas.image[patches] *= np.float32(rng.choice([rng.uniform(1.06, 1.2), rng.uniform(0.78, 0.94)]))


def paint_water(canvas: Canvas, biome: Biome, kind: str) -> None:
    """A coast, a river or a lake, deeper away from its shore, with a wet or green bank and wind on the surface."""
    rng = canvas.rng
    distance = _distance_inside(canvas, kind)  # metres, positive in the water
    water = distance > 0
    if not water.any():
        return
    bank = (distance > -rng.uniform(1, 8)) & ~water
    if biome.green > 0.5 and rng.random() < 0.7:
        grow(canvas, bank, pick(rng, biome.grass))
    else:
        canvas.image[bank] *= np.float32(rng.uniform(0.75, 1.12))
    deep, shallow = vary(rng, pick(rng, biome.deep_water)), vary(rng, pick(rng, biome.shallow_water))
    depth = 1 - np.exp(-np.maximum(distance, 0) / rng.uniform(2, 25))
    color = shallow + (deep - shallow) * depth[..., None]
    color *= 1 + (0.1 * canvas.coarse + 0.03 * canvas.mid)[..., None]
    color += _waves(canvas)[..., None]
    np.copyto(canvas.image, color.astype(np.float32), where=water[..., None])
    canvas.labels[water] = WATER


def pond(canvas: Canvas, biome: Biome, center: Points, radius: float) -> None:
    """A small lake with a ragged shore in a park or a golf course."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    waves = [canvas.rng.normal(0, 0.16 / k) * np.cos(k * turn + canvas.rng.uniform(0, 6.3)) for k in range(2, 6)]
    ring = center + radius * (1 + np.sum(waves, axis=0))[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    found = canvas.region(ring)
    if found is not None:
        window, mask = found
        color = vary(canvas.rng, pick(canvas.rng, biome.deep_water)) * (1 + 0.06 * canvas.coarse[window][..., None])
        canvas.cover(window, mask, color.astype(np.float32), WATER)


def grow(canvas: Canvas, mask: npt.NDArray[np.bool_], color: Rgb, label: int = VEGETATION) -> None:
    """Grass over a mask of the whole canvas."""
    texture = 1 + 0.1 * canvas.coarse + 0.08 * canvas.mid + 0.06 * canvas.fine
    np.copyto(canvas.image, vary(canvas.rng, color) * texture[..., None], where=mask[..., None])
    canvas.labels[mask] = label


def lawn(canvas: Canvas, polygon: Points, color: Rgb, label: int | None = VEGETATION, rough: float = 1.0) -> None:
    """Grass, paving or earth in a polygon; ``rough`` scales its texture."""
    found = canvas.region(polygon)
    if found is None:
        return
    window, mask = found
    texture = 0.07 * canvas.coarse[window] + 0.06 * canvas.mid[window] + 0.05 * canvas.fine[window]
    canvas.cover(window, mask, vary(canvas.rng, color) * (1 + rough * texture)[..., None], label)


def field(canvas: Canvas, biome: Biome, polygon: Points, angle: float) -> None:
    """A field with rows along ``angle``: a green crop is vegetation; ploughed or harvested soil is land."""
    rng = canvas.rng
    found = canvas.region(polygon)
    if found is None:
        return
    window, mask = found
    green = rng.random() < 0.35 + 0.5 * biome.green
    color = vary(rng, pick(rng, biome.crops if green else biome.soil), 10)
    y, x = np.mgrid[window].astype(np.float32) * np.float32(canvas.gsd)
    across = -np.sin(angle) * x + np.cos(angle) * y + 0.4 * canvas.mid[window]
    # Rows finer than two pixels would alias; tractors leave wider tracks, which every resolution shows.
    rows = np.sin(across * np.float32(2 * np.pi / max(rng.uniform(0.8, 4), 2.5 * canvas.gsd)))
    tracks = np.abs((across / rng.uniform(12, 30)) % 1 - 0.5) < 0.5 * canvas.gsd / 12 + 0.02
    texture = 1 + rng.uniform(0.02, 0.09) * rows + 0.07 * canvas.coarse[window] + 0.05 * canvas.mid[window]
    texture += 0.05 * canvas.fine[window] - rng.uniform(0, 0.15) * tracks
    canvas.cover(window, mask, (color * texture[..., None]).astype(np.float32), VEGETATION if green else LAND)


def _distance_inside(canvas: Canvas, kind: str) -> FloatArray:
    rng = canvas.rng
    height, width = canvas.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x - width / 2) * canvas.gsd, (y - height / 2) * canvas.gsd
    angle = rng.uniform(0, 2 * np.pi)
    u, v = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    ragged = rng.uniform(2, 12) * canvas.coarse + rng.uniform(0.2, 1) * canvas.mid
    if kind == "coast":
        bay = rng.uniform(0, 0.15) * canvas.radius * np.sin(u * rng.uniform(1, 3) / canvas.radius + rng.uniform(0, 6.3))
        distance = v - rng.uniform(-0.35, 0.45) * canvas.radius + bay
    elif kind == "river":
        bend = rng.uniform(0.05, 0.25) * canvas.radius * np.sin(u * rng.uniform(1, 4) / canvas.radius)
        distance = rng.uniform(8, 45) - np.abs(v - rng.uniform(-0.4, 0.4) * canvas.radius + bend)
        ragged *= 0.4
    else:
        stretch, place = rng.uniform(0.5, 1), rng.uniform(-0.5, 0.5, 2) * canvas.radius
        distance = rng.uniform(0.15, 0.5) * canvas.radius - np.hypot((u - place[0]) * stretch, v - place[1])
    return np.asarray(distance + ragged, np.float32)


def _waves(canvas: Canvas) -> FloatArray:
    """Glint: short crests along one direction, at most a few grey levels, and patches of wind."""
    rng = canvas.rng
    height, width = canvas.shape
    angle, length = rng.uniform(0, np.pi), max(rng.uniform(1.5, 6), 3 * canvas.gsd)
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(np.sin(angle) * canvas.gsd)
    x = np.arange(width, dtype=np.float32)[None] * np.float32(np.cos(angle) * canvas.gsd)
    crests = np.sin((x + y + 1.5 * canvas.mid) * np.float32(2 * np.pi / length))
    strength = rng.uniform(0, 4) * np.clip(canvas.coarse + 0.5, 0, 2)
    sparkle = rng.uniform(0, 30) * (canvas.fine > rng.uniform(2.4, 4)) if rng.random() < 0.4 else 0
    return np.asarray(strength * np.maximum(crests, 0) ** 2 + sparkle + canvas.fine, np.float32)


def _smooth_step(value: FloatArray) -> FloatArray:
    clipped = np.clip(value * 0.5 + 0.5, 0, 1)
    return np.asarray(clipped * clipped * (3 - 2 * clipped), np.float32)

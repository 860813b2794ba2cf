"""Trees: ragged crowns that overlap, each with a height for its shadow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rsseg_edge.datasets.scenes.biome import Biome
from rsseg_edge.datasets.scenes.buildings import Sun
from rsseg_edge.datasets.scenes.canvas import BUILDING, ROAD, VEGETATION, WATER, Canvas, FloatArray, Points, vary

_STAMPS = 40
_SMALLEST, _LARGEST = 1.0, 7.0  # metres


@dataclass(frozen=True)
class Crown:
    """One tree from above: brightness and height [s, s] each; the height is 0 outside of it."""

    light: FloatArray
    height: FloatArray


class Crowns:
    """The trees of one scene: some crowns of every size, made once and used again and again."""

    def __init__(self, canvas: Canvas, biome: Biome, sun: Sun) -> None:
        rng = canvas.rng
        self._radii = np.geomspace(_SMALLEST, _LARGEST, _STAMPS)
        self._crowns = [_crown(canvas, sun, radius) for radius in self._radii]
        self._tints = [[vary(rng, color, 6) for _ in range(6)] for color in biome.trees]

    def of(
        self, rng: np.random.Generator, radius: tuple[float, float], count: int
    ) -> Iterator[tuple[Crown, FloatArray]]:
        """Crowns with a radius (metres) from this range, each with a colour; neighbours are of one species."""
        first, last = np.searchsorted(self._radii, np.clip(radius, _SMALLEST, _LARGEST))
        which = rng.integers(first, last + 1, size=count)
        tints = self._tints[int(rng.integers(len(self._tints)))]
        return ((self._crowns[i], tints[j]) for i, j in zip(which, rng.integers(len(tints), size=count), strict=True))


def plant(canvas: Canvas, crowns: Crowns, places: Points, radius: tuple[float, float]) -> None:
    """Trees at ``places`` [n, 2] with crowns of ``radius``, all in metres. None on roofs, roads or water."""
    if len(places) == 0:
        return
    pixels = np.floor(canvas.to_pixels(places)).astype(int)
    inside = ((pixels >= 0) & (pixels < (canvas.shape[1], canvas.shape[0]))).all(axis=1)
    pixels = pixels[inside]
    under = canvas.labels[pixels[:, 1], pixels[:, 0]]
    pixels = pixels[(under != BUILDING) & (under != ROAD) & (under != WATER)]
    for (x, y), (crown, color) in zip(pixels, crowns.of(canvas.rng, radius, len(pixels)), strict=True):
        _paste(canvas, int(x), int(y), crown, color)


def scatter(rng: np.random.Generator, polygon: Points, spacing: float) -> Points:
    """Random places [n, 2] in the box around a polygon, one in every ``spacing`` squared on average."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    count = rng.poisson(float(np.prod(high - low)) / spacing**2)
    return rng.uniform(low, high, (int(count), 2))


def along(rng: np.random.Generator, line: Points, spacing: float, jitter: float = 0.5) -> Points:
    """Places [n, 2] along a line, ``spacing`` metres apart."""
    distance = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.arange(spacing / 2, max(distance[-1], spacing), spacing)
    places = np.stack([np.interp(at, distance, line[:, axis]) for axis in (0, 1)], axis=1)
    return np.asarray(places + rng.normal(0, jitter, places.shape))


def _crown(canvas: Canvas, sun: Sun, radius: float) -> Crown:
    rng = canvas.rng
    size = max(0.6, radius / canvas.gsd)
    half = int(np.ceil(size * 1.25))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    turn = np.arctan2(y, x)
    edge = 1 + sum(rng.normal(0, 0.3 / k) * np.cos(k * turn + rng.uniform(0, 6.3)) for k in (3, 5, 7))
    far = np.hypot(x, y) / (size * np.clip(edge, 0.6, 1.25))
    dome = np.sqrt(np.clip(1 - far**2, 0, 1))
    lit = (x * sun.towards[0] + y * sun.towards[1]) / size
    clumps = rng.standard_normal(dome.shape) * 0.14
    light = np.clip(0.82 + 0.3 * lit + 0.22 * dome + clumps, 0.35, 1.6)
    height = np.where(far <= 1, (0.35 + 0.65 * dome) * radius * rng.uniform(1.6, 2.6), 0)
    height[half, half] = max(height[half, half], radius)  # a crown smaller than a pixel still fills one
    return Crown(light.astype(np.float32), height.astype(np.float32))


def _paste(canvas: Canvas, x: int, y: int, tree: Crown, color: FloatArray) -> None:
    half = tree.light.shape[0] // 2
    y0, y1 = max(y - half, 0), min(y + half + 1, canvas.shape[0])
    x0, x1 = max(x - half, 0), min(x + half + 1, canvas.shape[1])
    stamp = slice(y0 - y + half, y1 - y + half), slice(x0 - x + half, x1 - x + half)
    window = slice(y0, y1), slice(x0, x1)
    crown = tree.height[stamp]
    above = crown > canvas.height[window]
    canvas.image[window][above] = tree.light[stamp][above][:, None] * color
    canvas.labels[window][above] = VEGETATION
    canvas.height[window][above] = crown[above]

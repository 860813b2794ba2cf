"""The ground that a camera looks at: of one height, or a terrain model."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.telemetry.geodesy import A, Array, B, from_ecef

STEPS = 128  # along a ray through the heights of a terrain model, before the crossing is narrowed down
HALVINGS = 24
MAX_SAMPLES = 100_000_000  # of a terrain model that is read whole: 400 MB


class Ground(Protocol):
    """Heights are above the same level as the camera's."""

    def height_at(self, latitude: Array, longitude: Array) -> Array:
        """Metres [...] at places [...]; NaN where nothing is known."""

    def meet(self, origin: Array, rays: Array) -> Array:
        """Where rays first meet the ground.

        Args:
            origin: [3], earth-centred.
            rays: [N, 3], unit vectors.

        Returns:
            [N, 3], earth-centred; NaN for a ray that does not meet it.
        """


class LevelGround:
    """Ground of one height, which curves as the earth does.

    Args:
        height: metres above the level that the camera's altitude counts from, be it the sea's or the ellipsoid's; the
            shape of that level is taken for the ellipsoid's, whose curvature is the same to what matters here.
    """

    def __init__(self, height: float) -> None:
        self.height = height

    def height_at(self, latitude: Array, longitude: Array) -> Array:
        """See :class:`Ground`."""
        return np.full(np.broadcast(latitude, longitude).shape, self.height)

    def meet(self, origin: Array, rays: Array) -> Array:
        """See :class:`Ground`."""
        return origin + _distance(origin, rays, self.height)[:, None] * rays


class TerrainModel:
    """A GeoTIFF of heights in metres in any coordinate system, read whole and sampled bilinearly.

    Args:
        path: the file.

    Raises:
        UsageError: rasterio is not installed, or the file says not where it lies.
        RssegError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            import rasterio
            from rasterio.enums import Resampling
            from rasterio.vrt import WarpedVRT
        except ModuleNotFoundError:
            raise UsageError("--dem needs rasterio: pip install 'rsseg-edge[geo]'") from None
        try:
            with rasterio.open(path) as file:
                if file.crs is None:
                    raise UsageError(f"{path}: no coordinate system in it, so nobody knows where these heights are")
                if file.width * file.height > MAX_SAMPLES:
                    raise UsageError(f"{path}: {file.width}x{file.height} heights are too many; cut out your area")
                with WarpedVRT(file, crs="EPSG:4326", resampling=Resampling.bilinear) as warped:
                    heights = warped.read(1, masked=True).astype(np.float64)
                    self._to_grid = ~warped.transform
        except rasterio.errors.RasterioError as error:
            raise RssegError(f"{path}: not a GeoTIFF that can be read ({error})") from None
        self._heights = heights.filled(np.nan)
        if not np.isfinite(self._heights).any():
            raise RssegError(f"{path}: there is no height in it")
        self.lowest, self.highest = float(np.nanmin(self._heights)), float(np.nanmax(self._heights))

    def height_at(self, latitude: Array, longitude: Array) -> Array:
        """See :class:`Ground`."""
        lat, lon = np.broadcast_arrays(np.asarray(latitude, float), np.asarray(longitude, float))
        result = np.full(lat.shape, np.nan)
        known = np.isfinite(lat) & np.isfinite(lon)
        grid, x, y = self._to_grid, lon[known], lat[known]
        column, row = grid.a * x + grid.b * y + grid.c, grid.d * x + grid.e * y + grid.f
        result[known] = _bilinear(self._heights, row - 0.5, column - 0.5)
        return result

    def meet(self, origin: Array, rays: Array) -> Array:
        """See :class:`Ground`."""
        near = np.nan_to_num(_distance(origin, rays, self.highest + 1), nan=0.0)
        far = _distance(origin, rays, self.lowest - 1)
        points = np.full(rays.shape, np.nan)
        open_ = np.isfinite(far)
        if not open_.any():
            return points
        o, r, near, far = origin, rays[open_], near[open_], far[open_]
        fractions = np.linspace(0.0, 1.0, STEPS + 1)
        distance = near[:, None] + (far - near)[:, None] * fractions
        below = self._clearance(o + distance[..., None] * r[:, None]) <= 0
        hit = below.argmax(axis=1)
        met = below[np.arange(len(r)), hit] & (hit > 0)
        low = distance[np.arange(len(r)), np.maximum(hit - 1, 0)]
        high = distance[np.arange(len(r)), hit]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            under = self._clearance(o + middle[:, None] * r) <= 0
            low, high = np.where(under, low, middle), np.where(under, middle, high)
        points[open_] = np.where(met[:, None], o + high[:, None] * r, np.nan)
        return points

    def _clearance(self, points: Array) -> Array:
        latitude, longitude, height = from_ecef(points)
        return height - self.height_at(latitude, longitude)


def _distance(origin: Array, rays: Array, height: float) -> Array:
    """Metres along rays [N, 3] to the ellipsoid raised by a height; NaN where they miss it or begin below."""
    scale = 1 / np.array([A + height, A + height, B + height])
    o, d = origin * scale, rays * scale
    a, b, c = (d * d).sum(-1), (d * o).sum(-1), float(o @ o) - 1
    inside = b * b - a * c
    with np.errstate(invalid="ignore"):
        distance = (-b - np.sqrt(np.where(inside >= 0, inside, np.nan))) / a
        return np.where(distance > 0, distance, np.nan)


def _bilinear(grid: Array, row: Array, column: Array) -> Array:
    """Values between the samples of a grid; NaN outside of it and beside samples that are NaN."""
    rows, columns = grid.shape
    with np.errstate(invalid="ignore"):
        there = (row >= -0.5) & (row <= rows - 0.5) & (column >= -0.5) & (column <= columns - 0.5)
    r, c = np.clip(np.where(there, row, 0), 0, rows - 1), np.clip(np.where(there, column, 0), 0, columns - 1)
    r0, c0 = np.minimum(r.astype(np.intp), max(0, rows - 2)), np.minimum(c.astype(np.intp), max(0, columns - 2))
    r1, c1 = np.minimum(r0 + 1, rows - 1), np.minimum(c0 + 1, columns - 1)
    v, u = r - r0, c - c0
    top = grid[r0, c0] * (1 - u) + grid[r0, c1] * u
    bottom = grid[r1, c0] * (1 - u) + grid[r1, c1] * u
    result: Array = np.where(there, top * (1 - v) + bottom * v, np.nan)
    return result

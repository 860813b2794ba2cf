"""Where a scene lies: ground sampling distance, areas on the ground, its outline in degrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_A, _E2 = 6378137.0, 6.69437999014e-3  # WGS 84: semi-major axis in metres, squared eccentricity
TRUE_SCALE = 0.01
"""Projections whose areas are within this of the ground's (UTM, national grids) are taken at their word."""


@dataclass(frozen=True)
class GeoReference:
    """The grid of a scene.

    Attributes:
        wkt: its CRS.
        transform: six numbers: x = a * column + c, y = e * row + f; b and d are 0.
        height: in pixels.
        width: in pixels.
    """

    wkt: str
    transform: tuple[float, float, float, float, float, float]
    height: int
    width: int

    @property
    def crs(self) -> Any:
        """rasterio's CRS."""
        from rasterio.crs import CRS

        return CRS.from_wkt(self.wkt)

    @property
    def affine(self) -> Any:
        """rasterio's transform, from column and row to x and y."""
        from rasterio.transform import Affine

        return Affine(*self.transform)

    def ground_sampling_distance(self) -> float:
        """Metres a pixel on the ground in the middle of the scene: the root of a pixel's area."""
        return float(np.sqrt(self.pixel_areas()[self.height // 2]))

    def pixel_areas(self) -> Floats:
        """float64 [height]: square metres of a pixel of each row, measured on its middle column.

        A projection's own metres are taken where they are the ground's to 1 %. Others (Mercator, degrees) are
        measured on the ellipsoid.
        """
        ground = self._ellipsoid_areas()
        crs = self.crs
        if crs.is_projected:
            a, _, _, _, e, _ = self.transform
            planar = abs(a * e) * crs.linear_units_factor[1] ** 2
            if np.abs(ground / planar - 1).max() < TRUE_SCALE:
                return np.full(self.height, planar)
        return ground

    def outline(self, points: int = 9) -> Floats:
        """float64 [n, 2]: longitude and latitude of the border, counterclockwise and closed."""
        w, h = float(self.width), float(self.height)
        t = np.linspace(0, 1, points)[:-1]
        columns = np.concatenate([0 * t, t * w, 0 * t + w, w - t * w, [0.0]])
        rows = np.concatenate([t * h, 0 * t + h, h - t * h, 0 * t, [0.0]])
        return self.degrees(columns, rows)

    def degrees(self, columns: Floats, rows: Floats) -> Floats:
        """Longitude and latitude, float64 [n, 2], of positions in pixels from the top left corner."""
        from rasterio.warp import transform

        a, b, c, d, e, f = self.transform
        x, y = a * columns + b * rows + c, d * columns + e * rows + f
        longitude, latitude = transform(self.crs, "OGC:CRS84", x.tolist(), y.tolist())[:2]
        return np.stack([np.asarray(longitude), np.asarray(latitude)], 1)

    def _ellipsoid_areas(self) -> Floats:
        rows = np.linspace(0, self.height, min(self.height, 64) + 1)
        middle = np.full_like(rows, self.width / 2)
        centers = (rows[:-1] + rows[1:]) / 2
        step = 0.5
        place = self.degrees(middle[:-1], centers)
        across = _metres(place, self.degrees(middle[:-1] + step, centers) - self.degrees(middle[:-1] - step, centers))
        down = _metres(place, self.degrees(middle[:-1], centers + step) - self.degrees(middle[:-1], centers - step))
        area = np.abs(across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0])
        return np.asarray(np.interp(np.arange(self.height) + 0.5, centers, area), np.float64)


def _metres(place: Floats, difference: Floats) -> Floats:
    """Small differences of longitude and latitude at a place, as metres east and north on WGS 84."""
    latitude = np.radians(place[:, 1])
    curvature = 1 - _E2 * np.sin(latitude) ** 2
    east = _A / np.sqrt(curvature) * np.cos(latitude)
    north = _A * (1 - _E2) / curvature**1.5
    turned = (difference[:, 0] + 180) % 360 - 180  # across the antimeridian
    return np.radians(np.stack([turned, difference[:, 1]], 1)) * np.stack([east, north], 1)

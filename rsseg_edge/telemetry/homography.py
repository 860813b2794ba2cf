"""Plane to plane: the map between a picture and flat ground."""

from __future__ import annotations

import numpy as np

from rsseg_edge.telemetry.geodesy import Array, east_north_up, to_ecef
from rsseg_edge.telemetry.record import Position


def picture_corners(size: tuple[int, int]) -> Array:
    """[4, 2] pixel coordinates: upper left, upper right, lower right, lower left."""
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)


def metres_around(ground: Array, place: Position) -> Array:
    """Metres east and north [..., 2] of a place (latitude, longitude), of longitudes and latitudes [..., 2]."""
    latitude, longitude = place
    origin = to_ecef(latitude, longitude, 0.0)
    flat = to_ecef(ground[..., 1], ground[..., 0], 0.0) - origin
    metres: Array = flat @ east_north_up(latitude, longitude)[:2].T
    return metres


def fit_homography(source: Array, target: Array) -> Array:
    """[3, 3] that takes four points [4, 2] to four others.

    Raises:
        LinAlgError: three of either lie on one line.
    """
    middle, spread = target.mean(axis=0), np.abs(target - target.mean(axis=0)).max() or 1.0
    rows, right = [], []
    for (x, y), (u, v) in zip(source, (target - middle) / spread, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    matrix = np.append(np.linalg.solve(np.array(rows), np.array(right)), 1.0).reshape(3, 3)
    back = np.array([[spread, 0, middle[0]], [0, spread, middle[1]], [0, 0, 1]])
    result: Array = back @ matrix
    if not np.isfinite(result).all() or abs(np.linalg.det(matrix)) < 1e-15:
        raise np.linalg.LinAlgError("degenerate")
    return result


def apply_homography(matrix: Array, points: Array) -> Array:
    """Images [..., 2] of points [..., 2]; NaN at and beyond the line that goes to infinity."""
    ends = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1) @ matrix.T
    w = np.where(ends[..., 2:] * np.sign(matrix[2, 2]) > 0, ends[..., 2:], np.nan)
    result: Array = ends[..., :2] / w
    return result

"""Between the pixels of a frame and the ground, both ways."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from rsseg_edge.telemetry.camera import Camera
from rsseg_edge.telemetry.geodesy import Array, from_ecef, to_ecef
from rsseg_edge.telemetry.ground import Ground
from rsseg_edge.telemetry.homography import apply_homography, fit_homography, picture_corners

MIN_GRAZING = 2.0  # degrees at which a ray may graze the ground: flatter ones hit it far off and nowhere sure


class Mapping(Protocol):
    """Between a frame's pixels and the ground, both ways. Pixel coordinates are continuous, 0 .. width."""

    def to_ground(self, pixels: Array) -> Array:
        """Longitude and latitude [N, 2] of pixels [N, 2] (x, y); NaN where they see no ground."""

    def to_pixels(self, ground: Array) -> Array:
        """Pixels [..., 2] of longitudes and latitudes [..., 2]; NaN behind the camera."""


class CameraMapping:
    """By rays of a camera that meet the ground."""

    def __init__(self, camera: Camera, ground: Ground) -> None:
        self.camera, self.ground = camera, ground

    def to_ground(self, pixels: Array) -> Array:
        """See :class:`Mapping`."""
        rays = self.camera.rays(pixels)
        points = self.ground.meet(self.camera.position, rays)
        latitude, longitude, _ = from_ecef(points)
        up = points / np.linalg.norm(points, axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            steep = -(rays * up).sum(1) >= math.sin(math.radians(MIN_GRAZING))
        return np.where(steep[:, None], np.stack([longitude, latitude], axis=-1), np.nan)

    def to_pixels(self, ground: Array) -> Array:
        """See :class:`Mapping`."""
        height = self.ground.height_at(ground[..., 1], ground[..., 0])
        return self.camera.pixels(to_ecef(ground[..., 1], ground[..., 0], height))


class CornerMapping:
    """By a homography through the frame's four corners."""

    def __init__(self, size: tuple[int, int], corners: Array) -> None:
        self._matrix = fit_homography(picture_corners(size), corners)
        self._inverse: Array = np.linalg.inv(self._matrix).astype(np.float64)

    def to_ground(self, pixels: Array) -> Array:
        """See :class:`Mapping`."""
        return apply_homography(self._matrix, pixels)

    def to_pixels(self, ground: Array) -> Array:
        """See :class:`Mapping`."""
        return apply_homography(self._inverse, ground)

"""A frame camera over the earth: where it is, how it is turned, and which pixel looks where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsseg_edge.telemetry.geodesy import Array


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera. Pixel coordinates are continuous: the picture spans 0 .. width and 0 .. height.

    Attributes:
        position: [3], earth-centred, metres.
        axes: [3, 3]; rows: the line of sight, and the directions to the right and down in the picture.
        tangents: of half the horizontal and half the vertical field of view.
        size: width and height in pixels.
    """

    position: Array
    axes: Array
    tangents: tuple[float, float]
    size: tuple[int, int]

    def rays(self, pixels: Array) -> Array:
        """Unit vectors [N, 3] along which pixels [N, 2] (x, y) look."""
        u = (2 * pixels[:, 0] / self.size[0] - 1) * self.tangents[0]
        v = (2 * pixels[:, 1] / self.size[1] - 1) * self.tangents[1]
        looks = np.stack([np.ones_like(u), u, v], axis=-1) @ self.axes
        rays: Array = looks / np.linalg.norm(looks, axis=1, keepdims=True)
        return rays

    def pixels(self, points: Array) -> Array:
        """Pixel coordinates [..., 2] of earth-centred points [..., 3]; NaN behind the camera."""
        seen = (points - self.position) @ self.axes.T
        depth = np.where(seen[..., 0] > 0, seen[..., 0], np.nan)
        x = (seen[..., 1] / depth / self.tangents[0] + 1) * self.size[0] / 2
        y = (seen[..., 2] / depth / self.tangents[1] + 1) * self.size[1] / 2
        return np.stack([x, y], axis=-1)


def turned(heading: float, pitch: float, roll: float, azimuth: float, elevation: float, twist: float) -> Array:
    """Axes of a camera on a platform (rows as in :class:`Camera`) in north, east, down.

    Each turn is about the axes as the one before left them: heading, pitch and roll of the platform, then azimuth,
    elevation and roll of the camera in it (ST 0601, items 5 to 7 and 18 to 20).

    Args:
        heading: degrees, as the others.
    """
    axes = np.eye(3)
    for about, degrees in ((2, heading), (1, pitch), (0, roll), (2, azimuth), (1, elevation), (0, twist)):
        axes = _turn(about, np.radians(degrees)) @ axes
    return axes


def _turn(about: int, angle: float) -> Array:
    """Rows: the axes after a right-handed turn about one of them, in terms of those before."""
    c, s = np.cos(angle), np.sin(angle)
    first, second = (about + 1) % 3, (about + 2) % 3
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = c
    turn[first, second], turn[second, first] = s, -s
    return turn


def pointed(axes: Array, direction: Array) -> Array:
    """Axes turned by the shortest way so that the line of sight has a direction (a unit vector)."""
    sight = axes[0]
    normal = np.cross(sight, direction)
    sine, cosine = float(np.linalg.norm(normal)), float(sight @ direction)
    if sine < 1e-12:
        return axes
    k = normal / sine
    cross = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    rotation = np.eye(3) + sine * cross + (1 - cosine) * cross @ cross
    result: Array = axes @ rotation.T
    return result


def level(direction: Array, up: Array) -> Array | None:
    """Axes of a camera with a level horizon; None if it looks straight up or down, where there is no horizon."""
    right = np.cross(direction, up)
    length = float(np.linalg.norm(right))
    if length < 1e-6:
        return None
    right = right / length
    return np.stack([direction, right, np.cross(direction, right)])

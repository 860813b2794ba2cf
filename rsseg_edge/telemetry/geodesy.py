"""WGS 84: geodetic, earth-centred and local coordinates. Latitudes and longitudes in degrees, lengths in metres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

A = 6378137.0
F = 1 / 298.257223563
B = A * (1 - F)
E2 = F * (2 - F)


def to_ecef(latitude: npt.ArrayLike, longitude: npt.ArrayLike, height: npt.ArrayLike) -> Array:
    """Earth-centred coordinates [..., 3] of geodetic ones [...]; the height is above the ellipsoid."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    sine, cosine = np.sin(phi), np.cos(phi)
    radius = A / np.sqrt(1 - E2 * sine**2)
    h = np.asarray(height, dtype=np.float64)
    return np.stack(
        np.broadcast_arrays(
            (radius + h) * cosine * np.cos(lam), (radius + h) * cosine * np.sin(lam), (radius * (1 - E2) + h) * sine
        ),
        axis=-1,
    )


def from_ecef(points: Array) -> tuple[Array, Array, Array]:
    """Latitude, longitude and height [...] of earth-centred points [..., 3]; exact to a tenth of a millimetre."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    across = np.hypot(x, y)
    phi = np.arctan2(z, across * (1 - E2))
    for _ in range(4):  # each gains a factor of 1 / E2, about 150
        sine = np.sin(phi)
        radius = A / np.sqrt(1 - E2 * sine**2)
        phi = np.arctan2(z + E2 * radius * sine, across)
    sine, cosine = np.sin(phi), np.cos(phi)
    radius = A / np.sqrt(1 - E2 * sine**2)
    height = across * cosine + z * sine - A**2 / radius
    return np.degrees(phi), np.degrees(np.arctan2(y, x)), height


def east_north_up(latitude: float, longitude: float) -> Array:
    """Rows: unit vectors to the east, north and up at a place, in earth-centred coordinates."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    sp, cp, sl, cl = np.sin(phi), np.cos(phi), np.sin(lam), np.cos(lam)
    return np.array([[-sl, cl, 0.0], [-sp * cl, -sp * sl, cp], [cp * cl, cp * sl, sp]])


def metres_per_degree(latitude: npt.ArrayLike) -> tuple[Array, Array]:
    """Metres [...] to the north and to the east per degree of latitude and of longitude, at height 0."""
    phi = np.radians(latitude)
    w = np.sqrt(1 - E2 * np.sin(phi) ** 2)
    degree = np.pi / 180
    return A * (1 - E2) / w**3 * degree, A / w * np.cos(phi) * degree

"""From a telemetry record to the ground under every pixel of a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from rsseg_edge.telemetry.camera import Camera, level, pointed, turned
from rsseg_edge.telemetry.geodesy import Array, east_north_up, metres_per_degree, to_ecef
from rsseg_edge.telemetry.ground import Ground, LevelGround
from rsseg_edge.telemetry.homography import fit_homography, metres_around, picture_corners
from rsseg_edge.telemetry.mapping import CameraMapping, CornerMapping, Mapping
from rsseg_edge.telemetry.record import Position, TelemetryRecord

MAX_RANGE = 500_000.0  # metres from a camera to its frame's centre: beyond, one of the two is wrong
MAX_DISAGREEMENT = 20.0  # degrees between an attitude and the way to the frame's centre, to trust its roll still
CE90_OF_SIGMA = 2.1460  # radius of 90 % in deviations of a circular normal distribution


class UnlocatedError(ValueError):
    """A record that does not tell where its frame lies; the message says what is missing."""


@dataclass(frozen=True)
class Assumed:
    """What holds where telemetry is silent.

    Attributes:
        fov: horizontal field of view in degrees; it also overrides what telemetry says.
        fov_vertical: vertical field of view; None derives it from square pixels.
        mount: elevation of a camera fixed to its platform, in degrees: -90 looks down.
        ground: the terrain, if it is known; it overrides what telemetry says.
        pixel_aspect: width of a pixel by its height.
    """

    fov: float | None = None
    fov_vertical: float | None = None
    mount: float | None = None
    ground: Ground | None = None
    pixel_aspect: float = 1.0


@dataclass(frozen=True, eq=False)
class Georeference:
    """Where a frame lies.

    Attributes:
        mapping: between its pixels and the ground.
        size: its width and height in pixels.
        method: what it is located by: "centre" (position, field of view and the tagged frame centre), "attitude"
            (position, field of view and angles), "corners" (the four tagged corners alone).
        footprint: [4, 2] longitude and latitude: upper left, upper right, lower right, lower left; NaN in the sky.
        ce90: radius that holds the true place of the frame's centre with a probability of 90 %, in metres; None
            where the telemetry does not tell its errors.
    """

    mapping: Mapping
    size: tuple[int, int]
    method: str
    footprint: Array
    ce90: float | None = None

    def homography(self) -> tuple[Array, Position]:
        """The plane approximation around the frame's centre.

        Returns:
            [3, 3] from pixel (x, y, 1) to metres east and north of a place, and that place (latitude, longitude).

        Raises:
            UnlocatedError: the middle of the picture sees no ground.
        """
        width, height = self.size
        inner = picture_corners(self.size) / 2 + np.array([width, height]) / 4
        ground = self.mapping.to_ground(np.vstack([inner, [[width / 2, height / 2]]]))
        if not np.isfinite(ground).all():
            raise UnlocatedError("the middle of the picture sees no ground")
        latitude, longitude = float(ground[4, 1]), float(ground[4, 0])
        return fit_homography(inner, metres_around(ground[:4], (latitude, longitude))), (latitude, longitude)


def locate(record: TelemetryRecord, size: tuple[int, int], assumed: Assumed) -> Georeference:
    """Where a frame lies.

    Args:
        record: the telemetry nearest to it.
        size: its width and height in pixels.
        assumed: what holds where the record is silent.

    Raises:
        UnlocatedError: the record does not tell.
    """
    try:
        camera, ground, method = _camera(record, size, assumed)
    except UnlocatedError:
        if record.corners is None:
            raise
        corners = np.array([[longitude, latitude] for latitude, longitude in record.corners])
        try:
            mapping = CornerMapping(size, corners)
        except np.linalg.LinAlgError:
            raise UnlocatedError("the frame's corners lie on one line") from None
        return Georeference(mapping, size, "corners", corners, record.ce90)
    seen = CameraMapping(camera, ground)
    footprint = seen.to_ground(picture_corners(size))
    return Georeference(seen, size, method, footprint, _ce90(record, size, assumed))


def _camera(record: TelemetryRecord, size: tuple[int, int], assumed: Assumed) -> tuple[Camera, Ground, str]:
    if record.latitude is None or record.longitude is None:
        raise UnlocatedError("no position of the camera")
    altitude, ground = _heights(record, assumed)
    position = to_ecef(record.latitude, record.longitude, altitude)
    local = east_north_up(record.latitude, record.longitude)
    axes = _attitude(record, assumed, local)
    method = "attitude"
    if record.center is not None:
        target = _center(record, ground)
        way = target - position
        distance = float(np.linalg.norm(way))
        if not 0 < distance <= MAX_RANGE:
            raise UnlocatedError("a frame centre out of the camera's reach")
        direction = way / distance
        near = axes is not None and float(axes[0] @ direction) > math.cos(math.radians(MAX_DISAGREEMENT))
        axes = pointed(axes, direction) if axes is not None and near else level(direction, local[2])
        method = "centre"
    if axes is None:
        missing = "heading" if record.heading is None else "elevation of the camera (--mount gives it)"
        raise UnlocatedError(f"no {missing} and no frame centre")
    return Camera(position, axes, _tangents(record, size, assumed), size), ground, method


def _heights(record: TelemetryRecord, assumed: Assumed) -> tuple[float, Ground]:
    """Altitude of the camera and the ground, both above one level: the sea's where it is known for both."""
    altitude = record.altitude if record.altitude is not None else record.height
    if altitude is None:
        raise UnlocatedError("no altitude of the camera")
    if assumed.ground is not None:
        return altitude, assumed.ground
    if record.altitude is not None and record.center_altitude is not None:
        level_ = record.center_altitude
    elif record.height is not None and record.center_height is not None:
        altitude, level_ = record.height, record.center_height
    elif record.slant_range and record.center is not None:
        level_ = _level_at_range(record, altitude, record.slant_range)
    elif record.altitude is not None and record.ground_altitude is not None:
        level_ = record.ground_altitude
    else:
        raise UnlocatedError("no height of the ground (--ground or --dem give it)")
    if level_ >= altitude:
        raise UnlocatedError("ground that is not below the camera")
    return altitude, LevelGround(level_)


def _level_at_range(record: TelemetryRecord, altitude: float, slant: float) -> float:
    """Height of a ground whose frame centre is as far from the camera as the slant range says."""
    assert record.latitude is not None
    assert record.longitude is not None
    assert record.center is not None
    position = to_ecef(record.latitude, record.longitude, altitude)
    target = to_ecef(*record.center, altitude)
    up = east_north_up(*record.center)[2]
    way = target - position
    along = float(way @ up)
    inside = along**2 - float(way @ way) + slant**2
    if inside < 0:
        raise UnlocatedError("a slant range shorter than the way to the frame's centre")
    return altitude - along - math.sqrt(inside)


def _center(record: TelemetryRecord, ground: Ground) -> Array:
    assert record.center is not None
    latitude, longitude = record.center
    height = float(ground.height_at(np.array(latitude), np.array(longitude)))
    if not math.isfinite(height):
        raise UnlocatedError("a frame centre outside of the terrain model")
    return to_ecef(latitude, longitude, height)


def _attitude(record: TelemetryRecord, assumed: Assumed, local: Array) -> Array | None:
    elevation = record.elevation if record.elevation is not None else assumed.mount
    if record.heading is None or elevation is None:
        return None
    axes = turned(
        record.heading, record.pitch or 0.0, record.roll or 0.0, record.azimuth or 0.0, elevation, record.twist or 0.0
    )
    north_east_down = np.stack([local[1], local[0], -local[2]])
    result: Array = axes @ north_east_down
    return result


def _tangents(record: TelemetryRecord, size: tuple[int, int], assumed: Assumed) -> tuple[float, float]:
    fov = assumed.fov or record.fov
    if not fov or not 0 < fov < 180:
        raise UnlocatedError("no field of view (--fov gives it)")
    across = math.tan(math.radians(fov) / 2)
    vertical = assumed.fov_vertical if assumed.fov else record.fov_vertical
    if vertical and 0 < vertical < 180:
        return across, math.tan(math.radians(vertical) / 2)
    return across, across * size[1] / size[0] / assumed.pixel_aspect


def _ce90(record: TelemetryRecord, size: tuple[int, int], assumed: Assumed) -> float | None:
    """What the telemetry says of its target, or else what its deviations make of the frame's centre."""
    if record.ce90 is not None:
        return record.ce90
    if not record.sigma:
        return None
    middle = np.array([[size[0] / 2, size[1] / 2]])

    def center_of(changed: TelemetryRecord) -> Array:
        camera, ground, _ = _camera(changed, size, assumed)
        point: Array = ground.meet(camera.position, camera.rays(middle))[0]
        return point

    try:
        base = center_of(record)
        variance = 0.0
        for name, sigma in record.sigma:
            value = getattr(record, name)
            if value is None or record.latitude is None:
                continue
            step = sigma / _metres_of(name, record.latitude)
            moved = center_of(replace(record, **{name: value + step})) - base
            variance += float(moved @ moved)
    except UnlocatedError:
        return None
    return CE90_OF_SIGMA * math.sqrt(variance / 2) if math.isfinite(variance) else None


def _metres_of(name: str, latitude: float) -> float:
    """Metres of a unit of an attribute whose deviation is given in metres though it is an angle; 1 for the others."""
    north, east = metres_per_degree(latitude)
    return {"latitude": float(north), "longitude": float(east)}.get(name, 1.0)

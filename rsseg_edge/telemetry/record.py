"""What telemetry says at one moment, whatever it was written in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

Position = tuple[float, float]
"""Latitude and longitude in degrees, WGS 84."""


@dataclass(frozen=True)
class TelemetryRecord:
    """State of platform and camera. None stands for "not said". Angles in degrees, lengths in metres.

    Attributes:
        time: on the video's clock, in seconds.
        unix: UTC, in seconds since 1970.
        latitude: of the camera, WGS 84.
        longitude: of the camera, WGS 84.
        altitude: of the camera above mean sea level.
        height: of the camera above the WGS 84 ellipsoid.
        heading: of the platform, from true north, clockwise from above.
        pitch: of the platform, nose up.
        roll: of the platform, right wing down.
        azimuth: of the camera relative to the platform, clockwise from above.
        elevation: of the camera relative to the platform, up.
        twist: roll of the camera about its line of sight, clockwise as it looks.
        fov: horizontal field of view.
        fov_vertical: vertical field of view.
        slant_range: from the camera to the frame's centre.
        center: of the frame, on the ground.
        center_altitude: of the frame's centre above mean sea level.
        center_height: of the frame's centre above the ellipsoid.
        ground_altitude: of the ground below (the take-off point's, say) above mean sea level.
        corners: of the frame on the ground: upper left, upper right, lower right, lower left.
        ce90: radius that holds the target's true place with a probability of 90 %.
        le90: the same for its height.
        sigma: standard deviations by the name of an attribute: metres for positions and heights, degrees for angles.
    """

    time: float
    unix: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude: float | None = None
    height: float | None = None
    heading: float | None = None
    pitch: float | None = None
    roll: float | None = None
    azimuth: float | None = None
    elevation: float | None = None
    twist: float | None = None
    fov: float | None = None
    fov_vertical: float | None = None
    slant_range: float | None = None
    center: Position | None = None
    center_altitude: float | None = None
    center_height: float | None = None
    ground_altitude: float | None = None
    corners: tuple[Position, Position, Position, Position] | None = None
    ce90: float | None = None
    le90: float | None = None
    sigma: tuple[tuple[str, float], ...] = ()


NAMES = frozenset(field.name for field in fields(TelemetryRecord)) - {"time"}


class Holder:
    """Carries values that are sent now and then over to the records between, for as long as they count as current.

    Args:
        seconds: how long that is. ST 0601 has senders repeat an unchanged value within 30 s.
    """

    def __init__(self, seconds: float = 30.0) -> None:
        self._seconds = seconds
        self._known: dict[str, tuple[float, Any]] = {}

    def record(self, time: float, said: dict[str, Any]) -> TelemetryRecord:
        """The record of a moment: what is said then (None takes a value back), and what was said shortly before."""
        for name, value in said.items():
            self._known[name] = (time, value)
        current = {name: value for name, (when, value) in self._known.items() if abs(time - when) <= self._seconds}
        current["sigma"] = current.get("sigma") or ()
        return TelemetryRecord(time, **current)

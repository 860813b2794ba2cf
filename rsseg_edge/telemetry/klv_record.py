"""What an ST 0601 or ST 0104 packet says, in the terms of a telemetry record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsseg_edge.telemetry import st0104, st0601
from rsseg_edge.telemetry.klv import UNIVERSAL_SET

# Items of ST 0601 that are an attribute of a record as they are; of two for one, the later in this table wins.
DIRECT = {
    13: "latitude",
    14: "longitude",
    15: "altitude",
    75: "height",
    104: "height",
    5: "heading",
    6: "pitch",
    90: "pitch",
    7: "roll",
    91: "roll",
    18: "azimuth",
    19: "elevation",
    20: "twist",
    16: "fov",
    17: "fov_vertical",
    21: "slant_range",
    25: "center_altitude",
    78: "center_height",
    45: "ce90",
    46: "le90",
}
TAGS = frozenset({*DIRECT, 2, 23, 24, *range(26, 34), *range(82, 90), 102})
UNIVERSAL = {
    "Device Latitude": "latitude",
    "Device Longitude": "longitude",
    "Device Altitude": "altitude",
    "Angle to North": "azimuth",  # against true north: the line of sight is given without the platform's attitude
    "Obliquity Angle": "elevation",
    "Sensor Roll Angle": "twist",
    "Horizontal Field of View": "fov",
    "Vertical Field of View": "fov_vertical",
    "Slant Range": "slant_range",
    "Frame Center Elevation": "center_altitude",
}


def said_by(packet: bytes) -> dict[str, Any]:
    """Attributes of a record that a packet gives; None where it takes one back.

    Raises:
        KlvError: the packet is damaged.
    """
    return _universal(packet) if packet.startswith(UNIVERSAL_SET) else _local(packet)


def _local(packet: bytes) -> dict[str, Any]:
    items = st0601.decode(packet, only=TAGS)
    by_tag = dict(items)
    said: dict[str, Any] = {}
    for tag, name in DIRECT.items():
        if tag in by_tag and (by_tag[tag] is not None or name not in said):
            said[name] = by_tag[tag]
    if by_tag.get(2) is not None:
        said["unix"] = by_tag[2] / 1e6
    if 23 in by_tag or 24 in by_tag:
        said["center"] = _position(by_tag.get, 23, 24)
    full = [_position(by_tag.get, 82 + 2 * k, 83 + 2 * k) for k in range(4)]
    offsets = [_position(by_tag.get, 26 + 2 * k, 27 + 2 * k) for k in range(4)]
    center = said.get("center")
    if None not in full:
        said["corners"] = tuple(full)
    elif center is not None and None not in offsets:
        said["corners"] = tuple((center[0] + o[0], center[1] + o[1]) for o in offsets if o is not None)
    elif any(26 <= tag <= 33 or 82 <= tag <= 89 for tag in by_tag):
        said["corners"] = None
    sigma = _deviations(items)
    if sigma:
        said["sigma"] = sigma
    return said


def _universal(packet: bytes) -> dict[str, Any]:
    items = dict(st0104.decode(packet))
    said = {name: items[key] for key, name in UNIVERSAL.items() if key in items}
    if {"Angle to North", "Obliquity Angle"} <= items.keys():
        said |= {"heading": 0.0, "pitch": 0.0, "roll": 0.0}
    if items.get("User Defined Timestamp") is not None:
        said["unix"] = items["User Defined Timestamp"] / 1e6
    if "Frame Center Latitude" in items or "Frame Center Longitude" in items:
        said["center"] = _position(items.get, "Frame Center Latitude", "Frame Center Longitude")
    corners = [_position(items.get, f"Corner Latitude Point {k}", f"Corner Longitude Point {k}") for k in range(1, 5)]
    if None not in corners:
        said["corners"] = tuple(corners)
    return said


def _position(get: Callable[[Any], Any], latitude: Any, longitude: Any) -> tuple[float, float] | None:
    north, east = get(latitude), get(longitude)
    return None if north is None or east is None else (north, east)


def _deviations(items: list[tuple[int, Any]]) -> tuple[tuple[str, float], ...]:
    """Item 102 tells of the items that stand directly before it, in their order."""
    found = {}
    for at, (tag, value) in enumerate(items):
        if tag != 102 or value is None or value["size"] > at:
            continue
        members = items[at - value["size"] : at]
        for (member, _), sigma in zip(members, value["sigma"], strict=False):
            if member in DIRECT and sigma > 0:
                found[DIRECT[member]] = sigma
    return tuple(sorted(found.items()))

"""The universal set of EG 0104 (later ST 0104), the forerunner of ST 0601: whole keys, values as IEEE numbers."""

from __future__ import annotations

import calendar
import time
from typing import Any

from rsseg_edge.telemetry.klv import KlvError, packet_value, universal_items
from rsseg_edge.telemetry.nested_sets import SECURITY
from rsseg_edge.telemetry.values import Reader, real, text, uint


def seconds_of(when: str) -> float:
    """Unix seconds of YYYYMMDDThhmmss in UTC, the T optional.

    Raises:
        KlvError: it is written otherwise.
    """
    try:
        return float(calendar.timegm(time.strptime(when.replace("T", "", 1), "%Y%m%d%H%M%S")))
    except (ValueError, OverflowError):
        raise KlvError(f"a date of unusual form: {when[:20]!r}") from None


# Bytes 4..16 of the keys, which all begin with 06 0e 2b 34 01 01 01: the version byte differs between encoders.
_KEYS: dict[str, tuple[str, Reader]] = {
    "0702010101050000": ("User Defined Timestamp", uint),
    "0105050000000000": ("Episode Number", text),
    "0701100106000000": ("Platform Heading Angle", real),
    "0701100105000000": ("Platform Pitch Angle", real),
    "0701100104000000": ("Platform Roll Angle", real),
    "0101200100000000": ("Device Designation", text),
    "0420010201010000": ("Image Source Device", text),
    "0701010100000000": ("Image Coordinate System", text),
    "0701020102040200": ("Device Latitude", real),
    "0701020102060200": ("Device Longitude", real),
    "0701020102020000": ("Device Altitude", real),
    "0420020101080000": ("Horizontal Field of View", real),
    "04200201010a0100": ("Vertical Field of View", real),
    "0701080101000000": ("Slant Range", real),
    "0701090201000000": ("Target Width", real),
    "0701020103020000": ("Frame Center Latitude", real),
    "0701020103040000": ("Frame Center Longitude", real),
    "0701020103160000": ("Frame Center Elevation", real),
    "0701020103070100": ("Corner Latitude Point 1", real),
    "0701020103080100": ("Corner Latitude Point 2", real),
    "0701020103090100": ("Corner Latitude Point 3", real),
    "07010201030a0100": ("Corner Latitude Point 4", real),
    "07010201030b0100": ("Corner Longitude Point 1", real),
    "07010201030c0100": ("Corner Longitude Point 2", real),
    "07010201030d0100": ("Corner Longitude Point 3", real),
    "07010201030e0100": ("Corner Longitude Point 4", real),
    "0e01030302000000": ("Security Local Set", SECURITY),
    "0702010201010000": ("Start Datetime", text),
    "0702010207010000": ("Event Start Datetime", text),
    "0701100101000000": ("Sensor Roll Angle", real),
    "0701100102000000": ("Angle to North", real),
    "0701100103000000": ("Obliquity Angle", real),
}
KEYS = {bytes.fromhex(key): entry for key, entry in _KEYS.items()}


def decode(packet: bytes) -> list[tuple[str, Any]]:
    """Names and values of a packet in order; None for an empty item. Keys that are not in the table are left out.

    Raises:
        KlvError: it is no sound universal set.
    """
    decoded = []
    for item in universal_items(packet_value(packet)):
        assert isinstance(item.key, bytes)
        name, read = KEYS.get(item.key[8:], ("", bytes))
        if not name:
            continue
        try:
            decoded.append((name, read(item.value) if item.value else None))
        except KlvError:
            continue
    return decoded

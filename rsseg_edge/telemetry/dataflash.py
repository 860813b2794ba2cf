"""ArduPilot's DataFlash log (.bin): a log that describes its own messages.

Read are POS (or GPS where there is none), ATT, MNT and the time of GPS; PX4's .ulg logs are another format and are
not read.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rsseg_edge.telemetry.flight_log import Attitude, Buffer, Said

MAGIC = b"\xa3\x95"
FORMAT, FORMAT_SIZE = 128, 89
GPS_EPOCH = 315964800  # 6 January 1980 in Unix seconds
LEAP_SECONDS = 18  # GPS ahead of UTC since 2017
WEEK = 604800
WANTED = frozenset({"POS", "GPS", "ATT", "MNT"})
# Letter of a field: its form for struct, and what it is multiplied by.
LETTERS: dict[str, tuple[str, float]] = {
    "a": ("64s", 0), "b": ("b", 1), "B": ("B", 1), "M": ("B", 1), "h": ("h", 1), "H": ("H", 1), "i": ("i", 1),
    "I": ("I", 1), "f": ("f", 1), "d": ("d", 1), "g": ("e", 1), "n": ("4s", 0), "N": ("16s", 0), "Z": ("64s", 0),
    "c": ("h", 0.01), "C": ("H", 0.01), "e": ("i", 0.01), "E": ("I", 0.01), "L": ("i", 1e-7), "q": ("q", 1),
    "Q": ("Q", 1),
}  # fmt: skip


@dataclass(frozen=True)
class _Form:
    name: str
    size: int
    fields: struct.Struct | None
    labels: tuple[str, ...]
    scales: tuple[float, ...]

    def read(self, body: bytes) -> dict[str, float]:
        """Fields by label; text is left out."""
        if self.fields is None:
            return {}
        values: tuple[Any, ...] = self.fields.unpack(body)
        return {
            label: value * scale for label, value, scale in zip(self.labels, values, self.scales, strict=True) if scale
        }


def parse_dataflash(data: Buffer) -> Iterator[Said]:
    """What the messages of a log say, in their order; what is no message is passed over."""
    forms: dict[int, _Form] = {}
    position, end = 0, len(data)
    utc: float | None = None  # Unix seconds at the autopilot's start
    while (position := data.find(MAGIC, position)) >= 0 and position + 3 <= end:
        kind = data[position + 2]
        size = FORMAT_SIZE if kind == FORMAT else forms[kind].size if kind in forms else 0
        if not size or position + size > end:
            position += 2
            continue
        body = data[position + 3 : position + size]
        position += size
        if kind == FORMAT:
            form = _format(body)
            if form is not None:
                forms[body[0]] = form
            continue
        form = forms[kind]
        if form.name not in WANTED:
            continue
        values = form.read(body)
        seconds = values.get("TimeUS", math.nan) / 1e6
        if not math.isfinite(seconds):
            continue
        if form.name == "GPS" and values.get("GWk", 0) > 0 and "GMS" in values:
            utc = GPS_EPOCH + values["GWk"] * WEEK + values["GMS"] / 1e3 - LEAP_SECONDS - seconds
        said = _said(form.name, seconds, values, has_pos=any(f.name == "POS" for f in forms.values()))
        if said is not None:
            if utc is not None:
                said.values["unix"] = seconds + utc
            yield said


def _format(body: bytes) -> _Form | None:
    kind, size = body[0], body[1]
    name, letters, labels = (
        part.split(b"\0")[0].decode("ascii", "replace") for part in (body[2:6], body[6:22], body[22:86])
    )
    if kind == FORMAT or size < 3:
        return None
    fields = None
    named = tuple(labels.split(","))
    if name in WANTED and all(letter in LETTERS for letter in letters) and len(named) == len(letters):
        fields = struct.Struct("<" + "".join(LETTERS[letter][0] for letter in letters))
        if fields.size != size - 3:
            fields = None
    return _Form(name, size, fields, named, tuple(LETTERS[letter][1] for letter in letters) if fields else ())


def _said(name: str, seconds: float, values: dict[str, float], *, has_pos: bool) -> Said | None:
    get = values.get
    if name == "ATT" and {"Roll", "Pitch", "Yaw"} <= values.keys():
        turned = Attitude(values["Yaw"] % 360, values["Pitch"], values["Roll"])
        return Said(seconds, {}, vehicle=turned) if _finite(turned) else None
    if name == "MNT" and {"Roll", "Pitch"} <= values.keys():
        yaw = get("YawE", math.nan)
        relative = not math.isfinite(yaw)
        if relative:
            yaw = get("YawB", get("Yaw", math.nan))
        hung = Attitude(yaw, values["Pitch"], values["Roll"], relative)
        return Said(seconds, {}, gimbal=hung) if _finite(hung) else None
    if name == "POS" or (name == "GPS" and not has_pos):
        latitude, longitude, altitude = get("Lat", 0.0), get("Lng", 0.0), get("Alt")
        if latitude == longitude == 0 or abs(latitude) > 90 or abs(longitude) > 180 or altitude is None:
            return None
        said: dict[str, Any] = {"latitude": latitude, "longitude": longitude, "altitude": altitude}
        above_home = get("RelHomeAlt")
        if above_home is not None and math.isfinite(above_home) and math.isfinite(altitude):
            said["ground_altitude"] = altitude - above_home
        return Said(seconds, said) if math.isfinite(altitude) else None
    return None


def _finite(turned: Attitude) -> bool:
    return all(map(math.isfinite, (turned.yaw, turned.pitch, turned.roll)))

"""The .SRT beside a DJI video: where the aircraft was and how its gimbal hung, a cue a frame or a second."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from pathlib import Path

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.telemetry.record import TelemetryRecord
from rsseg_edge.telemetry.track import Track

MAX_BYTES = 1 << 28  # of a sidecar: a day of cues
FULL_FRAME = math.hypot(36, 24)  # millimetres: "equivalent" focal lengths are of this diagonal

_CUE = re.compile(r"^\s*(\d+):(\d\d):(\d\d)[,.](\d{1,3})\s*-->", re.MULTILINE)
_PAIR = re.compile(r"([a-z_]+)\s*:\s*([-+]?\d+(?:\.\d+)?)", re.IGNORECASE)
_WHEN = re.compile(r"(\d{4})[-.](\d\d)[-.](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,3}))?")
_GPS = re.compile(r"GPS\s*\(\s*([-+]?\d+(?:\.\d+)?)\s*,\s*([-+]?\d+(?:\.\d+)?)", re.IGNORECASE)
_HEIGHT = re.compile(r"(?:\bH|BAROMETER)\s*:?\s*([-+]?\d+(?:\.\d+)?)\s*m?", re.IGNORECASE)


def read_srt(path: Path, start: float, aspect: float) -> Track:
    """Records of a DJI sidecar, of the newer form ("[latitude: 15.1]") or the older ("GPS (46.2, 15.1, 18)").

    The time of day in it has no zone; it is taken as UTC.

    Args:
        path: the file.
        start: time of the video's first frame on its clock, in seconds.
        aspect: width of the picture by its height.

    Raises:
        UsageError: there are no positions in it.
        RssegError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise RssegError(f"cannot read {path}: {error.strerror}") from None
    cues = list(_CUE.finditer(content))
    records = []
    for cue, following in zip(cues, [*cues[1:], None], strict=False):
        hours, minutes, seconds, fraction = cue.groups()
        time = int(hours[:6]) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000
        text = content[cue.end() : following.start() if following else None]
        record = _record(text, start + time, aspect)
        if record is not None:
            records.append(record)
    if not records:
        raise UsageError(f"{path}: no positions in it; it is no .SRT of a DJI aircraft, or video captions were off")
    return Track(str(path), records)


def _record(text: str, time: float, aspect: float) -> TelemetryRecord | None:
    said = {name.lower(): float(value) for name, value in _PAIR.findall(text[:4096])}
    latitude, longitude = said.get("latitude"), said.get("longitude", said.get("longtitude"))  # DJI's own spelling
    relative, altitude = said.get("rel_alt"), said.get("abs_alt", said.get("altitude"))
    if latitude is None or longitude is None:
        place, height = _GPS.search(text), _HEIGHT.search(text)
        if place is None:
            return None
        longitude, latitude = float(place[1]), float(place[2])
        if height is not None:  # above the take-off point, which is all that is known of the ground
            relative = altitude = float(height[1])
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180) or (latitude == 0 and longitude == 0):
        return None
    if altitude is None:
        altitude = relative
    ground = altitude - relative if altitude is not None and relative is not None else None
    fov, vertical = _field_of_view(said, aspect)
    yaw, pitch = said.get("gb_yaw", said.get("gimbal_yaw")), said.get("gb_pitch", said.get("gimbal_pitch"))
    return TelemetryRecord(
        time=time,
        unix=_unix(text),
        latitude=latitude,
        longitude=longitude,
        altitude=altitude,
        ground_altitude=ground,
        heading=yaw,
        elevation=pitch,
        twist=said.get("gb_roll", said.get("gimbal_roll")),
        fov=fov,
        fov_vertical=vertical,
    )


def _field_of_view(said: dict[str, float], aspect: float) -> tuple[float | None, float | None]:
    """Degrees across and down, of a focal length that is equivalent to one of full frame."""
    focal = said.get("focal_len")
    if not focal or focal <= 0:
        return None, None
    if focal >= 100 and focal.is_integer():
        focal /= 10  # older firmware writes tenths: 240 is 24 mm
    zoom = said.get("dzoom_ratio", 1.0)
    focal *= max(1.0, zoom / 10000 if zoom >= 1000 else zoom)
    half = FULL_FRAME / 2 / focal
    width = half * aspect / math.hypot(aspect, 1)
    return 2 * math.degrees(math.atan(width)), 2 * math.degrees(math.atan(width / aspect))


def _unix(text: str) -> float | None:
    found = _WHEN.search(text)
    if found is None:
        return None
    *parts, fraction = found.groups()
    year, month, day, hour, minute, second = (int(part) for part in parts)
    try:
        when = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None
    return when.timestamp() + int((fraction or "0").ljust(3, "0")) / 1000

"""What the logs of an autopilot have in common: position, attitude and gimbal come one by one and become records."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.telemetry.record import Holder, TelemetryRecord
from rsseg_edge.telemetry.track import Track

HOLD = 2.0  # seconds for which the last word of a message counts: the slowest of them comes once a second
Buffer = bytes | mmap.mmap


@dataclass(frozen=True)
class Attitude:
    """Degrees: from north (or from the vehicle's nose, where ``relative``), nose up, right side down."""

    yaw: float
    pitch: float
    roll: float
    relative: bool = False


@dataclass(frozen=True)
class Said:
    """What one message of a log gives.

    Attributes:
        seconds: on the log's own clock.
        values: attributes of a telemetry record.
        vehicle: how the vehicle is turned.
        gimbal: how the camera is turned; pitch and roll are against the horizon.
    """

    seconds: float
    values: dict[str, Any] = field(default_factory=dict)
    vehicle: Attitude | None = None
    gimbal: Attitude | None = None


def read_log(path: Path, start: float, offset: float) -> Track:
    """Records of a MAVLink telemetry log (.tlog) or of ArduPilot's DataFlash log (.bin).

    Args:
        path: the file.
        start: time of the video's first frame on its clock, in seconds.
        offset: seconds from the log's first message to the video's first frame.

    Raises:
        UsageError: there are no positions in it.
        RssegError: it cannot be read.
    """
    from rsseg_edge.telemetry.dataflash import parse_dataflash
    from rsseg_edge.telemetry.mavlink import parse_tlog

    parse = parse_dataflash if path.suffix.lower() == ".bin" else parse_tlog
    try:
        records = compose(_parsed(path, parse), start - offset)
    except OSError as error:
        raise RssegError(f"cannot read {path}: {error.strerror}") from None
    if not records:
        raise UsageError(f"{path}: no positions in it; it is no MAVLink log, or the aircraft had no fix")
    return Track(str(path), records)


def _parsed(path: Path, parse: Callable[[Buffer], Iterator[Said]]) -> Iterator[Said]:
    if not path.stat().st_size:
        return  # nothing cannot be mapped
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield from parse(data)


def compose(messages: Iterable[Said], shift: float) -> list[TelemetryRecord]:
    """A record for every position and every attitude of the camera, from what was said last of the rest.

    Args:
        messages: of a log, in order.
        shift: added to their time, counted from the first.
    """
    holder, records = Holder(HOLD), []
    first: float | None = None
    heading: float | None = None  # of the vehicle
    gimballed = -HOLD - 1.0  # when a gimbal spoke last
    for message in messages:
        first = message.seconds if first is None else first
        time = message.seconds - first
        said = dict(message.values)
        if message.vehicle is not None:
            heading = message.vehicle.yaw
            if time - gimballed > HOLD:
                said |= {"heading": heading, "pitch": message.vehicle.pitch, "roll": message.vehicle.roll}
        if message.gimbal is not None and not (message.gimbal.relative and heading is None):
            gimbal, gimballed = message.gimbal, time
            yaw = gimbal.yaw + (heading or 0.0) * gimbal.relative
            said |= {"heading": yaw % 360, "pitch": 0.0, "roll": 0.0, "elevation": gimbal.pitch, "twist": gimbal.roll}
        record = holder.record(time + shift, said)
        speaks = message.vehicle or message.gimbal or "latitude" in said
        if speaks and record.latitude is not None and record.longitude is not None:
            records.append(record)
    return records

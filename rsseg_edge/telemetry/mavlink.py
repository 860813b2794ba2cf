"""A MAVLink telemetry log (.tlog): the messages that say where an aircraft and its camera are.

Read are GLOBAL_POSITION_INT, ATTITUDE, MOUNT_ORIENTATION, GIMBAL_DEVICE_ATTITUDE_STATUS, CAMERA_FOV_STATUS and
GPS_RAW_INT (for its accuracies), of MAVLink 1 and 2; their CRC is verified. Left out: signatures are not checked, and
a second vehicle in the same log is not told apart.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from typing import Any

from rsseg_edge.telemetry.flight_log import Attitude, Buffer, Said

MAVLINK1, MAVLINK2 = 0xFE, 0xFD
SIGNED = 0x01
YAW_LOCK, YAW_OF_EARTH = 16, 64  # flags of a gimbal device
Fields = tuple[Any, ...]


def parse_tlog(data: Buffer) -> Iterator[Said]:
    """What the frames of a log say, in their order; what is no sound frame is passed over.

    Each frame stands behind 8 bytes of microseconds since 1970.
    """
    position, end = 0, len(data)
    while position + 16 <= end:
        size = _frame_size(data, position + 8)
        if not size:
            position += 1
            continue
        frame = data[position + 8 : position + 8 + size]
        number, payload, check = _open(frame)
        if number in MESSAGES:
            if crc_x25(frame[1:check] + bytes([MESSAGES[number].extra])) != int.from_bytes(
                frame[check : check + 2], "little"
            ):
                position += 1
                continue
        elif position + 8 + size < end and not _frame_size(data, position + 16 + size):
            position += 1  # the CRC of a message that is not read is not known: a frame must follow
            continue
        seconds = int.from_bytes(data[position : position + 8], "big") / 1e6
        position += 8 + size
        if number in MESSAGES:
            said = MESSAGES[number].read(seconds, payload)
            if said is not None:
                yield said


def _frame_size(data: Buffer, start: int) -> int:
    """Bytes of the frame that begins there; 0 if none does."""
    if start + 8 > len(data):
        return 0
    if data[start] == MAVLINK1:
        size = 8 + data[start + 1]
    elif data[start] == MAVLINK2:
        size = 12 + data[start + 1] + (13 if data[start + 2] & SIGNED else 0)
    else:
        return 0
    return size if start + size <= len(data) else 0


def _open(frame: bytes) -> tuple[int, bytes, int]:
    """Message number, payload, and where its CRC stands."""
    head = 6 if frame[0] == MAVLINK1 else 10
    number = frame[5] if head == 6 else int.from_bytes(frame[7:10], "little")
    return number, frame[head : head + frame[1]], head + frame[1]


def crc_x25(data: bytes) -> int:
    """CRC-16/MCRF4XX, which MAVLink calls X.25.

    >>> hex(crc_x25(b"123456789"))
    '0x6f91'
    """
    crc = 0xFFFF
    for byte in data:
        low = byte ^ (crc & 0xFF)
        low = (low ^ (low << 4)) & 0xFF
        crc = (crc >> 8) ^ (low << 8) ^ (low << 3) ^ (low >> 4)
    return crc


class _Message:
    """How a message is read.

    Args:
        extra: the byte that its definition adds to the CRC.
        form: of its payload, little endian; MAVLink 2 leaves zeros at the end out.
        say: from the fields to what they mean; None where they mean nothing.
    """

    def __init__(self, extra: int, form: str, say: Callable[[float, Fields], Said | None]) -> None:
        self.extra, self._form, self._say = extra, struct.Struct(form), say

    def read(self, seconds: float, payload: bytes) -> Said | None:
        size = self._form.size
        fields = self._form.unpack(payload[:size].ljust(size, b"\0"))
        return self._say(seconds, fields)


def _position(seconds: float, fields: Fields) -> Said | None:
    latitude, longitude, altitude, relative = fields[1:5]
    if latitude == longitude == 0 or abs(latitude) > 9e8 or abs(longitude) > 18e8:
        return None
    return Said(
        seconds,
        {
            "unix": seconds,
            "latitude": latitude / 1e7,
            "longitude": longitude / 1e7,
            "altitude": altitude / 1e3,
            "ground_altitude": (altitude - relative) / 1e3,  # of the take-off point
        },
    )


def _attitude(seconds: float, fields: Fields) -> Said | None:
    if not all(map(math.isfinite, fields[1:4])):
        return None
    roll, pitch, yaw = map(math.degrees, fields[1:4])
    return Said(seconds, {"unix": seconds}, vehicle=Attitude(yaw % 360, pitch, roll))


def _mount(seconds: float, fields: Fields) -> Said | None:
    if not all(map(math.isfinite, fields[1:4])):
        return None
    roll, pitch, yaw = fields[1:4]
    return Said(seconds, {"unix": seconds}, gimbal=Attitude(yaw, pitch, roll, relative=True))


def _gimbal(seconds: float, fields: Fields) -> Said | None:
    w, x, y, z = fields[1:5]
    length = math.sqrt(w * w + x * x + y * y + z * z)
    if not 0.5 < length < 2:
        return None
    w, x, y, z = (part / length for part in (w, x, y, z))
    roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x))))
    yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    relative = not fields[9] & (YAW_LOCK | YAW_OF_EARTH)
    turned = Attitude(math.degrees(yaw), math.degrees(pitch), math.degrees(roll), relative)
    return Said(seconds, {"unix": seconds}, gimbal=turned)


def _lens(seconds: float, fields: Fields) -> Said | None:
    values = {name: fov for name, fov in zip(("fov", "fov_vertical"), fields[11:13], strict=True) if 0 < fov < 180}
    return Said(seconds, values) if values else None


def _accuracy(seconds: float, fields: Fields) -> Said | None:
    horizontal, vertical = fields[11] / 1e3, fields[12] / 1e3  # 0: unknown
    sigma = {"latitude": horizontal, "longitude": horizontal, "altitude": vertical}
    known = tuple((name, value) for name, value in sigma.items() if value > 0)
    return Said(seconds, {"sigma": known}) if known else None


MESSAGES = {
    24: _Message(24, "<QiiiHHHHBBiIIII", _accuracy),  # GPS_RAW_INT
    30: _Message(39, "<Iffffff", _attitude),  # ATTITUDE
    33: _Message(104, "<IiiiihhhH", _position),  # GLOBAL_POSITION_INT
    265: _Message(26, "<Iffff", _mount),  # MOUNT_ORIENTATION
    271: _Message(22, "<Iiiiiiiffffff", _lens),  # CAMERA_FOV_STATUS
    285: _Message(137, "<IfffffffIHBB", _gimbal),  # GIMBAL_DEVICE_ATTITUDE_STATUS
}

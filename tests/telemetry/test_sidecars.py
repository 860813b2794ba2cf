import math
import random
import struct
from pathlib import Path

import pytest

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.telemetry.dataflash import parse_dataflash
from rsseg_edge.telemetry.flight_log import compose, read_log
from rsseg_edge.telemetry.mavlink import MESSAGES, crc_x25, parse_tlog
from rsseg_edge.telemetry.srt import read_srt

NEW_SRT = """1
00:00:00,000 --> 00:00:00,033
<font size="28">FrameCnt: 1, DiffTime: 33ms
2024-05-25 13:44:33.500
[iso: 100] [shutter: 1/640.0] [focal_len: 24.00] [dzoom_ratio: 1.00], [latitude: 46.250000] [longitude: 15.100000] \
[rel_alt: 60.300 abs_alt: 360.300] [gb_yaw: -170.5 gb_pitch: -90.0 gb_roll: 0.5] </font>

2
00:00:01,033 --> 00:00:01,066
<font size="28">[focal_len: 240] [dzoom_ratio: 20000, delta:0] [latitude: 46.250100] [longtitude: 15.100000] \
[rel_alt: 61.000 abs_alt: 361.000] [gb_yaw: -170.5 gb_pitch: -60.0 gb_roll: 0.0] </font>
"""
OLD_SRT = """1
00:00:00,000 --> 00:00:01,000
F/2.8, SS 241.55, ISO 100, EV 0, GPS (15.1000, 46.2500, 20), D 0.53m, H 12.40m, H.S 0.00m/s, V.S 0.00m/s
"""


def test_the_newer_dji_form(tmp_path: Path) -> None:
    path = tmp_path / "DJI_0001.SRT"
    path.write_text(NEW_SRT)
    first, second = read_srt(path, 2.0, 16 / 9).records
    assert (first.time, second.time) == pytest.approx((2.0, 3.033))
    assert (first.latitude, first.longitude, first.altitude) == (46.25, 15.1, 360.3)
    assert first.ground_altitude == pytest.approx(300.0)
    assert (first.heading, first.elevation, first.twist) == (-170.5, -90.0, 0.5)
    assert first.unix == pytest.approx(1716644673.5)
    diagonal = 2 * math.degrees(math.atan(math.hypot(36, 24) / 48))
    assert first.fov is not None
    assert first.fov_vertical is not None
    tangents = [math.tan(math.radians(fov / 2)) for fov in (first.fov, first.fov_vertical, diagonal)]
    assert math.hypot(tangents[0], tangents[1]) == pytest.approx(tangents[2])
    assert tangents[0] / tangents[1] == pytest.approx(16 / 9)
    assert second.fov is not None
    assert math.tan(math.radians(second.fov / 2)) == pytest.approx(tangents[0] / 2)  # 24.0 mm in tenths, zoomed by two


def test_the_older_dji_form_tells_position_and_height_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text(OLD_SRT)
    (record,) = read_srt(path, 0.0, 4 / 3).records
    assert (record.latitude, record.longitude, record.altitude, record.ground_altitude) == (46.25, 15.1, 12.4, 0.0)
    assert (record.heading, record.fov) == (None, None)


def test_subtitles_that_are_none_of_dji_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello: 1\n")
    with pytest.raises(UsageError, match="no positions"):
        read_srt(path, 0.0, 1.0)
    with pytest.raises(RssegError, match="cannot read"):
        read_srt(tmp_path / "missing.srt", 0.0, 1.0)


def frame(number: int, payload: bytes, *, version: int = 2) -> bytes:
    if version == 2:
        payload = payload.rstrip(b"\0") or b"\0"
        head = struct.pack("<BBBBBB", len(payload), 0, 0, 7, 1, 1) + number.to_bytes(3, "little")
    else:
        head = struct.pack("<BBBBB", len(payload), 7, 1, 1, number)
    extra = MESSAGES[number].extra if number in MESSAGES else 50
    body = head + payload
    start = b"\xfd" if version == 2 else b"\xfe"
    return start + body + crc_x25(body + bytes([extra])).to_bytes(2, "little")


def at(seconds: float, content: bytes) -> bytes:
    return struct.pack(">Q", round(seconds * 1e6)) + content


def position(latitude: float, *, version: int = 2) -> bytes:
    fields = struct.pack("<IiiiihhhH", 0, round(latitude * 1e7), 85000000, 550000, 120000, 0, 0, 0, 9000)
    return frame(33, fields, version=version)


ATTITUDE = struct.pack("<Iffffff", 0, math.radians(10), math.radians(-5), math.radians(80), 0, 0, 0)


@pytest.mark.parametrize("version", [1, 2])
def test_a_tlog_gives_position_and_attitude(version: int) -> None:
    log = at(100, frame(0, bytes(9), version=version)) + at(100.5, frame(30, ATTITUDE, version=version))
    log += at(101, position(47.1, version=version))
    (record,) = compose(parse_tlog(log), 3.0)
    assert record.time == pytest.approx(3.5)  # the heartbeat is not read: the first message read begins the clock
    assert (record.latitude, record.longitude, record.altitude, record.ground_altitude) == (47.1, 8.5, 550.0, 430.0)
    assert (record.heading, record.pitch, record.roll) == pytest.approx((80, -5, 10))
    assert record.elevation is None
    assert record.unix == 101


def test_a_gimbal_hangs_level_below_the_vehicle() -> None:
    half = math.radians(-60 / 2)
    gimbal = struct.pack("<IfffffffIHBB", 0, math.cos(half), 0, math.sin(half), 0, 0, 0, 0, 0, 32, 0, 0)
    lens = struct.pack("<Iiiiiiiffffff", 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 62.5, 38.0)
    accuracy = struct.pack("<QiiiHHHHBBiIIII", 0, 0, 0, 0, 0, 0, 0, 0, 3, 10, 0, 1500, 2500, 0, 0)
    log = b"".join(at(1 + k / 10, f) for k, f in enumerate((frame(30, ATTITUDE), frame(285, gimbal), frame(271, lens))))
    log += at(1.4, frame(24, accuracy)) + at(1.5, frame(30, ATTITUDE)) + at(1.6, position(47.0))
    record = compose(parse_tlog(log), 0.0)[-1]
    assert (record.heading, record.pitch, record.roll) == (pytest.approx(80), 0.0, 0.0)
    assert record.elevation == pytest.approx(-60)
    assert (record.fov, record.fov_vertical) == (62.5, 38.0)
    assert record.sigma == (("latitude", 1.5), ("longitude", 1.5), ("altitude", 2.5))


def test_frames_of_a_wrong_checksum_are_passed_over() -> None:
    good, bad = at(1, position(47.0)), bytearray(at(2, position(48.0)))
    bad[25] ^= 4
    records = compose(parse_tlog(b"junk" + good + bytes(bad) + at(3, position(49.0))), 0.0)
    assert [record.latitude for record in records] == [47.0, 49.0]


def test_a_tlog_on_disk_is_shifted_onto_the_video(tmp_path: Path) -> None:
    path = tmp_path / "flight.tlog"
    path.write_bytes(b"".join(at(1000 + k, position(47 + k / 100)) for k in range(5)))
    track = read_log(path, 0.5, 2.0)
    nearest = track.nearest(0.5)  # the video's first frame, two seconds into the log
    assert nearest is not None
    assert nearest.latitude == pytest.approx(47.02)
    empty = tmp_path / "empty.bin"
    empty.write_bytes(b"")
    with pytest.raises(UsageError, match="no positions"):
        read_log(empty, 0.0, 0.0)


def dataflash(*, with_pos: bool = True) -> bytes:
    def form(kind: int, name: bytes, letters: bytes, labels: bytes) -> bytes:
        sizes = {"Q": 8, "c": 2, "C": 2, "L": 4, "f": 4, "I": 4, "H": 2, "B": 1}
        size = 3 + sum(sizes[chr(letter)] for letter in letters)
        text = name.ljust(4, b"\0") + letters.ljust(16, b"\0") + labels.ljust(64, b"\0")
        return b"\xa3\x95\x80" + bytes([kind, size]) + text

    log = form(1, b"ATT", b"Qccc", b"TimeUS,Roll,Pitch,Yaw") + form(2, b"GPS", b"QIHLLf", b"TimeUS,GMS,GWk,Lat,Lng,Alt")
    log += form(4, b"MNT", b"QBfff", b"TimeUS,I,Roll,Pitch,YawB") + form(5, b"XYZ", b"QB", b"TimeUS,A")
    if with_pos:
        log += form(3, b"POS", b"QLLff", b"TimeUS,Lat,Lng,Alt,RelHomeAlt")
    for k in range(3):
        t = 5_000_000 + k * 100_000
        log += b"\xa3\x95\x01" + struct.pack("<Qhhh", t, 250, -300, 9000)
        log += b"\xa3\x95\x02" + struct.pack("<QIHiif", t, 1000 * k, 2300, 471000000, 85000000, 540.0)
        log += b"\xa3\x95\x05" + struct.pack("<QB", t, 1)
        log += b"\xa3\x95\x04" + struct.pack("<QBfff", t, 0, 0.5, -45.0, 10.0)
        if with_pos:
            log += b"\xa3\x95\x03" + struct.pack("<Qiiff", t, 471000100, 85000000, 541.0, 50.0)
    return log


def test_a_dataflash_log_describes_itself() -> None:
    record = compose(parse_dataflash(dataflash()), 0.0)[-1]
    assert record.latitude == pytest.approx(47.10001)
    assert (record.altitude, record.ground_altitude) == (541.0, 491.0)
    assert (record.heading, record.elevation, record.twist) == (100.0, -45.0, 0.5)
    assert record.time == pytest.approx(0.2)
    assert record.unix == pytest.approx(315964800 + 2300 * 604800 + 2 - 18)


def test_gps_stands_in_where_there_is_no_pos() -> None:
    record = compose(parse_dataflash(dataflash(with_pos=False)), 0.0)[-1]
    assert (record.latitude, record.altitude, record.ground_altitude) == (pytest.approx(47.1), 540.0, None)


def test_no_damage_crashes_the_readers(tmp_path: Path) -> None:
    rng = random.Random(0)
    tlog = b"".join(at(k, f) for k, f in enumerate((frame(30, ATTITUDE), position(47.0), frame(0, bytes(9)))))
    path = tmp_path / "a.srt"
    for _ in range(300):
        for content, parse in ((tlog, parse_tlog), (dataflash(), parse_dataflash)):
            data = bytearray(content[: rng.randrange(len(content) + 1)])
            for _ in range(rng.randrange(8)):
                if data:
                    data[rng.randrange(len(data))] = rng.randrange(256)
            compose(parse(bytes(data)), 0.0)
    for _ in range(200):
        data = bytearray(NEW_SRT.encode())
        for _ in range(20):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.randrange(len(data))])
        try:
            read_srt(path, 0.0, 1.5)
        except UsageError as error:
            assert "no positions" in str(error)  # noqa: PT017

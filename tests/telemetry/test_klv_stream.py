import base64
import json
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import pytest

from rsseg_edge.telemetry import st0601
from rsseg_edge.telemetry.klv import PacketFinder
from rsseg_edge.telemetry.klv_stream import read_klv
from rsseg_edge.telemetry.track import Track

# How the decoded truth says that a number was written; the numbers themselves are compared.
ENCODING = {"element-size", "apa", "apa-params-length", "imap-params", "semi-length", "members", "sigma-length"}
ENCODING |= {"rho-length", "sigma-uses-imap", "rho-uses-imap", "long-parse-control", "sparse"}


@pytest.mark.parametrize("split", [0, 20])
def test_timed_packets_have_their_stamps(encoder: ModuleType, tmp_path: Path, split: int) -> None:
    packets = [encoder.local_set({13: k / 10}) for k in range(6)]
    klv = read_klv(encoder.write_stream(tmp_path / "a.ts", packets, split=split))
    assert klv.synchronous
    assert klv.damaged == 0
    assert [record.time for record in klv.records] == pytest.approx([1 + k / 5 for k in range(6)])
    assert [record.latitude for record in klv.records] == pytest.approx([k / 10 for k in range(6)], abs=1e-7)


def test_packets_without_stamps_belong_to_the_picture_beside_them(encoder: ModuleType, tmp_path: Path) -> None:
    packets = [encoder.local_set({13: k / 10}) for k in range(6)]
    klv = read_klv(encoder.write_stream(tmp_path / "a.ts", packets, timed=False))
    assert not klv.synchronous
    # FFmpeg lays them beside the picture that is decoded, not shown, at their time: at most a picture off.
    assert [record.time for record in klv.records] == pytest.approx([1 + k / 5 for k in range(6)], abs=0.21)


def test_without_stamps_their_own_clock_spaces_them(encoder: ModuleType, tmp_path: Path) -> None:
    late = [0.0, 0.21, 0.38, 0.62, 0.8, 1.0]
    packets = [encoder.local_set({}, micros=1_700_000_000_000_000 + round(s * 1e6)) for s in late]
    klv = read_klv(encoder.write_stream(tmp_path / "a.ts", packets, timed=False))
    assert [b.time - a.time for a, b in zip(klv.records, klv.records[1:], strict=False)] == pytest.approx(
        [0.21, 0.17, 0.24, 0.18, 0.2], abs=1e-5
    )
    assert klv.records[0].time == pytest.approx(1, abs=0.21)


def test_damaged_packets_are_left_out_and_counted(encoder: ModuleType, tmp_path: Path) -> None:
    packets = [encoder.local_set({13: k / 10}) for k in range(6)]
    packets[2] = packets[2][:30] + b"\xaa" + packets[2][31:]
    klv = read_klv(encoder.write_stream(tmp_path / "a.ts", packets))
    assert (len(klv.records), klv.damaged) == (5, 1)


def test_what_is_said_rarely_is_held_and_taken_back(encoder: ModuleType, tmp_path: Path) -> None:
    packets = [encoder.local_set({16: 12.0}), encoder.local_set({13: 1.0})]
    packets += [encoder.local_set({}, extra=encoder.item(16, b"")), encoder.local_set({13: 2.0})]
    records = read_klv(encoder.write_stream(tmp_path / "a.ts", packets)).records
    assert [r.fov for r in records] == [pytest.approx(12, abs=0.01), pytest.approx(12, abs=0.01), None, None]
    assert [r.latitude for r in records] == [None, pytest.approx(1), pytest.approx(1), pytest.approx(2)]


def test_the_nearest_record_speaks_for_a_frame(encoder: ModuleType, tmp_path: Path) -> None:
    klv = read_klv(encoder.write_stream(tmp_path / "a.ts", [encoder.local_set({13: k / 10}) for k in range(6)]))
    track = Track("a.ts", klv.records)
    for time, index in ((0.0, 0), (1.29, 1), (1.31, 2), (2.1, 5), (3.9, 5)):
        nearest = track.nearest(time)
        assert nearest is not None
        assert nearest.latitude == pytest.approx(index / 10, abs=1e-7)
    assert track.nearest(4.1) is None
    assert Track("empty", []).nearest(0.0) is None


def test_the_real_flight_is_read_whole(real_videos: Path) -> None:
    klv = read_klv(real_videos / "aphill_klv_10s.ts")
    assert (len(klv.records), klv.damaged, klv.synchronous) == (300, 0, True)
    first = klv.records[0]
    assert (first.time, first.latitude, first.longitude) == (2.4, 38.15993, -77.356214)
    assert first.altitude == pytest.approx(1984.6)
    assert first.center == pytest.approx((38.18509, -77.35812), abs=1e-5)
    assert (first.fov, first.fov_vertical) == pytest.approx((0.8, 0.6))


def test_a_stream_without_klv_has_no_records(real_videos: Path) -> None:
    klv = read_klv(real_videos / "h264_no_klv.ts")
    assert (list(klv.records), klv.damaged) == ([], 0)


@pytest.mark.parametrize("name", ["h264_klv.ts", "h265_klv.ts", "mpeg2_klv.ts"])
def test_every_value_equals_the_decoded_truth(real_videos: Path, name: str) -> None:
    truth = json.loads(zlib.decompress((real_videos / "video_stream_klv.json.zz").read_bytes()))
    finder = PacketFinder()
    with av.open(str(real_videos / name)) as container:
        data = [bytes(packet) for packet in container.demux(container.streams.data[0]) if packet.size]
    packets = [packet for piece in data for packet in finder.feed(piece)] + list(finder.end())
    assert len(packets) == len(truth) == 30
    assert finder.damaged == finder.skipped == 0
    for packet, said in zip(packets, truth, strict=True):
        decoded = dict(st0601.decode(packet))
        assert decoded.keys() - {1} == {entry["key"]["integer"] for entry in said["value"]}
        for entry in said["value"]:
            tag = entry["key"]["integer"]
            value = decoded[tag]
            if tag == 102:
                value = {name: numbers for name, numbers in value.items() if name != "size"}  # that of "members"
            _, expected = plain(entry)
            assert sorted(leaves(value), key=repr) == sorted(leaves(expected), key=repr), tag
    klv = read_klv(real_videos / name)
    steps = [record.time - klv.records[0].time for record in klv.records]
    assert steps == pytest.approx([entry["microseconds"] / 1e6 for entry in truth], abs=1e-3)


def plain(truth: Any) -> Any:
    """A value of the truth without its names: enumerations as numbers, bytes as bytes."""
    if isinstance(truth, list):
        return [plain(entry) for entry in truth]
    if not isinstance(truth, dict):
        return truth
    if "key" in truth and "value-unparsed-bytes" in truth:
        return [truth["key"]["integer"], base64.b64decode(truth["value-unparsed-bytes"])]
    if "key" in truth and truth["key"]["string"] == "User Data":
        return [truth["key"]["integer"], base64.b64decode(truth["value"])]
    if "key" in truth and truth["key"]["string"] == "Numeric ID and Data Type":
        return [truth["key"]["integer"], truth["value"]["type"]["integer"] << 6 | truth["value"]["id"]]
    if "key" in truth:
        return [truth["key"]["integer"], plain(truth["value"])]
    if truth.keys() == {"integer", "string"}:
        return truth["integer"]
    if "bytes" in truth and "hex" in truth:
        return base64.b64decode(truth["bytes"])
    if truth.keys() == {"length", "value"}:
        return truth["value"]
    return [plain(value) for key, value in truth.items() if key not in ENCODING]


def leaves(value: Any) -> list[Any]:
    """Numbers, texts and bytes of a value at any depth; what is missing is left out."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [leaf for entry in value for leaf in leaves(entry)]
    return [] if value is None else [value]

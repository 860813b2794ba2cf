import random
from contextlib import suppress
from types import ModuleType

import pytest

from rsseg_edge.telemetry import st0104, st0601
from rsseg_edge.telemetry.klv import KlvError, PacketFinder, check_packet, local_items, read_length, read_oid
from rsseg_edge.telemetry.klv_record import said_by

SAID = {13: 38.16, 14: -77.36, 15: 1984.6, 5: 98.0, 16: 0.8, 17: 0.6, 18: 270.5, 19: -35.3, 21: 3430.0}


def test_numbers_come_back_within_their_step(encoder: ModuleType) -> None:
    decoded = dict(st0601.decode(encoder.local_set(SAID)))
    assert decoded[2] == 1_700_000_000_000_000
    assert decoded[13] == pytest.approx(38.16, abs=5e-8)
    assert decoded[15] == pytest.approx(1984.6, abs=0.16)
    assert decoded[18] == pytest.approx(270.5, abs=1e-7)


def test_out_of_range_and_empty_items_are_none(encoder: ModuleType) -> None:
    extra = encoder.item(13, b"\x80\0\0\0") + encoder.item(14, b"") + encoder.item(6, b"\x80\0")
    packet = encoder.local_set({}, extra=extra)
    assert dict(st0601.decode(packet)) | {1: None} == {1: None, 2: 1_700_000_000_000_000, 13: None, 14: None, 6: None}
    assert said_by(packet) == {"latitude": None, "longitude": None, "pitch": None, "unix": 1.7e9}


def test_an_item_of_a_wrong_size_spoils_only_itself(encoder: ModuleType) -> None:
    decoded = dict(st0601.decode(encoder.local_set({15: 100.0}, extra=encoder.item(13, b"\1\2\3"))))
    assert 13 not in decoded
    assert decoded[15] == pytest.approx(100, abs=0.2)


def test_deviations_speak_of_the_items_before_them(encoder: ModuleType) -> None:
    deviations = bytes([2, 0b0100_0000]) + b"\x40\x40\0\0" + b"\x40\xa0\0\0"  # two floats, no correlations
    items = encoder.item(13, encoder.scaled(13, 1.0)) + encoder.item(15, encoder.scaled(15, 50.0))
    said = said_by(encoder.local_set({5: 1.0}, extra=items + encoder.item(102, deviations)))
    assert said["sigma"] == (("altitude", 5.0), ("latitude", 3.0))


def test_the_universal_set_is_read_by_its_keys(encoder: ModuleType) -> None:
    packet = encoder.universal_set({"latitude": 38.15993, "fov": 0.8, "to_north": -1.96, "obliquity": -35.3})
    assert dict(st0104.decode(packet))["Device Latitude"] == 38.15993
    assert said_by(packet)["azimuth"] == -1.96
    assert said_by(packet)["heading"] == 0.0


@pytest.mark.parametrize("damage", ["cut", "byte", "no checksum", "length"])
def test_damage_is_found(encoder: ModuleType, damage: str) -> None:
    packet = bytearray(encoder.local_set(SAID))
    check_packet(bytes(packet))
    if damage == "cut":
        packet = packet[:-1]
    elif damage == "byte":
        packet[30] ^= 1
    elif damage == "no checksum":
        packet[-4:-2] = b"\x02\x02"
    else:
        packet[16] += 1
    with pytest.raises(KlvError):
        check_packet(bytes(packet))


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_packets_are_found_however_the_stream_is_cut(encoder: ModuleType, size: int) -> None:
    packets = [encoder.local_set({13: k / 10}) for k in range(5)] + [encoder.universal_set({"latitude": 1.0})]
    stream = b"noise" + b"\x06\x0e".join(packets) + b"more noise"
    finder = PacketFinder()
    found = [p for at in range(0, len(stream), size) for p in finder.feed(stream[at : at + size])] + list(finder.end())
    assert found == packets
    assert finder.damaged == 0
    assert finder.skipped == len(stream) - sum(map(len, packets))


def test_a_damaged_length_loses_one_packet_only(encoder: ModuleType) -> None:
    packets = [encoder.local_set({13: k / 10}) for k in range(4)]
    broken = bytearray(packets[1])
    broken[16] = 0x7F  # longer than it is: it reaches into the next one
    finder = PacketFinder()
    stream = packets[0] + bytes(broken) + packets[2] + packets[3]
    assert [*finder.feed(stream), *finder.end()] == [packets[0], packets[2], packets[3]]
    assert finder.damaged == 1


def test_lengths_are_never_believed_beyond_the_end() -> None:
    for data in (b"", b"\x05abcd", b"\x84\xff\xff\xff\xff", b"\x80", b"\xff", b"\x88" + b"\xff" * 8):
        with pytest.raises(KlvError):
            read_length(data, 0, len(data))
    for data in (b"", b"\x80", b"\x80\x80\x80\x80\x01"):
        with pytest.raises(KlvError):
            read_oid(data, 0, len(data))
    with pytest.raises(KlvError):
        local_items(b"\x05\x03ab")


def test_no_damage_crashes_the_reader(encoder: ModuleType) -> None:
    """A few thousand of the cases that scripts/fuzz_klv.py tries."""
    deviations = bytes([2, 0b0100_0010]) + bytes(8) + b"\x40\0"
    nested = encoder.item(101, encoder.item(13, bytes(4))) + encoder.item(102, deviations)
    nested += encoder.item(141, encoder.ber(5) + b"\x01\0\x01\x03\x04") + encoder.item(142, b"\x02\x10\x10")
    packet = encoder.local_set(SAID, extra=nested)
    rng = random.Random(0)
    for at in range(16, len(packet)):
        for value in {*(1 << bit ^ packet[at] for bit in range(8)), rng.randrange(256)}:
            read_all(packet[:at] + bytes([value]) + packet[at + 1 :])
        read_all(packet[:at])


def read_all(data: bytes) -> None:
    """As the stream reader does, and without the checksum that keeps most damage away from the decoders."""
    finder = PacketFinder()
    for packet in [*finder.feed(data), *finder.end()]:
        said_by(packet)
    for decode in (st0601.decode, st0104.decode):
        with suppress(KlvError):
            decode(data)

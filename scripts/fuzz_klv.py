"""Damage KLV packets in every way that a radio link does, and see that nothing but a refusal comes of it.

Cases: every byte of a packet with each of its bits flipped and with random values, every truncation, blocks cut out,
doubled and swapped, and packets with a right checksum around damaged items, so that the decoders behind it are met.

    python scripts/fuzz_klv.py --cases 100000 [FILE.ts ...]     # packets of files, and a built-in one
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rsseg_edge.telemetry import st0104, st0601
from rsseg_edge.telemetry.klv import KlvError, PacketFinder, checksum
from rsseg_edge.telemetry.klv_record import said_by
from rsseg_edge.telemetry.klv_stream import data_streams
from rsseg_edge.telemetry.record import Holder

KEY = bytes.fromhex("060e2b34020b01010e01030101000000")
SLOW = 0.5  # CPU seconds for one case: hostile bytes must not cost more than honest ones


def built_in() -> bytes:
    """An ST 0601 packet with an item of every form that is nested or of variable length."""
    items = {
        2: bytes(8), 13: bytes(4), 14: bytes(4), 15: bytes(2), 48: b"\1\1\1\2\1\x0d", 73: b"\x0c\x03\1\1\2",
        74: b"\x65\x05\x04\x01\x01\x01\x05", 81: bytes(4), 94: b"\1\x78" + bytes(32), 95: b"\x16\x07\1\2\2\1\0\1\0\2",
        97: b"\x14\x0a\1\1\1\1\5\1\1\1\1\7", 101: b"\x0d\4\0\0\0\0", 102: b"\2\x40" + bytes(8), 115: b"\5\2ab",
        116: b"\3\7", 122: b"\1\x0e\3CAN\0\3FRA", 127: b"\x83\xd4\x60\x87\x69", 128: b"\x0a\1" + bytes(8) + b"N",
        130: b"\x0b" + bytes(11), 138: b"\1\5\0\0\2ab", 140: b"\7\1\1\1\3\3\1a", 141: b"\4\0\0\1\3", 142: b"\4\0\0\0\0",
    }  # fmt: skip
    body = b"".join(_tag(tag) + bytes([len(value)]) + value for tag, value in items.items())
    return _packet(body)


def cases(packets: list[bytes], rng: random.Random) -> Iterator[bytes]:
    """Damaged packets, without end; the systematic ones first."""
    for packet in packets:
        for at in range(len(packet)):
            yield packet[:at]
            for bit in range(8):
                yield packet[:at] + bytes([packet[at] ^ 1 << bit]) + packet[at + 1 :]
    while True:
        packet = rng.choice(packets)
        kind = rng.randrange(5)
        data = bytearray(packet)
        if kind == 0:
            for _ in range(rng.randrange(1, 16)):
                data[rng.randrange(len(data))] = rng.choice((0, 0x7F, 0x80, 0x81, 0x84, 0xFF, rng.randrange(256)))
        elif kind == 1:
            first, last = sorted(rng.randrange(len(data) + 1) for _ in range(2))
            del data[first:last]
        elif kind == 2:
            first, last = sorted(rng.randrange(len(data) + 1) for _ in range(2))
            data[last:last] = data[first:last]
        elif kind == 3:
            data = bytearray(rng.randbytes(rng.randrange(200)))
            data[rng.randrange(len(data) + 1) : 0] = KEY
        else:
            other = rng.choice(packets)
            data = data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]
        yield bytes(data)


def read(data: bytes) -> int:
    """Read bytes as a stream is read, and once more with a checksum that matches; packets found."""
    found = 0
    for stream in (data, _packet(data[20:-4])):
        finder, holder = PacketFinder(), Holder()
        middle = len(stream) // 2
        for packet in [*finder.feed(stream[:middle]), *finder.feed(stream[middle:]), *finder.end()]:
            holder.record(0.0, said_by(packet))
            found += 1
    for decode in (st0601.decode, st0104.decode):
        with suppress(KlvError):
            decode(data)
    return found


def _tag(tag: int) -> bytes:
    return bytes([tag]) if tag < 128 else bytes([0x80 | tag >> 7, tag & 127])


def _packet(body: bytes) -> bytes:
    size = len(body) + 4
    packet = KEY + b"\x82" + size.to_bytes(2, "big") + body[:65000] + b"\1\2\0\0"
    return packet[:-2] + checksum(packet).to_bytes(2, "big")


def main() -> None:
    """Run the cases and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    packets = [built_in()]
    for path in given.files:
        for stream in data_streams(path):
            finder = PacketFinder()
            pieces = [packet for piece in stream.pieces[:4] for packet in finder.feed(piece.data)]
            packets += pieces[:1]
    found, slowest = 0, 0.0
    source = cases(packets, random.Random(given.seed))
    for _ in range(given.cases):
        data = next(source)
        begin = time.process_time()
        try:
            found += read(data)
        except Exception:
            print(f"FINDING: {data.hex()}")
            raise
        slowest = max(slowest, time.process_time() - begin)
    print(f"{given.cases} cases of {len(packets)} packets: no finding; {found} packets read, slowest {slowest:.3f} s")
    if slowest > SLOW:
        raise SystemExit(f"a case took more than {SLOW} s")


if __name__ == "__main__":
    main()

"""Key-length-value packets (SMPTE ST 336): lengths, keys, checksums, and packets found in a stream of bytes.

Everything here takes bytes from the air: a length is never believed beyond the bytes that are there, and what cannot
be read raises :class:`KlvError` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PREFIX = bytes.fromhex("060e2b34")
UAS_LOCAL_SET = bytes.fromhex("060e2b34020b01010e01030101000000")  # MISB ST 0601
UNIVERSAL_SET = bytes.fromhex("060e2b34020101010e01010201010000")  # MISB EG 0104, later ST 0104
MAX_PACKET = 1 << 18  # metadata beside a frame has kilobytes; a packet of more is a broken length


class KlvError(ValueError):
    """Bytes that are not what their standard says."""


@dataclass(frozen=True)
class Item:
    """One item of a set.

    Attributes:
        key: tag of a local set, or the 16 bytes of a universal set's key.
        value: as it stands there.
    """

    key: int | bytes
    value: bytes


def read_length(data: bytes, start: int, end: int) -> tuple[int, int]:
    """A BER length of short or long form, and where its value begins.

    Raises:
        KlvError: cut short, indefinite, or longer than what is left before ``end``.
    """
    if start >= end:
        raise KlvError("cut short before a length")
    first = data[start]
    start += 1
    if first < 0x80:
        length = first
    else:
        size = first & 0x7F
        if not 1 <= size <= 8 or start + size > end:
            raise KlvError("a length of unusual form")
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    if length > end - start:
        raise KlvError(f"{length} bytes promised, {end - start} there")
    return length, start


def read_oid(data: bytes, start: int, end: int) -> tuple[int, int]:
    """A BER-OID number (seven bits a byte, highest first), and where the next byte is.

    Raises:
        KlvError: cut short, or longer than 28 bits.
    """
    value = 0
    for position in range(start, min(end, start + 4)):
        value = value << 7 | data[position] & 0x7F
        if data[position] < 0x80:
            return value, position + 1
    raise KlvError("a tag that does not end")


def local_items(value: bytes) -> list[Item]:
    """Items of a local set, in order.

    Raises:
        KlvError: tags and lengths do not fill the value exactly.
    """
    items, position, end = [], 0, len(value)
    while position < end:
        tag, position = read_oid(value, position, end)
        length, position = read_length(value, position, end)
        items.append(Item(tag, value[position : position + length]))
        position += length
    return items


def universal_items(value: bytes) -> list[Item]:
    """Items of a universal set, in order.

    Raises:
        KlvError: keys and lengths do not fill the value exactly.
    """
    items, position, end = [], 0, len(value)
    while position < end:
        key = value[position : position + 16]
        if len(key) < 16 or not key.startswith(PREFIX):
            raise KlvError("a key that is none")
        length, position = read_length(value, position + 16, end)
        items.append(Item(key, value[position : position + length]))
        position += length
    return items


def packet_value(packet: bytes) -> bytes:
    """The value of a whole packet.

    Raises:
        KlvError: the length does not match.
    """
    length, start = read_length(packet, 16, len(packet))
    if start + length != len(packet):
        raise KlvError("bytes beyond the packet's length")
    return packet[start:]


def checksum(packet: bytes) -> int:
    """The running 16-bit sum that ends an ST 0601 packet: over all of it but its last two bytes, which hold the sum."""
    body = packet[:-2]
    return (sum(body[0::2]) * 256 + sum(body[1::2])) & 0xFFFF


def check_packet(packet: bytes) -> None:
    """Verify a packet as far as its standard allows: EG 0104 carries no checksum, so there only the structure.

    Raises:
        KlvError: it is damaged.
    """
    value = packet_value(packet)
    if packet.startswith(UNIVERSAL_SET):
        universal_items(value)
        return
    if len(value) < 4 or value[-4:-2] != b"\x01\x02":
        raise KlvError("no checksum at the end")
    if int.from_bytes(value[-2:], "big") != checksum(packet):
        raise KlvError("the checksum does not match")
    local_items(value)


class PacketFinder:
    """Cuts a stream of bytes that comes in pieces into ST 0601 and ST 0104 packets; the rest is passed over.

    Attributes:
        damaged: packets that did not pass :func:`check_packet`.
        skipped: bytes that belonged to no sound packet.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.damaged = self.skipped = 0

    @property
    def waiting(self) -> bool:
        """Whether a packet has begun that is not whole yet."""
        return len(self._rest) > 15

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The packets that a piece completes, the first of which may have begun in earlier ones."""
        if self._rest and piece.startswith((UAS_LOCAL_SET, UNIVERSAL_SET)):
            yield from self.end()  # a new one begins: what did not end before will not
        yield from self._scan(self._rest + piece, final=False)

    def end(self) -> Iterator[bytes]:
        """Packets in what was kept for a packet that never ended."""
        yield from self._scan(self._rest, final=True)

    def _scan(self, data: bytes, *, final: bool) -> Iterator[bytes]:
        position = 0
        while (start := _next_key(data, position)) >= 0:
            self.skipped += start - position
            position = start
            size = _packet_size(data, start)
            whole = size is not None and start + size <= len(data)
            if not whole and not final:
                self._rest = data[position:]
                return
            assert size is not None or final
            packet = data[start : start + size] if whole and size else b""
            if packet and _is_sound(packet):
                yield packet
                position += len(packet)
            else:  # what its length spans may hold sound packets
                self.damaged += 1
                self.skipped += 16
                position += 16
        keep = 0 if final else min(15, len(data) - position)  # a key may be cut in two
        self.skipped += len(data) - position - keep
        self._rest = data[len(data) - keep :]


def _is_sound(packet: bytes) -> bool:
    try:
        check_packet(packet)
    except KlvError:
        return False
    return True


def _next_key(data: bytes, start: int) -> int:
    found = [at for key in (UAS_LOCAL_SET, UNIVERSAL_SET) if (at := data.find(key, start)) >= 0]
    return min(found, default=-1)


def _packet_size(data: bytes, start: int) -> int | None:
    """Bytes of the packet that begins at a key; 0 if that is none, None if more bytes are needed to tell."""
    at = start + 16
    if len(data) <= at:
        return None
    first = data[at]
    if first < 0x80:
        return 17 + first
    size = first & 0x7F
    if not 1 <= size <= 8:
        return 0
    if len(data) < at + 1 + size:
        return None
    length = int.from_bytes(data[at + 1 : at + 1 + size], "big")
    return 17 + size + length if length <= MAX_PACKET else 0

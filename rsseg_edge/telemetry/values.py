"""How one value of a set is written: readers of integers, scaled numbers (ST 0601), IMAP (ST 1201), text and packs."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from rsseg_edge.telemetry.klv import KlvError, local_items, read_length, read_oid

NATURAL, IMAP = 1, 2  # array processing algorithms of ST 1303

Reader = Callable[[bytes], Any]
"""Takes the bytes of a value (never none of them) and raises KlvError where they are not what it reads."""


@dataclass(frozen=True)
class LocalSet:
    """A local set: by tag, what an item is called and how it is read."""

    name: str
    items: Mapping[int, tuple[str, Reader]] = field(repr=False)

    def __call__(self, value: bytes, only: Collection[int] | None = None) -> list[tuple[int, Any]]:
        """Tags and values in order; None for an empty item, the bytes for a tag that is not in the table.

        An item that cannot be read is left out: the others are as good as before.

        Args:
            value: of the set.
            only: the tags that are read; the others stay bytes.

        Raises:
            KlvError: tags and lengths do not fill the value exactly.
        """
        decoded = []
        for item in local_items(value):
            assert isinstance(item.key, int)
            read: Reader = bytes
            if item.key in self.items and (only is None or item.key in only):
                read = self.items[item.key][1]
            try:
                decoded.append((item.key, read(item.value) if item.value else None))
            except KlvError:
                continue
        return decoded


def uint(value: bytes) -> int:
    """Unsigned, up to 8 bytes."""
    if len(value) > 8:
        raise KlvError(f"an integer of {len(value)} bytes")
    return int.from_bytes(value, "big")


def sint(value: bytes) -> int:
    """Two's complement, up to 8 bytes."""
    if len(value) > 8:
        raise KlvError(f"an integer of {len(value)} bytes")
    return int.from_bytes(value, "big", signed=True)


def text(value: bytes) -> str:
    """UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise KlvError("text that is not UTF-8") from None


def real(value: bytes) -> float:
    """IEEE 754 of 2, 4 or 8 bytes; a number that is none is refused."""
    form = {2: ">e", 4: ">f", 8: ">d"}.get(len(value))
    if form is None:
        raise KlvError(f"a number of {len(value)} bytes")
    number = float(struct.unpack(form, value)[0])
    if not math.isfinite(number):
        raise KlvError("a number that is not finite")
    return number


def unsigned(low: float, high: float, size: int) -> Reader:
    """ST 0601: 0 .. 2^n - 1 stand for ``low`` .. ``high``."""

    def read(value: bytes) -> float:
        _expect(value, size)
        step: float = (high - low) / (256**size - 1)
        return int.from_bytes(value, "big") * step + low

    return read


def signed(bound: float, size: int) -> Reader:
    """ST 0601: ±(2^(n-1) - 1) stand for ±``bound``; the most negative integer is "out of range": None."""

    def read(value: bytes) -> float | None:
        _expect(value, size)
        number, most = int.from_bytes(value, "big", signed=True), 256**size // 2 - 1
        return None if number < -most else number * (bound / most)

    return read


def imap(low: float, high: float) -> Reader:
    """ST 1201's IMAPB of the bytes that are there, 1 to 8; its special values (infinities, NaN) are None."""

    def read(value: bytes) -> float | None:
        if not 1 <= len(value) <= 8:
            raise KlvError(f"an IMAP of {len(value)} bytes")
        number, bits = int.from_bytes(value, "big"), 8 * len(value)
        if number >> (bits - 1) and number != 1 << (bits - 1):
            return None
        power = math.ceil(math.log2(high - low))
        forward = 2.0 ** (bits - 1 - power)
        offset = forward * low - math.floor(forward * low) if low < 0 < high else 0.0
        result = (number - offset) / forward + low
        if abs(result) < 0.5 / forward:
            result = 0.0  # "exactly zero" is exact in ST 1201
        return result if low <= result <= high else None

    return read


def flags(value: bytes) -> list[int]:
    """Positions of the bits that are set, lowest first."""
    number = uint(value)
    return [k for k in range(8 * len(value)) if number >> k & 1]


def oids(value: bytes) -> list[int]:
    """BER-OID numbers one after the other."""
    found, position = [], 0
    while position < len(value):
        number, position = read_oid(value, position, len(value))
        found.append(number)
    return found


def parts(value: bytes) -> list[bytes]:
    """Values with a length before each; a value may be empty."""
    found, position = [], 0
    while position < len(value):
        length, position = read_length(value, position, len(value))
        found.append(value[position : position + length])
        position += length
    return found


def each(read: Reader) -> Reader:
    """A series: :func:`parts`, each read; None where one is empty."""

    def read_all(value: bytes) -> list[Any]:
        return [read(part) if part else None for part in parts(value)]

    return read_all


def pack(**fields: tuple[int | None, Reader]) -> Reader:
    """Fields of fixed sizes in order, the later ones of which may be missing.

    A size of None takes a BER-OID number (its reader is not called); 0 takes all that is left.
    """

    def read(value: bytes) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(fields)
        position, end = 0, len(value)
        for name, (size, reader) in fields.items():
            if position == end:
                break
            if size is None:
                found[name], position = read_oid(value, position, end)
                continue
            stop = position + size if size else end
            if stop > end:
                raise KlvError(f"a pack cut short in {name}")
            found[name] = reader(value[position:stop])
            position = stop
        if position != end:
            raise KlvError("bytes beyond the fields of a pack")
        return found

    return read


def lengthed(**fields: Reader) -> Reader:
    """Fields with a length before each, in order; None where one is empty, or missing at the end."""

    def read(value: bytes) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(fields)
        for (name, reader), part in zip(fields.items(), parts(value), strict=False):
            found[name] = reader(part) if part else None
        return found

    return read


def array(natural: Reader) -> Reader:
    """ST 1303's array of one or more dimensions: sizes, and the elements in order; encoded naturally or by IMAP."""

    def read(value: bytes) -> dict[str, Any]:
        end = len(value)
        dimensions, position = read_oid(value, 0, end)
        sizes = []
        for _ in range(min(dimensions, end)):
            size, position = read_oid(value, position, end)
            sizes.append(size)
        width, position = read_oid(value, position, end)
        method, position = read_oid(value, position, end)
        count = math.prod(sizes)
        start = end - count * width
        if not sizes or not 1 <= width <= 8 or start < position or method not in (NATURAL, IMAP):
            raise KlvError("an array that its bytes do not fill")
        element = natural
        if method == IMAP:
            middle = (position + start) // 2
            low, high = real(value[position:middle]), real(value[middle:start])
            if not low < high:
                raise KlvError("an array of no range")
            element = imap(low, high)
        elements = [element(value[at : at + width]) for at in range(start, end, width)]
        return {"sizes": sizes, "elements": elements}

    return read


def _expect(value: bytes, size: int) -> None:
    if len(value) != size:
        raise KlvError(f"{len(value)} bytes instead of {size}")

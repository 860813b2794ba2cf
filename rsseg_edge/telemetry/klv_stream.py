"""KLV in the data streams of a video file: found, verified, and given its time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from rsseg_edge.telemetry.klv import PacketFinder
from rsseg_edge.telemetry.klv_record import said_by
from rsseg_edge.telemetry.record import Holder, TelemetryRecord

MAX_JITTER = 1.0  # seconds between a packet's place in the multiplex and its own clock, where the two run together


@dataclass(frozen=True)
class KlvStream:
    """What the data streams of a file hold.

    Attributes:
        records: one a sound packet, in the order of the file.
        damaged: packets whose checksum or structure is wrong; they are left out.
        synchronous: whether packets carry time stamps of their own; else they have that of the picture beside them.
    """

    records: Sequence[TelemetryRecord]
    damaged: int
    synchronous: bool


@dataclass(frozen=True)
class _Piece:
    position: int  # of its first byte in the file
    time: float | None
    data: bytes


def read_klv(path: Path) -> KlvStream:
    """Every ST 0601 and ST 0104 packet of a file, with its time on the video's clock.

    A packet of a synchronous stream (ST 1402) has the time stamp of the PES packet in which it begins. One of an
    asynchronous stream has none: it belongs to the next picture in the multiplex, corrected by its own clock where
    that runs.
    """
    import av

    pieces: dict[int, list[_Piece]] = {}
    pictures: list[tuple[int, float]] = []
    with av.open(str(path)) as container:
        shown = container.streams.video[:1]
        data = [s for s in container.streams.data if s.codec_context is None or s.codec_context.name == "klv"]
        lag: float | None = None
        try:
            for packet in container.demux(*shown, *data) if data else ():
                if not packet.size:
                    continue
                base = float(packet.time_base)
                position = packet.pos if packet.pos is not None else -1
                if packet.stream in shown:
                    stamp = packet.dts if packet.dts is not None else packet.pts
                    if stamp is None:
                        continue
                    if lag is None:
                        lag = base * ((packet.pts if packet.pts is not None else stamp) - stamp)
                    pictures.append((position, stamp * base + lag))
                else:
                    time = None if packet.pts is None else packet.pts * base
                    pieces.setdefault(packet.stream.index, []).append(_Piece(position, time, bytes(packet)))
        except av.error.FFmpegError:
            pass  # the video source meets the same damage and says so
    pictures.sort()
    records: list[TelemetryRecord] = []
    damaged, synchronous = 0, True
    for stream in pieces.values():
        finder = PacketFinder()
        timed = all(piece.time is not None for piece in stream)
        found = _records(stream, finder, pictures)
        damaged += finder.damaged
        if found:
            synchronous &= timed
            records += found if timed else _by_own_clock(found)
    return KlvStream(records, damaged, synchronous)


def _records(stream: list[_Piece], finder: PacketFinder, pictures: list[tuple[int, float]]) -> list[TelemetryRecord]:
    holder = Holder()
    records: list[TelemetryRecord] = []
    begun = 0.0  # time of the piece in which a packet that is not whole yet began

    def add(packet: bytes, time: float) -> None:
        records.append(holder.record(time, said_by(packet)))

    for piece in stream:
        time = piece.time if piece.time is not None else _beside(piece.position, pictures)
        waiting = finder.waiting
        for packet in finder.feed(piece.data):
            add(packet, begun if waiting else time)
            waiting = False
        if not waiting:
            begun = time
    for packet in finder.end():
        add(packet, begun)
    return records


def _beside(position: int, pictures: list[tuple[int, float]]) -> float:
    """Time of the picture that follows in the file, or of the last one."""
    if not pictures:
        return 0.0
    return pictures[min(bisect_left(pictures, (position, 0.0)), len(pictures) - 1)][1]


def _by_own_clock(records: list[TelemetryRecord]) -> list[TelemetryRecord]:
    """Records spaced as their own time stamps are, where these run beside the video's clock."""
    stamps: list[Any] = [record.unix for record in records]
    if None in stamps or len(set(stamps)) < len(stamps):
        return records
    offsets = [record.time - stamp for record, stamp in zip(records, stamps, strict=True)]
    offset = median(offsets)
    if max(abs(o - offset) for o in offsets) > MAX_JITTER:
        return records
    return [replace(record, time=stamp + offset) for record, stamp in zip(records, stamps, strict=True)]

"""KLV in the data streams of a video file: found, verified, and given its time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from rsseg_edge.telemetry.klv import PacketFinder
from rsseg_edge.telemetry.klv_feed import KlvFeed, PassingPiece
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
class Piece:
    """What one PES packet of a data stream carries.

    Attributes:
        time: on the video's clock, in seconds: its own stamp, or that of the picture beside it.
        data: its bytes; packets of KLV may begin and end anywhere in it.
    """

    time: float
    data: bytes


@dataclass(frozen=True)
class DataStream:
    """A data stream of a video file.

    Attributes:
        pieces: in the order of the file.
        synchronous: whether all of them carry time stamps of their own.
    """

    pieces: list[Piece]
    synchronous: bool


def data_streams(path: Path) -> list[DataStream]:
    """The data streams of a video file; damage in the middle of it is passed over, for the video source reports it.

    Raises:
        FFmpegError: it cannot be opened.
    """
    import av

    raw: dict[int, list[tuple[int, float | None, bytes]]] = {}
    pictures: list[tuple[int, float]] = []
    with av.open(str(path)) as container:
        shown, data = container.streams.video[:1], container.streams.data
        if container.format.name.startswith("mov"):
            data = ()  # the data streams of an MP4 are a camera maker's own, and reading them means reading the film
        try:
            for packet in container.demux(*shown, *data) if data else ():
                if not packet.size:
                    continue
                base = float(packet.time_base)
                position = packet.pos if packet.pos is not None else -1
                if packet.stream in data:
                    time = None if packet.pts is None else packet.pts * base
                    raw.setdefault(packet.stream.index, []).append((position, time, bytes(packet)))
                    continue
                stamp = packet.dts if packet.dts is not None else packet.pts
                if stamp is not None:
                    pictures.append((position, stamp * base))  # by decoding: a multiplex is laid out in that order
        except av.error.FFmpegError:
            pass
    pictures.sort()
    return [
        DataStream(
            [Piece(_beside(at, pictures) if time is None else time, data) for at, time, data in pieces],
            all(time is not None for _, time, _ in pieces),
        )
        for pieces in raw.values()
    ]


def holds_klv(stream: DataStream) -> bool:
    """Whether there is any KLV in a data stream, damaged or not."""
    finder = PacketFinder()
    return any(next(finder.feed(piece.data), None) is not None or finder.damaged for piece in stream.pieces)


def file_feed(path: Path) -> KlvFeed | None:
    """The KLV of a file, to be passed on; None where it has none.

    Raises:
        FFmpegError: the file cannot be opened.
    """
    streams = [stream for stream in data_streams(path) if holds_klv(stream)]
    pieces = [PassingPiece(p.time, at, p.data) for at, stream in enumerate(streams) for p in stream.pieces]
    return KlvFeed(len(streams), pieces) if streams else None


def read_klv(path: Path) -> KlvStream:
    """Every ST 0601 and ST 0104 packet of a file, with its time on the video's clock.

    A packet of a synchronous stream (ST 1402) has the time stamp of the PES packet in which it begins. One of an
    asynchronous stream has none: it belongs to the next picture in the multiplex, corrected by its own clock where
    that runs.

    Raises:
        FFmpegError: the file cannot be opened.
    """
    records: list[TelemetryRecord] = []
    damaged, synchronous = 0, True
    for stream in data_streams(path):
        finder = PacketFinder()
        found = _records(stream.pieces, finder)
        damaged += finder.damaged
        if found:
            synchronous &= stream.synchronous
            records += found if stream.synchronous else _by_own_clock(found)
    return KlvStream(records, damaged, synchronous)


def _records(pieces: list[Piece], finder: PacketFinder) -> list[TelemetryRecord]:
    holder = Holder()
    records: list[TelemetryRecord] = []
    begun = 0.0  # time of the piece in which a packet began that is not whole yet
    for piece in pieces:
        waiting = finder.waiting
        for packet in finder.feed(piece.data):
            records.append(holder.record(begun if waiting else piece.time, said_by(packet)))
            waiting = False
        if not waiting:
            begun = piece.time
    records += [holder.record(begun, said_by(packet)) for packet in finder.end()]
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

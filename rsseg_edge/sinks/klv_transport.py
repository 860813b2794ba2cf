"""The overlay as an MPEG transport stream with the input's KLV beside it, which an MP4 of FFmpeg's cannot hold."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from rsseg_edge.errors import RssegError
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.part_file import PartFile, named_errors
from rsseg_edge.telemetry.klv_stream import DataStream, data_streams, holds_klv
from rsseg_edge.types import Result


def may_carry_klv(path: Path) -> bool:
    """Whether a video is a file with an MPEG transport stream that has a data stream."""
    import av

    if not path.is_file():
        return False
    try:
        with av.open(str(path)) as container:
            return container.format.name == "mpegts" and bool(container.streams.data)
    except av.error.FFmpegError:
        return False


class KlvTransport(Sink):
    """Copies a finished overlay and the KLV of its input into one file, byte by byte, without a new encoding.

    Stands after the overlay's own sink. KLV that had no time stamps gets those of the pictures that it was beside.

    Args:
        path: the transport stream.
        overlay: the overlay that the run writes; where it writes none, there is no transport stream either.
        source: the input with KLV.
    """

    def __init__(self, path: Path, overlay: Path, source: Path) -> None:
        self.path = path
        self._overlay, self._source = overlay, source
        self._before: int | None = None

    def open(self) -> None:
        """See :class:`rsseg_edge.sinks.base.Sink`."""
        self._before = _identity(self._overlay)

    def write(self, result: Result) -> None:
        """Nothing to do: the overlay takes the frames."""

    def close(self) -> None:
        """Write and publish the transport stream.

        Raises:
            RssegError: the file system refuses.
        """
        import av

        now = _identity(self._overlay)
        if now is None or now == self._before:
            return
        streams = [stream for stream in data_streams(self._source) if holds_klv(stream)]
        if not streams:
            return
        part = PartFile(self.path)
        try:
            with named_errors(self.path):
                self._remux(part.file, streams)
        except av.error.FFmpegError as error:
            part.discard()
            raise RssegError(f"cannot write {self.path}: {error.strerror}") from None
        except BaseException:
            part.discard()
            raise
        part.publish()

    def _remux(self, file: Any, streams: list[DataStream]) -> None:
        import av

        with (
            av.open(str(self._overlay)) as overlay,
            av.open(file, "w", format="mpegts", options={"mpegts_copyts": "1"}) as output,
        ):
            copies = {}
            for stream in (*overlay.streams.video, *overlay.streams.audio):
                try:
                    copies[stream] = output.add_stream_from_template(stream)
                except ValueError:  # audio that a transport stream does not take; the MP4 has it
                    continue
            video = overlay.streams.video[0]
            targets = [output.add_data_stream("klv") for _ in streams]
            first = float((video.start_time or 0) * video.time_base)
            last = first + float((video.duration or 0) * video.time_base)
            klv = sorted(
                (
                    (piece.time, target, piece.data)
                    for target, stream in zip(targets, streams, strict=True)
                    for piece in stream.pieces
                    if first - 0.5 <= piece.time <= last
                ),
                key=lambda entry: entry[0],
            )
            waiting = iter([*klv, (float("inf"), None, b"")])
            time, target, data = next(waiting)
            for packet in _packets(overlay, tuple(copies)):
                while time <= float(packet.dts * packet.time_base):
                    output.mux(_data_packet(time, target, data))
                    time, target, data = next(waiting)
                packet.stream = copies[packet.stream]
                output.mux(packet)
            while target is not None:
                output.mux(_data_packet(time, target, data))
                time, target, data = next(waiting)


def _packets(container: Any, streams: tuple[Any, ...]) -> Iterator[Any]:
    for packet in container.demux(streams):
        if packet.size and packet.dts is not None:
            yield packet


def _data_packet(time: float, stream: Any, data: bytes) -> Any:
    import av

    packet = av.Packet(data)
    packet.time_base = Fraction(1, 90000)
    packet.pts = packet.dts = round(time * 90000)
    packet.stream = stream
    return packet


def _identity(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None

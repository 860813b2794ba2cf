"""A live stream: RTSP, UDP, a camera, or a pipe. Its newest frame, for as long as it lasts or comes back."""

from __future__ import annotations

import atexit
import contextlib
import re
import threading
import time
import weakref
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.monitor import Dropped, State, StreamMonitor, shown_name
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.camera import open_v4l2, parse_camera
from rsseg_edge.sources.gstreamer import GstCamera, camera_elements, require_camera
from rsseg_edge.sources.pictures import Pictures
from rsseg_edge.sources.standard_input import StandardInput
from rsseg_edge.telemetry.klv_feed import KlvFeed, PassingPiece
from rsseg_edge.types import Frame, Report, VideoFormat

TICK = Fraction(1, 90_000)  # of time stamps, seconds: MPEG's clock
OPEN, READ = 5.0, 5.0  # seconds after which a connection, or a packet, is given up
FIRST = 15.0  # seconds in which the first frame must come
BACK_OFF = (0.1, 0.25, 0.5, 1.0)  # seconds before the next connection, the last one for ever
HUNG = 12.0  # seconds in which the thread that reads neither connects nor gets a packet: it is left to itself
RATE = Fraction(25)  # where the stream does not tell its own
_RELAY = "take udp://127.0.0.1:5000 and relay it there, as srt-live-transmit srt://HOST:PORT udp://127.0.0.1:5000 does"

_SCHEMES = ("rtsp://", "rtsps://", "udp://", "rtp://", "tcp://", "srt://", "v4l2://", "csi://")


def is_stream(where: str) -> bool:
    """Whether an INPUT is live: a URL of a stream, a camera, or ``-`` for standard input."""
    return where == "-" or where.lower().startswith(_SCHEMES) or bool(re.fullmatch(r"/dev/video\d+(\?.*)?", where))


class LiveStream:
    """The newest frame of a stream, one after the other.

    A thread of its own connects, reads and decodes; a frame that nobody took before the next one came is dropped. A
    stream that is lost is opened again after a pause that grows to a second, until :meth:`close`. A thread that hangs,
    in a driver say, is left to itself, and another one takes its place. Time stamps count from the first frame and go
    on over such a gap. Standard input ends when it ends.

    Args:
        where: see :func:`is_stream`.
        selection: which frames are wanted; ``start`` is not for streams.
        threads: cores that the decoder may use.
        report: told where the frame size changes.
        transport: "tcp" or "udp", of RTSP.

    Raises:
        UsageError: ``selection`` begins later than at the first frame, no camera of such a kind or mode is there, or
            PyAV's FFmpeg does not have the protocol.
        RssegError: no frame came within 15 s.

    Attributes:
        monitor: what is known of the stream at any moment.
        video: what its frames are like.
        klv: what its KLV streams carry, as it comes; None where there was none at the first frame.
    """

    def __init__(
        self, where: str, selection: Selection, *, threads: int, report: Report, transport: str = "tcp"
    ) -> None:
        if selection.start:
            raise UsageError("--start is for files: a live stream begins now")
        self._camera = parse_camera(where) if where.startswith(("csi://", "v4l2://", "/dev/")) else None
        if where.startswith("csi://"):
            require_camera(where)
        self._gst: GstCamera | None = None
        self._pipe: StandardInput | None = None
        self._where, self._selection, self._threads, self._report = where, selection, threads, report
        self._transport = transport
        self.monitor = StreamMonitor(shown_name(where))
        self._changed = threading.Condition()
        self._newest: tuple[Any, float] | None = None
        self._stream: Any = None
        self.klv: KlvFeed | None = None
        self._generation = 0
        self._alive = time.monotonic()  # when the thread that reads last got anywhere
        self._ended = self._closed = self._unknown = False
        self._why = ""
        _STREAMS.add(self)
        self._read_on()
        first = self._take(FIRST)
        if first is None:
            self.close()
            if self._unknown:
                raise UsageError(f"{self.monitor.name}: {self._why}")
            raise RssegError(f"{self.monitor.name}: no frame within {FIRST:g} s ({self._why or 'nothing came'})")
        self._origin = first[1]
        stream: Any = self._stream
        rate = Fraction(stream.average_rate or stream.guessed_rate or RATE)
        self._pictures = Pictures(
            self.monitor.name, "live", None, stream, first[0], rate / selection.stride, TICK, report
        )
        self._waiting: tuple[Any, float] | None = first
        self.video: VideoFormat = self._pictures.video

    @property
    def expected(self) -> int | None:
        """Nobody knows how many frames will come, but for a limit that was asked for."""
        return self._selection.max_frames

    def frames(self) -> Iterator[Frame]:
        """See :class:`rsseg_edge.sources.base.Source`; waits for each frame, and ends with the stream."""
        chosen, last, taken = self._selection, -1, 0
        seen = 0
        while (item := self._waiting or self._take(None)) is not None:
            self._waiting = None
            picture, arrived = item
            pts = max(last + 1, round((arrived - self._origin) / TICK))
            if chosen.end is not None and pts * TICK >= chosen.end:
                return
            seen += 1
            if (seen - 1) % chosen.stride:
                continue
            last = pts
            yield self._pictures.frame(seen - 1, picture, pts, None, arrived=arrived)
            taken += 1
            if taken == chosen.max_frames:
                return

    def stop(self) -> None:
        """See :class:`rsseg_edge.sources.base.Source`; nothing comes after it."""
        self.close()

    def close(self) -> None:
        """Stop reading, at any time; whoever waits for a frame gets the end.

        The thread that reads ends with the next packet, or when its time for that is up: at the end of Python that is
        waited for.
        """
        with self._changed:
            self._closed = True
            self._generation += 1
            self._changed.notify_all()
            self._release()
        self.monitor.enter(State.ended)

    def join(self, deadline: float) -> None:
        """Wait until nothing reads any more, or the time is ``deadline`` by ``time.monotonic``."""
        self._reader.join(timeout=max(0.0, deadline - time.monotonic()))

    def _take(self, patience: float | None) -> tuple[Any, float] | None:
        """The newest frame and when it arrived; None where the stream ended, was closed, or ``patience`` did."""
        end = None if patience is None else time.monotonic() + patience
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._ended or self._closed, 0.25)
                if self._newest is not None and not self._closed:
                    item, self._newest = self._newest, None
                    return item
                if self._ended or self._closed:
                    return None
                hung = time.monotonic() - self._alive > HUNG
            if end is not None and time.monotonic() > end:
                return None
            if hung:
                self.monitor.enter(State.lost, f"reading hangs for {HUNG:g} s")
                self.monitor.restart(HUNG)
                self._read_on()

    def _read_on(self) -> None:
        """Begin to read on a new thread; an older one that still hangs somewhere is not listened to any more."""
        with self._changed:
            self._generation += 1
            self._alive = time.monotonic()
            mine = self._generation
            self._release()  # a camera has one reader
            self._reader = threading.Thread(target=self._read, args=(mine,), name="rsseg-stream", daemon=True)
            self._reader.start()

    def _read(self, mine: int) -> None:
        failures = 0
        while self._lives(mine):
            self.monitor.enter(State.connecting if not failures else State.lost, self._why)
            begin = time.monotonic()
            why = self._connect(mine)
            if not self._lives(mine):
                return
            self._why = why
            if self._where == "-" or self._unknown:
                break
            failures = 1 if time.monotonic() - begin > 10 else failures + 1
            self.monitor.enter(State.lost, self._why)
            with self._changed:
                self._changed.wait_for(lambda: self._closed, BACK_OFF[min(failures, len(BACK_OFF)) - 1])
        with self._changed:
            if self._generation == mine:
                self._ended = True
                self._changed.notify_all()

    def _connect(self, mine: int) -> str:
        """Decode until the stream breaks; the reason why it did."""
        import av

        try:
            with self._open() as container:
                if not container.streams.video:
                    return "there is no video in it"
                stream = container.streams.video[0]
                stream.codec_context.thread_count = self._threads
                stream.thread_type = "AUTO" if self._threads > 1 else "NONE"
                self._stream = self._stream or stream
                klv = [data for data in container.streams.data if data.name == "klv"]
                if klv and self.klv is None:
                    self.klv = KlvFeed(len(klv))
                for packet in container.demux(stream, *klv):
                    arrived = time.monotonic()
                    if not self._lives(mine):
                        return "closed"
                    if klv and packet.stream in klv:
                        if self.klv is not None and packet.size and (at := klv.index(packet.stream)) < self.klv.streams:
                            self.klv.add(PassingPiece(arrived, at, bytes(packet)))
                        continue
                    try:
                        pictures = packet.decode()
                    except av.error.InvalidDataError:
                        continue
                    for picture in pictures:
                        self._give(mine, picture, arrived)
            return "the stream ended" if self._gst is None else self._gst.why
        except av.error.ExitError:  # what PyAV makes of a time that is up
            return f"nothing came for {READ:g} s"
        except av.error.ProtocolNotFoundError:
            self._unknown = True
            scheme = self._where.partition("://")[0].lower()
            return f"PyAV's FFmpeg has no {scheme}://" + (f"; {_RELAY}" if scheme == "srt" else "")
        except (av.error.FFmpegError, OSError, RssegError) as error:
            return str(getattr(error, "strerror", None) or error)

    def _open(self) -> Any:
        import av

        where, timeout = self._where, (OPEN, READ)
        if where == "-":
            with self._changed:
                if self._closed:
                    raise OSError("closed")
                self._pipe = StandardInput(self._wait_in_pipe)
            return av.open(self._pipe)
        if self._camera is not None and where.startswith("csi://"):
            with self._changed:
                if self._closed:
                    raise OSError("closed")
                self._gst = GstCamera(camera_elements(self._camera))
                return self._gst
        if self._camera is not None:
            return open_v4l2(self._camera, timeout)
        options = {"fflags": "nobuffer", "flags": "low_delay", "analyzeduration": "500000", "fpsprobesize": "0"}
        if where.lower().startswith("rtsp"):
            options["rtsp_transport"] = self._transport
        return av.open(where, options=options, timeout=timeout)

    def _release(self) -> None:
        """End the camera's process or the reading of standard input, if there is one, with which its reader ends."""
        if self._gst is not None:
            self._gst.kill()
        if self._pipe is not None:
            self._pipe.end()

    def _wait_in_pipe(self, seconds: float) -> None:
        """A silent pipe does not hang, and is never opened anew."""
        with self._changed:
            self._alive = time.monotonic()
            if seconds > READ and not self._closed:
                self._why = f"nothing came for {READ:g} s"
                self.monitor.enter(State.lost, self._why)

    def _give(self, mine: int, picture: Any, arrived: float) -> None:
        with self._changed:
            if self._generation != mine or self._closed:
                return  # decoded by a thread that hung and was replaced meanwhile
            self.monitor.enter(State.streaming)
            self.monitor.receive()
            if self._newest is not None:
                self.monitor.drop(Dropped.newer)
            self._newest = (picture, arrived)
            self._changed.notify_all()

    def _lives(self, mine: int) -> bool:
        """Whether a thread is the one that reads, and if so, that it got somewhere."""
        with self._changed:
            current = self._generation == mine and not self._closed
            if current:
                self._alive = time.monotonic()
            return current


_STREAMS: weakref.WeakSet[LiveStream] = weakref.WeakSet()


@atexit.register
def _wait_for_readers() -> None:
    """Who waits in FFmpeg asks PyAV for the time, which asks Python, and up to 3.11 crashes where that has ended."""
    streams = list(_STREAMS)
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + OPEN + READ
    with contextlib.suppress(KeyboardInterrupt):
        for stream in streams:
            stream.join(deadline)

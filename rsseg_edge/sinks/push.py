"""The overlay sent to a receiver while it is made: MPEG-TS over UDP, or RTSP to a server that takes streams."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from rsseg_edge.errors import RssegError
from rsseg_edge.monitor import Dropped, State, StreamMonitor, shown_name
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.destination import Destination, Kind
from rsseg_edge.sinks.overlay_encoder import Draw, OverlayEncoder
from rsseg_edge.sinks.push_process import ConnectionLostError, PushProcess
from rsseg_edge.sinks.push_wire import TICK, Opening
from rsseg_edge.telemetry.klv_feed import KlvFeed
from rsseg_edge.types import Report, Result, VideoFormat

WAITING = 2  # frames that wait for the encoder: a receiver that is slower gets fewer, and none late
BACK_OFF = (0.1, 0.25, 0.5, 1.0)  # seconds before the next connection, the last one for ever
LAST_WORDS = 5.0  # seconds that the end of a run waits for a receiver
KEY_EVERY = 0.999  # seconds of the video from key frame to key frame, however few frames a slow network leaves
OLD_KLV = 1.0  # seconds: what was measured while nobody received is not sent later
SLOW = 0.2  # seconds that a frame of a file waits for one that is being encoded
LONGEST_PAUSE = 1.0  # seconds that a file's next frame is waited for; a longer gap in it is cut short


class OverlayPush(Sink):
    """Never holds the run up: it takes the newest frames on a thread of its own, and drops and counts the others. A
    receiver that is away is tried again, after pauses that grow to a second. A file is sent at its own speed, or slower
    where the encoder is.

    Args:
        destination: a transport stream or RTSP.
        video: what the input is like.
        draw: draws a segmentation over the planes given first into those given last.
        threads: cores that the encoder may use.
        say: told where the receiver goes and comes back.
        transport: of RTSP, "tcp" or "udp".
        megabits: most a second; None lets the picture decide.
        klv: of the input, passed on in a transport stream.

    Attributes:
        monitor: what is known of it at any moment; ``received`` are the frames that it was given.
    """

    def __init__(
        self,
        destination: Destination,
        video: VideoFormat,
        draw: Draw,
        *,
        threads: int,
        say: Report,
        transport: str = "tcp",
        megabits: float | None = None,
        klv: KlvFeed | None = None,
    ) -> None:
        self.monitor = StreamMonitor(shown_name(destination.where))
        self._video, self._draw, self._say = video, draw, say
        self._klv = klv if destination.kind is Kind.transport_stream else None
        self._opening = _opening(destination, video, transport, self._klv.streams if self._klv else 0)
        self._options = _options(threads, megabits)
        self._changed = threading.Condition()
        self._waiting: deque[Result] = deque()
        self._ending = self._dropped = False
        self._failed: Exception | None = None
        self._clock: float | None = None  # when the file's time 0 was, by time.monotonic
        self._next_klv = 0
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Begin to connect."""
        self._thread = threading.Thread(target=self._run, name="rsseg-push", daemon=True)
        self._thread.start()

    def write(self, result: Result) -> None:
        """Leave a frame for the thread that sends.

        Raises:
            RssegError: frames of this kind cannot be encoded.
        """
        if self._failed is not None:
            raise RssegError(f"{self.monitor.name}: {self._failed}")
        if self._video.path is not None:
            self._keep_pace(result.frame.time or 0.0)
        self.monitor.receive()
        with self._changed:
            if self._video.path is not None and self.monitor.state is State.streaming:
                self._changed.wait_for(lambda: len(self._waiting) < WAITING, SLOW)  # a file waits for a slow encoder
            if len(self._waiting) == WAITING:
                self._waiting.popleft()
                self.monitor.drop(Dropped.newer if self.monitor.state is State.streaming else Dropped.away)
            self._waiting.append(result)
            self._changed.notify_all()

    def close(self) -> None:
        """Send what waits and end the session.

        Raises:
            RssegError: the receiver was never reached.
        """
        self._end(drop=False)
        status = self.monitor.status()
        if status.received and not status.connections:
            raise RssegError(f"{status.name}: could not be reached ({status.why or 'it does not answer'})")

    def discard(self) -> None:
        """Send nothing more."""
        self._end(drop=True)

    def _end(self, *, drop: bool) -> None:
        with self._changed:
            self._ending, self._dropped = True, self._dropped or drop
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(LAST_WORDS)
            self._dropped = True
            self._thread.join(5)
            self._thread = None
        with self._changed:
            if self._waiting:
                self.monitor.drop(Dropped.away, len(self._waiting))
                self._waiting.clear()

    def _keep_pace(self, seconds: float) -> None:
        now = time.monotonic()
        if self._clock is None:
            self._clock = now - seconds
        ahead = self._clock + seconds - now
        if ahead > 0:
            time.sleep(min(ahead, LONGEST_PAUSE))
        if ahead > LONGEST_PAUSE or ahead < 0:
            self._clock = time.monotonic() - seconds  # a run that is too slow does not hurry afterwards

    def _run(self) -> None:
        failures = 0
        while (first := self._take()) is not None:
            begin = time.monotonic()
            try:
                self._connect(first)
                return
            except ConnectionLostError as error:
                if not self._ending and (not failures or self.monitor.state is State.streaming):
                    self._say(f"{self.monitor.name}: {error}; trying again")
                failures = 1 if time.monotonic() - begin > 10 else failures + 1
                self.monitor.enter(State.lost, str(error))
            except Exception as error:  # of the encoder: write() raises it in the run
                self._failed = error
                return
            with self._changed:
                self._changed.wait_for(lambda: self._ending, BACK_OFF[min(failures, len(BACK_OFF)) - 1])
                if self._ending:
                    return

    def _take(self) -> Result | None:
        """The next frame; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            self._changed.notify_all()
            return self._waiting.popleft() if self._waiting and not self._dropped else None

    def _connect(self, first: Result) -> None:
        """Send until the end.

        Raises:
            ConnectionLostError: it came early.
        """
        import av

        codec: Any = av.CodecContext.create("libx264", "w")
        encoder = OverlayEncoder(codec, self._video, self._draw, self._options)
        self._key_at = float("inf")  # the first frame is one
        process = PushProcess(self._opening, lambda: self._dropped)
        try:
            result: Result | None = first
            while result is not None:
                try:
                    self._send(process, encoder, result)
                    if result is first:
                        process.wait()
                        self.monitor.enter(State.streaming)
                        if self.monitor.status().connections > 1:
                            self._say(f"{self.monitor.name}: it is back")
                except ConnectionLostError:
                    self.monitor.drop(Dropped.away)
                    raise
                self.monitor.show(result.frame.arrived, time.monotonic())
                last, result = result, self._take()
            if not self._dropped:
                self._send_klv(process, last, until=float(1 / self._video.rate))
            self.monitor.enter(State.ended)
            process.close()
        finally:
            process.kill()

    def _send(self, process: PushProcess, encoder: OverlayEncoder, result: Result) -> None:
        self._send_klv(process, result)
        seconds = result.frame.time or 0.0
        key = not self._key_at <= seconds < self._key_at + KEY_EVERY
        if key:
            self._key_at = seconds
        for packet in encoder.encode(result, key=key):
            stamp = round(packet.pts * packet.time_base / TICK)
            lasts = round((packet.duration or 0) * packet.time_base / TICK)
            process.send(0, bytes(packet), stamp, lasts, key=packet.is_keyframe)

    def _send_klv(self, process: PushProcess, result: Result, until: float = 0.0) -> None:
        """What was measured before a frame, or until some seconds after it."""
        if self._klv is None:
            return
        frame = result.frame
        seconds = frame.time or 0.0
        now = frame.arrived if frame.arrived is not None else seconds
        pieces, self._next_klv = self._klv.take(self._next_klv, now + until)
        for piece in pieces:
            if now - piece.time <= OLD_KLV:
                process.send(1 + piece.stream, piece.data, round((seconds + piece.time - now) / TICK))


def _opening(destination: Destination, video: VideoFormat, transport: str, klv: int) -> Opening:
    url, options = destination.where, {"flush_packets": "1"}
    if destination.kind is Kind.rtsp:
        format, options["rtsp_transport"] = "rtsp", transport
    else:
        format = "mpegts"
        options["max_interleave_delta"] = "1"  # a picture does not wait for KLV that is to come
        if "pkt_size=" not in url:
            url += ("&" if "?" in url else "?") + "pkt_size=1316"  # seven whole packets of a transport stream
    size = (video.width + video.width % 2, video.height + video.height % 2)
    return Opening(url, format, *size, (video.rate.numerator, video.rate.denominator), klv, options)


def _options(threads: int, megabits: float | None) -> Mapping[str, str]:
    """Of the encoder: no picture waits for another, and key frames are those that are asked for, by the clock."""
    options = {"tune": "zerolatency", "crf": "23", "g": "100000", "forced-idr": "1", "threads": str(threads)}
    if megabits is not None:
        options |= {"maxrate": str(round(megabits * 1e6)), "bufsize": str(round(megabits * 5e5))}
    return options

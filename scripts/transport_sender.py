"""A camera for the checks of live streams: an MPEG transport stream over UDP to this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np

from rsseg_edge.types import UInt8Array

DATAGRAM = 7 * 188


class TransportSender(threading.Thread):
    """Sends pictures at a steady rate until it is stopped; while it is paused nothing comes, as from a lost camera.

    Args:
        picture: the picture of a number, uint8 [H, W] grey or [H, W, 3] RGB, all of one size.
        rate: pictures a second.
        port: where to.

    Attributes:
        sent: when each picture was given to the encoder, by ``time.monotonic``.
        paused: set by whoever wants a pause.
    """

    def __init__(self, picture: Callable[[int], UInt8Array], rate: int, port: int) -> None:
        super().__init__(daemon=True)
        self._picture, self._rate, self._address = picture, rate, ("127.0.0.1", port)
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._waiting = b""
        self._end = threading.Event()
        self.sent: list[float] = []
        self.paused = False

    def run(self) -> None:
        """Encode and send."""
        first = self._picture(0)
        output: Any = av.open(self, "w", format="mpegts", options={"flush_packets": "1"})
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(self._rate // 2)}
        stream = output.add_stream("libx264", rate=self._rate, options=options)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        begin = time.monotonic()
        while not self._end.wait(max(0.0, begin + len(self.sent) / self._rate - time.monotonic())):
            image = self._picture(len(self.sent))
            if image.ndim == 2:
                image = np.repeat(image[..., None], 3, axis=2)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = len(self.sent), Fraction(1, self._rate)
            self.sent.append(time.monotonic())
            output.mux(stream.encode(frame))

    def write(self, data: bytes) -> int:
        """What the muxer writes, in datagrams of whole packets; for PyAV."""
        data = self._waiting + bytes(data)
        whole = len(data) // 188 * 188
        for at in range(0, whole, DATAGRAM):
            if not self.paused:
                self._socket.sendto(data[at : min(at + DATAGRAM, whole)], self._address)
        self._waiting = data[whole:]
        return len(data)

    def stop(self) -> None:
        """Send nothing more."""
        self._end.set()
        self.join()
        self._socket.close()

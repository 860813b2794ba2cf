"""A live stream before a network that takes a third of its frames, as JSON: how old is what is shown?

A transport stream over UDP; each frame shows its number. So the age is measured twice: from the arrival of a frame, as
rsseg-run prints it, and from the moment at which the sender gave that very frame to its encoder.
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time

import cv2
import numpy as np
from loopback import free_port
from numbered_frames import SIDE, Squares, number, picture
from transport_sender import TransportSender

from rsseg_edge.flow import Flow
from rsseg_edge.pipeline import Pipeline
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.stream import LiveStream
from rsseg_edge.types import Result, UInt8Array


class Slow(Squares):
    """Takes its time.

    Args:
        seconds: for a frame.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def infer(self, prepared: UInt8Array) -> UInt8Array:
        time.sleep(self._seconds)
        return prepared


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=int, default=30, help="frames a second of the stream")
    parser.add_argument("--slower", type=float, default=3, help="the network takes one of so many frames")
    parser.add_argument("--max-lag", type=float, default=1.0)
    options = parser.parse_args()
    port = free_port(socket.SOCK_DGRAM)
    sender = TransportSender(picture, options.rate, port)
    sender.start()
    stream = LiveStream(f"udp://127.0.0.1:{port}", Selection(end=options.seconds), threads=1, report=print)
    flow = Flow((stream.monitor,), live=True, max_lag=options.max_lag)
    ages: list[float] = []
    numbers: list[int] = []

    def shown(result: Result) -> None:
        grey = cv2.cvtColor(result.frame.image, cv2.COLOR_RGB2GRAY)[:SIDE, :SIDE]
        numbers.append(number(grey, 128))
        ages.append(time.monotonic() - sender.sent[numbers[-1]])

    begin = time.monotonic()
    pipeline = Pipeline(stream.frames(), Slow(options.slower / options.rate), [], flow)
    timer = threading.Timer(options.seconds + 30, pipeline.stop)  # a stream that stops must not hang the check
    timer.start()
    pipeline.run(shown)
    timer.cancel()
    seconds = time.monotonic() - begin
    stream.close()
    sender.stop()
    status, measured = stream.monitor.status(), stream.monitor.ages
    half = len(ages) // 2
    told = {
        "sent_a_second": options.rate,
        "shown_a_second": round(len(ages) / seconds, 2),
        "received": status.received,
        "shown": status.shown,
        "dropped": dict(status.dropped),
        "on_the_way_at_the_end": status.received - status.shown - sum(status.dropped.values()),
        "out_of_order_or_repeated": int((np.diff(numbers) < 1).sum()),
        "age_since_arrival_s": {"median": round(measured.quantile(0.5), 3), "largest": round(measured.largest, 3)},
        "age_since_sent_s": {"median": round(float(np.median(ages)), 3), "largest": round(max(ages), 3)},
        "median_age_since_sent_by_half_s": [round(float(np.median(part)), 3) for part in (ages[:half], ages[half:])],
    }
    print(json.dumps(told))
    if measured.largest > options.max_lag:
        raise SystemExit("a frame older than --max-lag was shown")


if __name__ == "__main__":
    main()

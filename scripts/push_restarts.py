"""The overlay pushed to an RTSP server that is killed and started again at random moments, as JSON.

Tells how long each return took from the moment at which the server listened, how long the run was held up at most, and
what was dropped. The server is that of rtsp_server.py, which names the packages that it needs.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from loopback import free_port
from numbered_frames import SIDE, Squares, picture
from rtsp_server import serve_receiver, url

from rsseg_edge.monitor import State
from rsseg_edge.postprocess.drawing import Drawing
from rsseg_edge.sinks.destination import parse_destination
from rsseg_edge.sinks.push import OverlayPush
from rsseg_edge.types import Frame, Result, VideoFormat

RATE, SCALE = 30, 5  # frames a second; the side of a frame is so many times that of a number's picture


class Camera(threading.Thread):
    """Gives the sink frames at a steady rate, and keeps the longest that it was held up, in seconds."""

    def __init__(self, sink: OverlayPush, video: VideoFormat) -> None:
        super().__init__(daemon=True)
        self._sink, self._video = sink, video
        self.end = threading.Event()
        self.longest = 0.0

    def run(self) -> None:
        """Until the end."""
        network, count, begin = Squares(), 0, time.monotonic()
        chroma = np.full((SIDE * SCALE // 2,) * 2, 128, np.uint8)
        while not self.end.wait(max(0.0, begin + count / RATE - time.monotonic())):
            grey = np.kron(picture(count), np.ones((SCALE, SCALE), np.uint8))
            image = np.repeat(grey[..., None], 3, axis=2)
            stamp = round((time.monotonic() - begin) / self._video.time_base)
            frame = Frame(image, count, "camera", stamp, self._video.time_base, None, (grey, chroma, chroma))
            segmentation = network(image)
            result = Result(replace(frame, arrived=time.monotonic()), segmentation, segmentation.pixel_counts())
            before = time.monotonic()
            self._sink.write(result)
            self.longest = max(self.longest, time.monotonic() - before)
            count += 1


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    chance, port = random.Random(options.seed), free_port()
    side = SIDE * SCALE
    video = VideoFormat(None, side, side, Fraction(RATE), Fraction(1, 90_000))
    draw, where = Drawing(None, 0.5).on_video(video), parse_destination(url(port))
    sink = OverlayPush(where, video, draw, threads=1, say=lambda line: None, transport=options.transport)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{at}.h264" for at in range(options.restarts + 1)]
        server = serve_receiver(port, files[0])
        sink.open()
        camera = Camera(sink, video)
        camera.start()
        gaps: list[float] = []
        for file in files[1:]:
            time.sleep(chance.uniform(1.5, 4))
            server.kill()
            server.wait()
            time.sleep(chance.uniform(0.2, 2.5))
            connections = sink.monitor.status().connections
            server = serve_receiver(port, file)
            begin = time.monotonic()
            while time.monotonic() < begin + 30 and sink.monitor.status().connections == connections:
                time.sleep(0.01)
            gaps.append(round(time.monotonic() - begin, 2))
        wanted = sink.monitor.state is State.streaming
        time.sleep(1.5)
        camera.end.set()
        camera.join()
        sink.close()
        server.kill()
        server.wait()
        pictures = [frames_in(file) for file in files]
    status, ages = sink.monitor.status(), sink.monitor.ages
    told = {
        "transport": options.transport,
        "seconds_until_back": gaps,
        "within_3_s": sum(gap <= 3 for gap in gaps),
        "streaming_at_the_end": wanted,
        "longest_write_s": round(camera.longest, 3),
        "age_when_sent_s": {"median": round(ages.quantile(0.5), 4), "largest": round(ages.largest, 4)},
        "given": status.received,
        "sent": status.shown,
        "dropped": dict(status.dropped),
        "received_by_each_server": pictures,
    }
    print(json.dumps(told))


def frames_in(file: Path) -> int:
    """Pictures that a server got and that can be decoded."""
    if not file.exists() or not file.stat().st_size:
        return 0
    with av.open(str(file), format="h264") as container:
        return sum(1 for _ in container.decode(video=0))


if __name__ == "__main__":
    main()

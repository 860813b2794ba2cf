"""A live stream from an RTSP server on this machine that is killed and started again at random moments, as JSON.

Tells how long each return took from the moment at which the server listened, the age of what was shown, and memory.
The server is that of rtsp_server.py, which names the packages that it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import threading
import time
from pathlib import Path

from loopback import free_port
from numbered_frames import Squares
from rtsp_server import serve_camera, url

from rsseg_edge.flow import Flow
from rsseg_edge.pipeline import Pipeline
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.stream import LiveStream
from rsseg_edge.types import Result


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp")
    parser.add_argument("--max-lag", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    port = free_port()
    chance, server = random.Random(options.seed), serve_camera(port)
    stream = LiveStream(url(port), Selection(), threads=1, report=print, transport=options.transport)
    arrivals: list[float] = []
    flow = Flow((stream.monitor,), live=True, max_lag=options.max_lag)
    pipeline = Pipeline(stream.frames(), Squares(), [], flow)

    def shown(result: Result) -> None:
        arrivals.append(result.frame.arrived or 0.0)

    thread = threading.Thread(target=lambda: pipeline.run(shown))
    thread.start()
    gaps, memory = [], [resident()]
    for _ in range(options.restarts):
        time.sleep(chance.uniform(1.5, 4))
        server.kill()
        server.wait()
        time.sleep(chance.uniform(0, 2.5))
        server = serve_camera(port)
        begin = time.monotonic()
        while time.monotonic() < begin + 30 and not (arrivals and arrivals[-1] > begin):
            time.sleep(0.01)
        gaps.append(round(time.monotonic() - begin, 2))
        memory.append(round(resident(), 1))
    pipeline.stop()
    stream.close()
    thread.join(10)
    server.kill()
    status, ages = stream.monitor.status(), stream.monitor.ages
    told = {
        "transport": options.transport,
        "seconds_until_back": gaps,
        "within_3_s": sum(gap <= 3 for gap in gaps),
        "age_s": {"median": round(ages.quantile(0.5), 4), "largest": round(ages.largest, 4)},
        "resident_mib": memory,
        "shown": status.shown,
        "dropped": dict(status.dropped),
        "connections": status.connections,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()

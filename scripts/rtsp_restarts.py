"""A live stream from an RTSP server on this machine that is killed and started again at random moments, as JSON.

Tells how long each return took from the moment at which the server listened, the age of what was shown, and memory.
The server is GStreamer's, run by the system's Python: apt install python3-gi gir1.2-gst-rtsp-server-1.0
gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import threading
import time
from pathlib import Path

from numbered_frames import Squares

from rsseg_edge.flow import Flow
from rsseg_edge.pipeline import Pipeline
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.stream import LiveStream
from rsseg_edge.types import Result

PYTHON = "/usr/bin/python3"
SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
factory.set_shared(True)
factory.set_launch("( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=30/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 config-interval=1 )")
server.get_mount_points().add_factory("/cam", factory); server.attach(None); GLib.MainLoop().run()
"""


def serve(port: int) -> subprocess.Popen[bytes]:
    """A server that listens."""
    server = subprocess.Popen([PYTHON, "-c", SERVER, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
            return server
        except OSError:
            time.sleep(0.01)
    raise SystemExit("the RTSP server does not start; see --help for its packages")


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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chance, server = random.Random(options.seed), serve(port)
    stream = LiveStream(
        f"rtsp://127.0.0.1:{port}/cam", Selection(), threads=1, report=print, transport=options.transport
    )
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
        server = serve(port)
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

"""GStreamer's RTSP server on this machine, run by the system's Python: a camera, or a receiver of what is pushed."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from loopback import is_listening

PYTHON = "/usr/bin/python3"  # Debian's: GStreamer's bindings are none of PyPI's
PACKAGES = (
    "python3-gi gir1.2-gst-rtsp-server-1.0 "
    "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly"
)
MISSING = f"GStreamer's RTSP server is not installed (apt install {PACKAGES})"
PATH = "/cam"
_IMPORT = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
"""
_SERVER = f"""{_IMPORT}
port, launch, mode = sys.argv[1:]
Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_address("127.0.0.1"); server.set_service(port)
factory.set_transport_mode(getattr(GstRtspServer.RTSPTransportMode, mode)); factory.set_shared(mode == "PLAY")
factory.set_launch(launch)
server.get_mount_points().add_factory("{PATH}", factory); server.attach(None); GLib.MainLoop().run()
"""
_CAMERA = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=30/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
_RECEIVER = (
    "( rtph264depay name=depay0 ! video/x-h264,stream-format=byte-stream,alignment=au ! "
    "filesink buffer-mode=2 location={} )"
)


def has_server() -> bool:
    """Whether one can be started here."""
    if not Path(PYTHON).exists():
        return False
    return subprocess.run([PYTHON, "-c", _IMPORT], capture_output=True, check=False).returncode == 0


def serve_camera(port: int) -> subprocess.Popen[bytes]:
    """A server that listens and gives 30 frames of a moving ball a second."""
    return _serve(port, _CAMERA, "PLAY")


def serve_receiver(port: int, target: Path) -> subprocess.Popen[bytes]:
    """A server that listens and writes the H.264 that it gets into a file."""
    return _serve(port, _RECEIVER.format(target), "RECORD")


def url(port: int) -> str:
    """Of what a server there gives or takes."""
    return f"rtsp://127.0.0.1:{port}{PATH}"


def _serve(port: int, launch: str, mode: str) -> subprocess.Popen[bytes]:
    command = [PYTHON, "-c", _SERVER, str(port), launch, mode]
    try:
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise SystemExit(f"error: {MISSING}") from None
    while server.poll() is None:
        if is_listening(port):
            return server
        time.sleep(0.01)
    raise SystemExit(f"error: the RTSP server does not start; it is of {PACKAGES}")

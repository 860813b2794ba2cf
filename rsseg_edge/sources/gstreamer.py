"""A camera on a CSI port, read by GStreamer in a process of its own.

OpenCV's and PyAV's wheels hold no GStreamer, and the camera's element comes with the board's system. ``gst-launch-1.0``
gives pictures through a pipe as YUV4MPEG2, which names their size and rate. A driver that hangs or crashes takes that
process with it and not the run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.sources.camera import CameraRequest

LAUNCH, INSPECT = "gst-launch-1.0", "gst-inspect-1.0"
CAMERA = "nvarguscamerasrc"  # of NVIDIA's JetPack
SIZE, RATE = (1280, 720), 30  # a mode that every sensor of the boards has
PIPE = 1 << 20  # bytes that the pipe holds: Linux's limit for everyone; a picture of 720p is 1.4 million


def require_camera(where: str) -> None:
    """See that this machine can read a CSI camera.

    Raises:
        UsageError: GStreamer is not there, or has no element for it; the message names the way out.
    """
    pipe = f"{LAUNCH} -q SOURCE ! videoconvert ! video/x-raw,format=I420 ! y4menc ! fdsink | rsseg-run - --latest"
    if shutil.which(LAUNCH) is None or shutil.which(INSPECT) is None:
        raise UsageError(f"{where}: CSI cameras are read through {LAUNCH}; apt install gstreamer1.0-tools")
    for element, comes_with in ((CAMERA, "NVIDIA's JetPack"), ("y4menc", "gstreamer1.0-plugins-good")):
        if subprocess.run([INSPECT, "--exists", element], capture_output=True, check=False).returncode:
            raise UsageError(
                f"{where}: GStreamer has no {element}, which comes with {comes_with}; for a camera of another kind, "
                f"pipe it in: {pipe}"
            )


def camera_elements(camera: CameraRequest) -> list[str]:
    """What of the pipeline is the camera's: pictures in I420, in the memory of the CPU."""
    width, height = camera.size or SIZE
    mode = f"video/x-raw(memory:NVMM),width={width},height={height},framerate={camera.rate or RATE}/1"
    return [CAMERA, f"sensor-id={camera.device}", "!", mode, "!", "nvvidconv", "!", "video/x-raw,format=I420"]


class GstCamera:
    """A running camera. A context manager that gives FFmpeg's container of what it sends.

    Args:
        elements: see :func:`camera_elements`.
    """

    def __init__(self, elements: Sequence[str]) -> None:
        out, into = os.pipe()
        _widen(into)
        # At most one picture waits: what is older than that only adds to the age of what is shown. Not through stdout,
        # where the camera's element writes lines of its own.
        tail = ["queue", "max-size-buffers=1", "leaky=downstream", "!", "y4menc", "!", "fdsink", f"fd={into}"]
        command = [LAUNCH, "-q", *elements, "!", *tail]
        self._file = os.fdopen(out, "rb", buffering=0)
        try:
            # A session of its own, so that Ctrl-C ends the run in its order and not the camera under it.
            self._process = subprocess.Popen(
                command, pass_fds=[into], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError:
            self._file.close()
            raise
        finally:
            os.close(into)
        self._said: deque[str] = deque(maxlen=20)
        self._listener = threading.Thread(target=self._listen, name="rsseg-gstreamer", daemon=True)
        self._listener.start()

    def __enter__(self) -> Any:
        import av

        try:
            options = {"fflags": "nobuffer", "analyzeduration": "0", "probesize": "32"}
            self._container = av.open(self._file, format="yuv4mpegpipe", options=options, buffer_size=PIPE)
        except av.error.FFmpegError:
            self._end()
            raise RssegError(self.why) from None
        return self._container

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._container.close()
        self._end()

    def kill(self) -> None:
        """End the camera's process, so that whoever reads gets the end; from any thread, at any time."""
        self._process.kill()

    @property
    def why(self) -> str:
        """GStreamer's own words for what went wrong."""
        said = [line for line in self._said if line.startswith(("ERROR", "WARNING"))] or list(self._said)
        return said[0].partition(": ")[2] or said[0] if said else "the camera's process ended"

    def _end(self) -> None:
        self.kill()
        self._process.wait()
        self._listener.join(timeout=2)
        self._file.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._said.append(line.decode("utf-8", "replace").strip())


def _widen(pipe: int) -> None:
    """Fewer changes between the processes; where that is not to be had, the pipe works as it is."""
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)

"""Cameras of this machine: what an INPUT asks of one, and V4L2 through FFmpeg."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from rsseg_edge.errors import UsageError

V4L2 = re.compile(r"(v4l2://)?(/dev/[^?]+)(?:\?(.*))?")
CSI = re.compile(r"csi://(\d+)/?(?:\?(.*))?")


@dataclass(frozen=True)
class CameraRequest:
    """A camera and its mode.

    Attributes:
        device: a path of V4L2, or the number of a CSI sensor.
        size: width and height in pixels; None takes the driver's.
        rate: frames a second; None takes the driver's.
        format: of V4L2, what the camera sends: mjpeg, yuyv422, h264; None takes FFmpeg's first choice.
    """

    device: str
    size: tuple[int, int] | None = None
    rate: int | None = None
    format: str | None = None


def parse_camera(where: str) -> CameraRequest:
    """``/dev/video0``, ``v4l2:///dev/video0`` or ``csi://0``, with ``?size=1280x720&rate=30&format=mjpeg`` or without.

    Raises:
        UsageError: it names no camera, or a mode that is none.
    """
    allowed: tuple[str, ...]
    csi, v4l2 = CSI.fullmatch(where), V4L2.fullmatch(where)
    if csi is not None:
        device, query, allowed = csi[1], csi[2], ("size", "rate")
    elif v4l2 is not None:
        device, query, allowed = v4l2[2], v4l2[3], ("size", "rate", "format")
    else:
        raise UsageError(f"{where}: a camera is /dev/video0, v4l2:///dev/video0 or csi://0")
    given = dict(parse_qsl(query or "", keep_blank_values=True))
    for name in given:
        if name not in allowed:
            raise UsageError(f"{where}: a camera has no '{name}'; it takes {', '.join(allowed)}")
    size = re.fullmatch(r"(\d+)x(\d+)", given.get("size", "1x1"))
    rate, kind = given.get("rate", "1"), given.get("format", "mjpeg")
    if size is None or not re.fullmatch(r"[1-9]\d*", rate) or not re.fullmatch(r"\w+", kind):
        raise UsageError(f"{where}: a mode is, for instance, ?size=1280x720&rate=30")
    return CameraRequest(
        device,
        (int(size[1]), int(size[2])) if "size" in given else None,
        int(rate) if "rate" in given else None,
        kind if "format" in given else None,
    )


def open_v4l2(camera: CameraRequest, timeout: tuple[float, float]) -> Any:
    """FFmpeg's container of a camera, with seconds until opening and reading are given up."""
    import av

    options = {}
    if camera.size is not None:
        options["video_size"] = "{}x{}".format(*camera.size)
    if camera.rate is not None:
        options["framerate"] = str(camera.rate)
    if camera.format is not None:
        options["input_format"] = camera.format
    return av.open(camera.device, format="v4l2", options=options, timeout=timeout)

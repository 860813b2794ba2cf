"""Where an overlay video goes, by its URI."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from rsseg_edge.errors import UsageError
from rsseg_edge.sinks.overlay_video import FORMATS

EXAMPLES = "FILE.mp4, FILE.mkv, udp://HOST:PORT, rtsp://HOST:PORT/PATH or live://[HOST]:PORT"

RELAY = "send udp://127.0.0.1:5001 and relay it, as srt-live-transmit udp://:5001 srt://{} does"


class Kind(str, Enum):
    """Of a destination."""

    file = "file"
    transport_stream = "MPEG-TS"
    rtsp = "RTSP"
    page = "page"


KINDS = {"udp": Kind.transport_stream, "rtsp": Kind.rtsp, "rtsps": Kind.rtsp, "live": Kind.page}


@dataclass(frozen=True)
class Destination:
    """One place.

    Attributes:
        kind: what it takes.
        where: a path or a URL; of a page, ``[HOST]:PORT``.
    """

    kind: Kind
    where: str

    @property
    def path(self) -> Path:
        """Of a file."""
        return Path(self.where)


def parse_destination(uri: str) -> Destination:
    """A path that ends in .mp4 or .mkv (``file://`` too), ``udp://``, ``rtsp://``, ``rtsps://`` or ``live://``.

    Raises:
        UsageError: nothing that is known, or a part of it is missing.
    """
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.lower()
    if not separator or scheme == "file":
        path = Path(rest if separator else uri)
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"--to {uri}: {EXAMPLES}")
        return Destination(Kind.file, str(path))
    kind = KINDS.get(scheme)
    if scheme == "srt":
        raise UsageError(f"--to {uri}: PyAV's FFmpeg has no srt://; {RELAY.format(rest or 'HOST:PORT')}")
    if kind is None:
        raise UsageError(f"--to {uri}: nothing is sent by {scheme}://; {EXAMPLES}")
    if kind is Kind.page:
        return Destination(kind, rest)
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number, or brackets that do not close
        host, port = None, None
    if not host or not (port or kind is Kind.rtsp):
        raise UsageError(f"--to {uri}: host and port are missing; {EXAMPLES}")
    if kind is Kind.rtsp and parts.path in ("", "/"):
        raise UsageError(f"--to {uri}: the path that the server knows the stream by is missing; {EXAMPLES}")
    return Destination(kind, uri)

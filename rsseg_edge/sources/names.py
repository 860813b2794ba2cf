"""What inputs are called: kinds that go together in a run, and a name for the results of each."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from rsseg_edge.sources.images import SUFFIXES
from rsseg_edge.sources.stream import is_stream


class Kind(str, Enum):
    """Of an input, told without opening it."""

    stills = "still images"
    video = "videos and live streams"


def kind_of(where: str) -> Kind:
    """Whether an input holds still images or moves; what is not there counts as a video, which then says so."""
    path = Path(where)
    if is_stream(where):
        return Kind.video
    if path.is_dir() or path.suffix.lower() in SUFFIXES or (glob.has_magic(where) and not path.exists()):
        return Kind.stills
    return Kind.video


def stream_name(where: str) -> str:
    """Of an input, fit for a folder, without user and password.

    >>> [stream_name(where) for where in ("a/flight.mp4", "rtsp://me:pw@10.0.0.5:554/cam1", "/dev/video0", "csi://1")]
    ['flight', '10.0.0.5-554-cam1', 'video0', 'csi1']
    """
    if where == "-":
        return "stdin"
    if is_stream(where):
        where = where.partition("?")[0].removeprefix("v4l2://")
    if "://" not in where:
        return Path(where).stem or "input"
    url = urlsplit(where)
    if url.scheme == "csi":
        return f"csi{url.netloc}"
    text = f"{url.netloc.rpartition('@')[2]}{url.path}"
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or url.scheme


def distinct_names(inputs: Sequence[str]) -> list[str]:
    """:func:`stream_name` of each, numbered where it clashes with one before.

    >>> distinct_names(["a/1.mp4", "b/1.mp4", "1-2.mp4", "c/1.mkv"])
    ['1', '1-3', '1-2', '1-4']
    """
    names = [stream_name(where) for where in inputs]
    taken = {name.lower() for name in names}  # some file systems do not tell cases apart
    found: list[str] = []
    for name in names:
        number, chosen = 1, name
        while chosen.lower() in {other.lower() for other in found} or (number > 1 and chosen.lower() in taken):
            number += 1
            chosen = f"{name}-{number}"
        found.append(chosen)
    return found

"""What a run says to the process that pushes: a line of JSON, then packets, each with a head of fixed size."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction

TICK = Fraction(1, 90_000)  # of all time stamps, seconds
HEAD = struct.Struct("<BBqqI")
"""Stream (0 the video, then KLV), whether it is a key frame, time stamp and duration in ticks, bytes that follow."""
CONNECTED = b"+"  # what the process answers once the first frame is on its way


@dataclass(frozen=True)
class Opening:
    """The first line.

    Attributes:
        url: where to.
        format: FFmpeg's name of the container or protocol.
        width: of the video, pixels.
        height: of the video, pixels.
        rate: frames a second, as numerator and denominator.
        klv: how many streams of KLV go beside it.
        options: of the muxer.
    """

    url: str
    format: str
    width: int
    height: int
    rate: tuple[int, int]
    klv: int = 0
    options: dict[str, str] = field(default_factory=dict)

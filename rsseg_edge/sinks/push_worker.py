"""The far end of :mod:`rsseg_edge.sinks.push_process`: packets from standard input to a URL, in a process of its own.

FFmpeg connects, and ends a session, in calls that cannot be interrupted and during which PyAV lets no other Python
thread run. A server that does not answer would stop the run; this process can be killed instead.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from typing import Any, BinaryIO

from rsseg_edge.sinks.push_wire import CONNECTED, HEAD, TICK, Opening


def main() -> int:
    """Read the opening line, then packets until the end of the input; 1 and a line on stderr where sending fails."""
    import av

    given = sys.stdin.buffer
    try:
        _send(Opening(**json.loads(given.readline())), given)
    except (av.error.FFmpegError, OSError) as error:
        print(getattr(error, "strerror", None) or error, file=sys.stderr)
        return 1
    return 0


def _send(opening: Opening, given: BinaryIO) -> None:
    import av

    output: Any = av.open(opening.url, "w", format=opening.format, options=opening.options)
    streams = [output.add_mux_stream("h264", rate=Fraction(*opening.rate), width=opening.width, height=opening.height)]
    streams += [output.add_data_stream("klv") for _ in range(opening.klv)]
    told = False
    while len(head := given.read(HEAD.size)) == HEAD.size:
        at, key, pts, duration, size = HEAD.unpack(head)
        packet = av.Packet(given.read(size))
        packet.stream = streams[at]
        packet.time_base, packet.pts, packet.dts, packet.duration = TICK, pts, pts, duration
        packet.is_keyframe = bool(key)
        output.mux(packet)
        if not told and at == 0:
            sys.stdout.buffer.write(CONNECTED)
            sys.stdout.buffer.flush()
            told = True
    output.close()

"""KLV of a live transport stream is kept for outputs that pass it on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import av
import pytest
from loopback import free_port

from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.stream import LiveStream


def with_klv(video: Path, path: Path) -> list[bytes]:
    """The video as a transport stream with a packet of KLV beside each frame, which are given back."""
    given = []
    with av.open(str(video)) as source, av.open(str(path), "w", format="mpegts") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        data = output.add_data_stream("klv")
        for packet in source.demux(video=0):
            if packet.dts is None:
                continue
            klv = av.Packet(b"\x06\x0e\x2b\x34" + len(given).to_bytes(2, "big") * 9)
            klv.time_base, klv.stream = Fraction(1, 90_000), data
            klv.pts = klv.dts = round(packet.dts * packet.time_base * 90_000) + 90_000
            packet.stream = stream
            output.mux(packet)
            output.mux(klv)
            given.append(bytes(klv))
    return given


def test_klv_arrives_beside_the_pictures(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    given = with_klv(write_video(tmp_path / "a.mp4", stamps=range(50)), tmp_path / "a.ts")
    stream = (tmp_path / "a.ts").read_bytes()
    pieces = [stream[at : at + 1316] for at in range(0, len(stream), 1316)]
    port = free_port(socket.SOCK_DGRAM)
    ended = threading.Event()

    def send() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as out:
            for piece in cycle(pieces):  # again and again, as a camera would go on
                if ended.wait(0.01):
                    return
                out.sendto(piece, ("127.0.0.1", port))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        live = LiveStream(f"udp://127.0.0.1:{port}", Selection(max_frames=40), threads=1, report=pytest.fail)
        frames = list(live.frames())
        live.close()
    finally:
        ended.set()
        sender.join()
    assert live.klv is not None
    assert live.klv.streams == 1
    arrived = [frame.arrived for frame in frames if frame.arrived is not None]
    found, _ = live.klv.take(0, arrived[-1])
    assert len(found) >= 20
    assert {piece.data for piece in found} <= set(given)
    assert arrived[0] - 1 < found[-1].time <= arrived[-1]

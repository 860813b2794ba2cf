"""The overlay sent to real receivers on the loopback: there, away, silent, stopped, and back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from loopback import free_port
from rtsp_server import MISSING, has_server, serve_receiver, url

from rsseg_edge.errors import RssegError
from rsseg_edge.monitor import State
from rsseg_edge.postprocess.drawing import Drawing
from rsseg_edge.sinks import push_process
from rsseg_edge.sinks.destination import parse_destination
from rsseg_edge.sinks.push import OverlayPush
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.video import VideoFile
from rsseg_edge.telemetry.klv_feed import KlvFeed, PassingPiece
from rsseg_edge.types import ClassTable, Result, Segmentation, VideoFormat

TABLE = ClassTable(("left", "right"), ((220, 30, 30), (30, 30, 220)))
Results = tuple[VideoFormat, list[Result]]


@pytest.fixture
def results(tmp_path: Path, write_video: Callable[..., Path]) -> Results:
    """60 frames, 25 a second, and what a live stream of them would be like."""
    video = VideoFile(write_video(tmp_path / "a.mp4", stamps=range(60)), Selection(), threads=1, report=pytest.fail)
    found = []
    for frame in video.frames():
        class_map = np.zeros(frame.image.shape[:2], np.uint8)
        found.append(Result(frame, Segmentation(class_map, class_map, TABLE), np.zeros(2, np.int64)))
    return replace(video.video, path=None), found


def sink_for(uri: str, video: VideoFormat, **more: object) -> OverlayPush:
    draw = Drawing(None, 0.5).on_video(video)
    return OverlayPush(parse_destination(uri), video, draw, threads=1, say=lambda line: None, **more)  # type: ignore[arg-type]


def now(result: Result) -> Result:
    return replace(result, frame=replace(result.frame, arrived=time.monotonic()))


def wait_for(state: State, sink: OverlayPush, patience: float = 20) -> None:
    end = time.monotonic() + patience
    while sink.monitor.state is not state:
        assert time.monotonic() < end, f"{sink.monitor.status()}"
        time.sleep(0.01)


def send(sink: OverlayPush, frames: list[Result], every: float) -> None:
    """The frames, some seconds apart; the others wait until the first one is on its way."""
    with sink:
        for result in frames:
            sink.write(now(result))
            if result is frames[0]:
                wait_for(State.streaming, sink)
            time.sleep(every)


def key_frames(path: Path) -> list[int]:
    """Which packets of a video are key frames."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return [at for at, packet in enumerate(packets) if packet.is_keyframe]


class Receiver(threading.Thread):
    """Datagrams of a transport stream, kept."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.data = bytearray()
        self.sizes: set[int] = set()
        self._end = False
        self.start()

    def run(self) -> None:
        while True:
            try:
                datagram = self.socket.recv(65536)
            except TimeoutError:
                if self._end:
                    return
                continue
            self.sizes.add(len(datagram))
            self.data += datagram

    def finish(self, path: Path) -> Path:
        self._end = True
        self.join()
        path.write_bytes(self.data)
        return path


def test_a_transport_stream_has_every_frame_and_every_klv_packet_at_its_time(tmp_path: Path, results: Results) -> None:
    video, frames = results
    receiver, feed = Receiver(), KlvFeed(1)
    sink = sink_for(f"udp://127.0.0.1:{receiver.socket.getsockname()[1]}", video, klv=feed)
    sent = [b"\x06\x0e\x2b\x34" + bytes([n] * 20) for n in range(60)]
    with sink:
        for data, result in zip(sent, frames, strict=True):
            result = now(result)
            feed.add(PassingPiece(result.frame.arrived or 0.0, 0, data))
            sink.write(result)
            if result.frame.index == 0:
                wait_for(State.streaming, sink)
            time.sleep(0.04)
    stamps: list[float] = []
    klv: list[tuple[float, bytes]] = []
    with av.open(str(receiver.finish(tmp_path / "received.ts"))) as container:
        assert [stream.name for stream in container.streams] == ["h264", "klv"]
        for packet in container.demux():
            if packet.size and packet.stream.type == "data":
                klv.append((float(packet.pts * packet.time_base), bytes(packet)))
            stamps += [float(f.pts * f.time_base) for f in packet.decode()] if packet.stream.type == "video" else []
    status = sink.monitor.status()
    assert status.shown == len(stamps) == 60 - sum(status.dropped.values())
    assert len(stamps) >= 50, "a loaded machine may drop some"
    assert [data for _, data in klv] == sent
    by_index = {round((time - stamps[0]) * 25): time for time in stamps}
    for index, (time_of_klv, _) in enumerate(klv):
        if index in by_index:
            assert abs(time_of_klv - by_index[index]) < 0.03
    assert max(receiver.sizes) <= 1316
    assert status.connections == 1


def test_there_is_a_key_frame_every_second(tmp_path: Path, results: Results) -> None:
    video, frames = results
    receiver = Receiver()
    sink = sink_for(f"udp://127.0.0.1:{receiver.socket.getsockname()[1]}", video)
    send(sink, frames, every=0.02)
    keys = key_frames(receiver.finish(tmp_path / "received.ts"))
    assert keys[0] == 0
    assert np.diff(keys).tolist() == [25] * (len(keys) - 1)
    assert len(keys) >= 2


def test_there_is_one_a_second_too_where_the_network_leaves_few_frames(tmp_path: Path, results: Results) -> None:
    video, frames = results
    receiver = Receiver()
    sink = sink_for(f"udp://127.0.0.1:{receiver.socket.getsockname()[1]}", video)
    send(sink, frames[::5], every=0.05)
    assert key_frames(receiver.finish(tmp_path / "received.ts")) == [0, 5, 10]


def test_what_cannot_be_encoded_fails_the_sink(results: Results) -> None:
    video, frames = results
    sink = sink_for("udp://127.0.0.1:9", replace(video, width=0))
    sink.open()
    sink.write(now(frames[0]))
    end = time.monotonic() + 20
    while sink._failed is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    with pytest.raises(RssegError, match=r"udp://127\.0\.0\.1:9: "):
        sink.write(now(frames[0]))
    sink.discard()


def test_a_file_is_sent_at_its_own_speed(results: Results) -> None:
    video, frames = results
    receiver = Receiver()
    sink = sink_for(f"udp://127.0.0.1:{receiver.socket.getsockname()[1]}", replace(video, path=Path("a.mp4")))
    with sink:
        begin = time.monotonic()
        for result in frames[:20]:
            sink.write(result)
        assert time.monotonic() - begin >= 19 * 0.04 - 0.01


def test_a_server_that_accepts_and_never_answers_does_not_hold_the_run_up(results: Results) -> None:
    video, frames = results
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = sink_for(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/cam", video)
        sink.open()
        slowest = 0.0
        for result in frames:
            begin = time.monotonic()
            sink.write(now(result))
            slowest = max(slowest, time.monotonic() - begin)
            time.sleep(0.01)
        assert slowest < 0.5
        begin = time.monotonic()
        with pytest.raises(RssegError, match=r"rtsp://127\.0\.0\.1:\d+/cam: could not be reached"):
            sink.close()
        assert time.monotonic() - begin < 12
    status = sink.monitor.status()
    assert (status.received, status.shown, sum(status.dropped.values())) == (60, 0, 60)


def test_nobody_there_is_said_without_the_password(results: Results) -> None:
    video, frames = results
    sink = sink_for(f"rtsp://me:secret@127.0.0.1:{free_port()}/cam", video)
    sink.open()
    for result in frames[:10]:
        sink.write(now(result))
    wait_for(State.lost, sink)
    with pytest.raises(RssegError, match="Connection refused") as caught:
        sink.close()
    assert "secret" not in str(caught.value)


def test_a_connection_that_takes_nothing_more_is_replaced(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_process, "STALL", 0.5)
    video, frames = results
    workers: list[int] = []
    started = subprocess.Popen.__init__

    def remember(self: subprocess.Popen[bytes], *arguments: object, **more: object) -> None:
        started(self, *arguments, **more)  # type: ignore[call-overload]
        workers.append(self.pid)

    monkeypatch.setattr(subprocess.Popen, "__init__", remember)
    sink = sink_for(f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}", video)
    noise = np.random.default_rng(0)
    with sink:
        sink.write(now(frames[0]))
        wait_for(State.streaming, sink)
        os.kill(workers[0], signal.SIGSTOP)
        end, at = time.monotonic() + 20, 1
        while sink.monitor.status().connections < 2:
            assert time.monotonic() < end, sink.monitor.status()
            planes = tuple(noise.integers(0, 255, plane.shape, np.uint8) for plane in frames[0].frame.planes or ())
            frame = replace(frames[0].frame, pts=(frames[0].frame.pts or 0) + at * 512, planes=planes)  # fills the pipe
            sink.write(now(replace(frames[0], frame=frame)))
            at += 1
            time.sleep(0.005)
    with pytest.raises(ProcessLookupError):
        os.kill(workers[0], 0)
    assert sink.monitor.status().dropped["newer"] > 0


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[int, str], subprocess.Popen[bytes]]]:
    if not has_server():
        pytest.skip(MISSING)
    servers: list[subprocess.Popen[bytes]] = []

    def start(port: int, name: str) -> subprocess.Popen[bytes]:
        servers.append(serve_receiver(port, tmp_path / name))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()
        server.wait()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_an_rtsp_server_that_is_killed_gets_the_stream_again(
    tmp_path: Path, results: Results, serve: Callable[[int, str], subprocess.Popen[bytes]], transport: str
) -> None:
    video, frames = results
    port = free_port()
    server = serve(port, "before.h264")
    sink = sink_for(url(port), video, transport=transport)
    step, at = frames[1].frame.pts or 0, 0

    def send_next() -> None:
        nonlocal at
        frame = replace(frames[at % 60].frame, pts=at * step)
        sink.write(now(replace(frames[at % 60], frame=frame)))
        at += 1
        time.sleep(0.02)

    with sink:
        end = time.monotonic() + 40
        while sink.monitor.status().shown < 20:
            assert time.monotonic() < end
            send_next()
        server.kill()
        server.wait()
        while sink.monitor.state is not State.lost:
            assert time.monotonic() < end, sink.monitor.status()
            send_next()
        serve(port, "after.h264")
        shown = sink.monitor.status().shown
        while sink.monitor.status().shown < shown + 20:
            assert time.monotonic() < end, sink.monitor.status()
            send_next()
    status = sink.monitor.status()
    assert status.connections == 2
    assert status.dropped["away"] > 0
    for name in ("before.h264", "after.h264"):
        with av.open(str(tmp_path / name), format="h264") as container:
            assert sum(1 for _ in container.decode(video=0)) >= 15

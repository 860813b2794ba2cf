"""Live streams on the loopback: a sender that is a thread here, and is stopped and started again."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from loopback import free_port

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.monitor import State, shown_name
from rsseg_edge.sources import stream as module
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.stream import LiveStream, is_stream


def open_stream(where: str, **chosen: object) -> LiveStream:
    return LiveStream(where, Selection(**chosen), threads=1, report=lambda line: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["rtsp://u:p@host/a", "udp://0.0.0.0:5000", "-", "/dev/video0", "srt://host:9"])
def test_streams_are_told_from_files(where: str):
    assert is_stream(where)


@pytest.mark.parametrize("where", ["flight.mp4", "/dev/video", "https://host/scene.tif", "out-"])
def test_files_are_no_streams(where: str):
    assert not is_stream(where)


def test_messages_name_no_password():
    assert shown_name("rtsp://me:secret@host:554/cam") == "rtsp://host:554/cam"


@pytest.mark.parametrize("scheme", ["nosuch", "srt"])
def test_a_protocol_that_ffmpeg_does_not_have_is_said_at_once(scheme: str):
    where = f"{scheme}://me:secret@127.0.0.1:9"
    try:
        av.open(where, options={"connect_timeout": "50"}).close()
    except av.error.ProtocolNotFoundError:
        pass
    except av.error.FFmpegError:
        pytest.skip(f"this FFmpeg has {scheme}://")
    begin = time.monotonic()
    with pytest.raises(UsageError) as caught:
        open_stream(where)
    assert time.monotonic() - begin < 3
    assert str(caught.value).startswith(f"{scheme}://127.0.0.1:9: PyAV's FFmpeg has no {scheme}://")
    assert ("srt-live-transmit srt://HOST:PORT" in str(caught.value)) is (scheme == "srt")


def test_a_sender_that_says_nothing_is_told_of_in_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FIRST", 1.0)
    monkeypatch.setattr(module, "OPEN", 0.3)
    monkeypatch.setattr(module, "READ", 0.3)
    where = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    with pytest.raises(RssegError, match=rf"{where}: no frame within 1 s \(nothing came for 0\.3 s\)"):
        open_stream(where)


def test_a_slow_reader_gets_the_newest_frame_and_the_rest_is_counted(sender: Any):
    stream = open_stream(sender.address, max_frames=6)
    frames = []
    for frame in stream.frames():
        assert time.monotonic() - frame.arrived < 0.5
        frames.append(frame)
        time.sleep(0.15)  # seven times as long as a frame lasts
    stream.close()
    assert len(frames) == 6
    stamps = [frame.pts for frame in frames]
    assert stamps == sorted(set(stamps))
    assert stream.video.path is None
    assert (stream.video.width, stream.video.height) == (96, 64)
    status = stream.monitor.status()
    assert status.dropped["newer"] > 10
    assert status.received >= 6 + status.dropped["newer"]


def test_a_stream_that_comes_back_goes_on(sender: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "READ", 0.5)
    monkeypatch.setattr(module, "OPEN", 2.0)
    stream = open_stream(sender.address)
    frames = stream.frames()
    before = next(frames)
    for _ in range(2):
        sender.stop()
        deadline = time.monotonic() + 10
        while stream.monitor.state is not State.lost:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        sender.start()
        begin = time.monotonic()
        while (after := next(frames)).arrived < begin:
            pass
        assert time.monotonic() - begin < 5
        assert after.pts > before.pts
        before = after
    stream.close()
    assert stream.monitor.status().connections >= 3
    assert next(frames, None) is None


def test_a_reader_that_waits_gets_the_end_when_the_stream_is_closed(sender: Any):
    stream = open_stream(sender.address)
    sender.stop()
    threading.Timer(0.5, stream.close).start()
    begin = time.monotonic()
    assert len(list(stream.frames())) < 100
    assert time.monotonic() - begin < 5


def test_nothing_that_sends_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FIRST", 0.6)
    with pytest.raises(RssegError, match=r"rtsp://127\.0\.0\.1:1/x: no frame within 0\.6 s \(.*refused"):
        open_stream("rtsp://user:secret@127.0.0.1:1/x")
    with pytest.raises(UsageError, match="--start is for files"):
        open_stream("rtsp://127.0.0.1:1/x", start=3.0)


def test_standard_input_ends_when_it_ends(tmp_path: Path, write_video, monkeypatch: pytest.MonkeyPatch):
    path = write_video(tmp_path / "a.ts", stamps=range(30))
    with path.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", type("Pipe", (), {"buffer": file}))
        stream = open_stream("-")
        frames = list(stream.frames())
        stream.close()
    assert 1 <= len(frames) <= 30
    assert stream.monitor.status().received == 30


class Container:
    """Stands for FFmpeg's: gives a picture of a brightness every 10 ms, and hangs after some until it is released."""

    def __init__(self, brightness: int, hangs_after: int | None = None) -> None:
        color = SimpleNamespace(color_primaries=2, color_trc=2, thread_count=1)
        rate = Fraction(25)
        stream = SimpleNamespace(codec_context=color, average_rate=rate, sample_aspect_ratio=None, thread_type="NONE")
        self.streams = SimpleNamespace(video=[stream], data=[])
        self.released = threading.Event()
        self._brightness, self._hangs_after = brightness, hangs_after

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def demux(self, stream: object) -> Iterator[SimpleNamespace]:
        for number in itertools.count():
            time.sleep(0.01)
            yield SimpleNamespace(decode=lambda number=number: self._decode(number))

    def _decode(self, number: int) -> list[av.VideoFrame]:
        if number == self._hangs_after:
            self.released.wait(20)
        value = np.full((32, 48, 3), self._brightness, np.uint8)
        return [av.VideoFrame.from_ndarray(value, format="rgb24").reformat(format="yuv420p")]


def test_a_reader_that_hangs_is_replaced_and_what_it_still_gives_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    first, second = Container(40, hangs_after=3), Container(200)
    containers = iter([first, second])
    monkeypatch.setattr(module, "HUNG", 0.5)
    monkeypatch.setattr(LiveStream, "_open", lambda self: next(containers))
    stream = open_stream("rtsp://camera/x")
    frames = stream.frames()
    assert next(frames).image.mean() < 100
    while next(frames).image.mean() < 100:
        pass  # what the first gave before it hung
    assert stream.monitor.status().connections == 2
    first.released.set()
    assert all(next(frames).image.mean() > 150 for _ in range(30))
    stream.close()


def test_a_stream_that_is_away_for_long_is_lost_and_does_not_hang(sender: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "READ", 0.3)
    stream = open_stream(sender.address)
    monkeypatch.setattr(module, "HUNG", 1.6)  # longer than a pause between two connections, as in earnest
    opened: list[float] = []

    def refuse(self: LiveStream) -> None:
        opened.append(time.monotonic())
        raise OSError("connection refused")

    monkeypatch.setattr(LiveStream, "_open", refuse)
    sender.stop()
    threading.Timer(6.0, stream.close).start()
    list(stream.frames())
    status = stream.monitor.status()
    assert len(opened) > 2
    assert "refused" in status.why
    assert stream._generation == 2  # the first reader's, and closing: nobody took its place


ENDS = """
import ctypes, sys
from rsseg_edge.sources import stream
stream.OPEN = stream.READ = 2.0
lost = stream.LiveStream(sys.argv[1], stream.Selection(), threads=1, report=print)
print("open", flush=True)
sys.stdin.readline()
libc = ctypes.CDLL(None)
libc.on_exit(libc.sleep, None)  # as long as the exit code says, when Python has ended
sys.exit(1)
"""


def test_a_program_may_end_while_its_stream_is_lost(sender: Any):
    command = [sys.executable, "-I", "-c", ENDS, sender.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"open\n"
        sender.stop()
        _, said = process.communicate(b"end\n", timeout=30)
    assert (process.returncode, said) == (1, b"")

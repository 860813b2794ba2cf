"""rsseg-run -: every frame of a pipe, or the newest."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import termios
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import pytest

Start = Callable[..., subprocess.Popen]
Write = Callable[..., Path]


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]


def fed(process: subprocess.Popen, data: bytes) -> subprocess.CompletedProcess[bytes]:
    out, err = process.communicate(data, timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def write(process: subprocess.Popen, data: bytes) -> None:
    """Into its pipe, and wait until it has read it."""
    process.stdin.write(data)
    process.stdin.flush()
    left, deadline = array("i", [1]), time.monotonic() + 60
    while left[0]:
        fcntl.ioctl(process.stdin, termios.FIONREAD, left)
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def piped(start: Start) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs to the end on what a pipe holds."""
    return lambda data, *options: fed(start("-", *options, stdin=subprocess.PIPE), data)


def test_of_a_pipe_every_frame_is_taken_with_its_time(
    tmp_path: Path, piped: Callable[..., subprocess.CompletedProcess[bytes]], write_video: Write
) -> None:
    stamps = [*range(40), *range(60, 90)]
    path = write_video(tmp_path / "a.mkv", stamps=stamps)
    ran = piped(path.read_bytes())
    assert ran.returncode == 0, ran.stderr
    assert [round(25 * line["time"]) for line in log(tmp_path / "out")] == stamps
    assert {line["name"] for line in log(tmp_path / "out")} == {"stdin"}
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 70
    part = piped(path.read_bytes(), "--start", "1.6", "--max-frames", "5")
    assert part.returncode == 0, part.stderr
    assert [round(25 * line["time"]) for line in log(tmp_path / "out")] == [60, 61, 62, 63, 64]


def test_of_a_pipe_that_is_live_the_newest_is_taken(
    tmp_path: Path, piped: Callable[..., subprocess.CompletedProcess[bytes]], write_video: Write
) -> None:
    data = write_video(tmp_path / "a.ts", size=(640, 360), stamps=range(200)).read_bytes()
    ran = piped(data, "--latest", "--json", "--max-lag", "5")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)["stream"]
    assert told["received"] == 200
    assert told["shown"] == len(log(tmp_path / "out"))
    assert told["shown"] + sum(told["dropped"].values()) == 200
    assert told["dropped"]["newer"] > 0
    refused = piped(data, "--max-lag", "1")
    assert refused.returncode == 2
    assert b"--latest" in refused.stderr
    empty = piped(b"")
    assert empty.returncode == 1
    assert empty.stderr.startswith(b"error: -: not a video")


def test_a_file_as_standard_input_may_have_its_index_at_the_end(
    tmp_path: Path, start: Start, write_video: Write
) -> None:
    with write_video(tmp_path / "a.mp4", stamps=range(30)).open("rb") as file:
        ran = fed(start("-", stdin=file), b"")
    assert ran.returncode == 0, ran.stderr
    assert len(log(tmp_path / "out")) == 30


@pytest.mark.parametrize("options", [[], ["--latest"]], ids=["every", "latest"])
def test_ctrl_c_ends_a_run_whose_pipe_is_silent(
    tmp_path: Path, start: Start, write_video: Write, options: Sequence[str]
) -> None:
    data = write_video(tmp_path / "a.ts", stamps=range(30)).read_bytes()
    process = start("-", *options, stdin=subprocess.PIPE)
    write(process, data)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("overlay.mp4.*.part")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(1)  # for a frame or two
    os.kill(process.pid, signal.SIGINT)
    begin = time.monotonic()
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - begin < 10
    err = process.stderr.read().decode()
    assert "interrupted" in err
    assert "error" not in err.lower()
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(log(tmp_path / "out")) > 0


@pytest.mark.parametrize("options", [[], ["--latest"]], ids=["every", "latest"])
def test_ctrl_c_before_anything_came(start: Start, options: Sequence[str]) -> None:
    process = start("-", *options, stdin=subprocess.PIPE)
    write(process, b"\0" * 1000)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert b"Error" not in process.stderr.read()


@pytest.mark.parametrize("options", [[], ["--latest"]], ids=["every", "latest"])
def test_a_standard_input_that_is_closed(start: Start, options: Sequence[str]) -> None:
    process = start("-", *options, preexec_fn=lambda: os.close(0))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = [line for line in err.decode().splitlines() if line.startswith("error: ")]
    assert "standard input is closed" in line
    assert "Traceback" not in err.decode()

"""A CSI camera: a gst-launch-1.0 of our own stands for the board's, and GStreamer's test pattern where it is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.monitor import State
from rsseg_edge.sources import gstreamer
from rsseg_edge.sources import stream as module
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.camera import CameraRequest
from rsseg_edge.sources.stream import LiveStream

# Pictures of 48 x 32 whose brightness is told by a file, 50 a second; ends, hangs or fails as the file says.
LAUNCH = """#!{python}
import os, sys, time
from pathlib import Path
folder = Path(__file__).parent
told = (folder / "told").read_text().split()
with (folder / "commands").open("a") as log:
    print(os.getpid(), *sys.argv[1:], file=log)
out = os.fdopen(int(sys.argv[-1].partition("=")[2]), "wb", buffering=0)
print("GST_ARGUS: Creating output stream", flush=True)
if told[0] == "fails":
    sys.exit("ERROR: from element /GstPipeline:pipeline0/GstNvArgusCameraSrc:camera: No cameras available")
out.write(b"YUV4MPEG2 W48 H32 F50:1 Ip A1:1 C420jpeg\\n")
for number in range(int(told[1])):
    out.write(b"FRAME\\n" + bytes([int(told[2])]) * (48 * 32) + bytes([128]) * (48 * 16))
    time.sleep(0.02)
time.sleep(60 if told[0] == "hangs" else 0)
"""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs in front of all others; ``told`` in it says what the camera does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("gst-launch-1.0", LAUNCH.format(python=sys.executable)), ("gst-inspect-1.0", "#!/bin/sh\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def tell(board: Path, *words: object) -> None:
    (board / "told").write_text(" ".join(map(str, words)))


def commands(board: Path) -> list[list[str]]:
    return [line.split(" ") for line in (board / "commands").read_text().splitlines()]


def is_running(process: str) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def open_camera(where: str = "csi://0") -> LiveStream:
    return LiveStream(where, Selection(), threads=1, report=lambda line: None)


def test_pictures_come_and_the_process_ends_with_the_stream(board: Path) -> None:
    tell(board, "ends", 500, 180)
    stream = open_camera("csi://1?size=1920x1080&rate=60")
    frames = stream.frames()
    seen = [next(frames) for _ in range(5)]
    assert (stream.video.width, stream.video.height, stream.video.rate) == (48, 32, 50)
    assert all(abs(int(frame.image.mean()) - 180) < 12 for frame in seen)
    assert all(0 <= time.monotonic() - frame.arrived < 1 for frame in seen[-1:])
    process, *words = commands(board)[0]
    assert words[:4] == ["-q", "nvarguscamerasrc", "sensor-id=1", "!"]
    assert "video/x-raw(memory:NVMM),width=1920,height=1080,framerate=60/1" in words
    assert is_running(process)
    stream.close()
    deadline = time.monotonic() + 5
    while is_running(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert next(frames, None) is None


def test_a_camera_that_ends_is_started_again(board: Path) -> None:
    tell(board, "ends", 15, 40)
    stream = open_camera()
    frames = stream.frames()
    assert next(frames).image.mean() < 100
    tell(board, "ends", 500, 200)
    while next(frames).image.mean() < 100:
        pass
    assert stream.monitor.status().connections == 2
    stream.close()


def test_a_camera_that_hangs_is_ended_and_started_again(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HUNG", 0.8)
    tell(board, "hangs", 5, 40)
    stream = open_camera()
    frames = stream.frames()
    next(frames)
    tell(board, "ends", 500, 200)
    while next(frames).image.mean() < 100:
        pass
    first, second = (line[0] for line in commands(board)[:2])
    assert not is_running(first), "a camera has one reader"
    assert is_running(second)
    stream.close()


def test_what_the_camera_says_is_the_reason(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST", 1.0)
    tell(board, "fails")
    with pytest.raises(RssegError, match=r"csi://0: no frame within 1 s \(from element .*No cameras available\)"):
        open_camera()
    assert len(commands(board)) > 1, "it was tried once"


def test_without_gstreamer_or_its_element_one_line_says_so(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (board / "gst-inspect-1.0").write_text('#!/bin/sh\n[ "$2" != nvarguscamerasrc ]\n')
    with pytest.raises(
        UsageError, match=r"no nvarguscamerasrc, which comes with NVIDIA's JetPack.*rsseg-run - --latest"
    ):
        open_camera()
    monkeypatch.setenv("PATH", str(board.parent))
    with pytest.raises(UsageError, match=r"apt install gstreamer1\.0-tools"):
        open_camera()


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")
def test_the_test_pattern_of_gstreamer_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def pattern(camera: CameraRequest) -> list[str]:
        mode = f"video/x-raw,width={camera.size[0]},height={camera.size[1]},framerate={camera.rate}/1"
        return [
            "videotestsrc",
            "is-live=true",
            "pattern=white",
            "!",
            mode,
            "!",
            "videoconvert",
            "!",
            "video/x-raw,format=I420",
        ]

    monkeypatch.setattr(module, "camera_elements", pattern)
    monkeypatch.setattr(gstreamer, "CAMERA", "videotestsrc")
    probe = subprocess.run(["gst-inspect-1.0", "--exists", "y4menc"], check=False)
    if probe.returncode:
        pytest.skip("gstreamer1.0-plugins-good is not installed")
    stream = open_camera("csi://0?size=640x360&rate=30")
    frames = stream.frames()
    seen = [next(frames) for _ in range(10)]
    stream.close()
    assert (stream.video.width, stream.video.height, stream.video.rate) == (640, 360, 30)
    assert all(frame.image.mean() > 240 for frame in seen)
    assert stream.monitor.state is State.ended

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.video import VideoFile

Write = Callable[..., Path]
FRONT = {"movflags": "faststart"}


def read(path: Path, selection: Selection | None = None, told: list[str] | None = None) -> list:
    source = VideoFile(path, selection or Selection(), threads=1, report=pytest.fail if told is None else told.append)
    try:
        return list(source.frames())
    finally:
        source.close()


def test_time_stamps_of_a_variable_rate_are_kept(tmp_path: Path, write_video: Write) -> None:
    stamps = [0, 40, 41, 173, 1000, 1001, 5000]
    frames = read(write_video(tmp_path / "a.mkv", stamps=stamps, time_base=Fraction(1, 1000)))
    assert [f.time for f in frames] == [s / 1000 for s in stamps]
    assert [f.index for f in frames] == list(range(7))


def test_planes_and_image_show_the_same_picture(tmp_path: Path, write_video: Write) -> None:
    frame = read(write_video(tmp_path / "a.mp4", size=(98, 66)))[3]
    y, cb, cr = frame.planes
    assert (y.shape, cb.shape, cr.shape) == ((66, 98), (33, 49), (33, 49))
    red = 1.164 * (y.astype(float) - 16) + 1.596 * (np.kron(cr, np.ones((2, 2))) - 128)
    assert np.abs(np.clip(red, 0, 255) - frame.image[..., 0]).mean() < 6


@pytest.mark.parametrize(
    ("selection", "indices"),
    [
        (Selection(stride=7), [0, 7, 14, 21, 28, 35, 42, 49, 56]),
        (Selection(start=1.0, end=1.2), [25, 26, 27, 28, 29]),
        (Selection(start=1.99, max_frames=2), [50, 51]),
        (Selection(start=0.5, end=1.5, stride=10), [13, 23, 33]),
        (Selection(max_frames=3), [0, 1, 2]),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".h264"])
def test_selected_frames_keep_index_and_time(
    tmp_path: Path, write_video: Write, selection: Selection, indices: list[int], suffix: str
) -> None:
    path = write_video(tmp_path / f"a{suffix}", stamps=range(60))
    every = read(path)
    frames = read(path, selection)
    assert [f.index for f in frames] == indices
    assert [f.time for f in frames] == [every[i].time for i in indices]
    for frame, index in zip(frames, indices, strict=True):
        assert np.array_equal(frame.image, every[index].image)


def test_a_start_behind_the_end_is_a_usage_error(tmp_path: Path, write_video: Write) -> None:
    with pytest.raises(UsageError, match="no frame after --start 50"):
        read(write_video(tmp_path / "a.mp4"), Selection(start=50))


def test_expected_is_what_comes(tmp_path: Path, write_video: Write) -> None:
    path = write_video(tmp_path / "a.mp4", stamps=range(60))
    for selection in (Selection(), Selection(stride=7), Selection(start=1, end=1.6), Selection(max_frames=4)):
        source = VideoFile(path, selection, threads=1, report=pytest.fail)
        assert source.expected == len(list(source.frames()))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "tolerance"),
    [("libx264", "yuv444p", 4), ("libx264", "yuv420p10le", 4), ("libx265", "gbrp", 4), ("mjpeg", "yuvj420p", 8)],
)
def test_other_pixel_formats_become_8_bit_420(
    tmp_path: Path, write_video: Write, codec: str, pix_fmt: str, tolerance: float
) -> None:
    path = write_video(tmp_path / "a.mkv", codec=codec, pix_fmt=pix_fmt)
    source = VideoFile(path, Selection(), threads=1, report=pytest.fail)
    frame = list(source.frames())[4]
    assert source.video.color.full_range == (pix_fmt == "yuvj420p")
    assert [plane.shape for plane in frame.planes] == [(64, 96), (32, 48), (32, 48)]
    reds = np.median(frame.image[:, 10:20, 0]), np.median(frame.image[:, 50:56, 0])
    assert reds == pytest.approx((40, 130), abs=tolerance)


def test_rotation_turns_the_frames_upright(tmp_path: Path, write_video: Write) -> None:
    path = write_video(tmp_path / "a.mp4", size=(96, 64))
    plain = read(path)[2]
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of fields
    one, minus = (0x10000).to_bytes(4, "big"), (0xFFFF0000).to_bytes(4, "big")
    zero, unit = bytes(4), (0x40000000).to_bytes(4, "big")
    data[matrix : matrix + 36] = b"".join([zero, one, zero, minus, zero, zero, zero, zero, unit])  # clockwise
    path.write_bytes(data)
    source = VideoFile(path, Selection(), threads=1, report=pytest.fail)
    turned = list(source.frames())[2]
    assert (source.video.width, source.video.height) == (64, 96)
    assert np.array_equal(turned.image, np.rot90(plain.image, -1))
    assert np.array_equal(turned.planes[0], np.rot90(plain.planes[0], -1))
    assert turned.planes[1].shape == (48, 32)


def test_a_change_of_size_is_said_and_scaled(tmp_path: Path, write_video: Write) -> None:
    first = write_video(tmp_path / "a.h264", size=(96, 64), stamps=range(5)).read_bytes()
    second = write_video(tmp_path / "b.h264", size=(64, 32), stamps=range(5)).read_bytes()
    (tmp_path / "c.h264").write_bytes(first + second)
    told: list[str] = []
    frames = read(tmp_path / "c.h264", told=told)
    assert len(frames) == 10
    assert {f.image.shape for f in frames} == {(64, 96, 3)}
    assert [f.planes[1].shape for f in frames] == [(32, 48)] * 10
    assert len(told) == 1
    assert "64x32 at frame 5" in told[0]


def test_time_stamps_that_run_backwards_are_put_in_order(tmp_path: Path, write_video: Write) -> None:
    part = write_video(tmp_path / "a.ts", stamps=range(6)).read_bytes()
    (tmp_path / "b.ts").write_bytes(part + part)  # two recordings in one file: the clock starts anew
    times = [f.time for f in read(tmp_path / "b.ts", told=[])]
    assert len(times) == 12
    assert times == sorted(set(times))


def test_cut_short_mp4_gives_its_frames_and_then_says_so(tmp_path: Path, write_video: Write) -> None:
    path = write_video(tmp_path / "a.mp4", stamps=range(100), options=FRONT)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    source = VideoFile(path, Selection(), threads=1, report=lambda _: None)
    frames = source.frames()
    read_frames = []
    with pytest.raises(RssegError, match=r"cut short: it promises 100 frames"):
        read_frames.extend(frames)  # keeps what came before the error
    assert 20 < len(read_frames) < 100


def test_cut_short_mp4_says_nothing_of_what_was_not_asked_for(tmp_path: Path, write_video: Write) -> None:
    path = write_video(tmp_path / "a.mp4", stamps=range(100), options=FRONT)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert len(read(path, Selection(max_frames=5))) == 5


def test_cut_short_transport_stream_is_said(tmp_path: Path, write_video: Write) -> None:
    path = write_video(tmp_path / "a.ts", stamps=range(60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10 // 188 * 188 + 77])
    with pytest.raises(RssegError, match=r"cut short inside a packet; [23]. frames"):
        read(path, told=[])


def test_mp4_cut_before_its_index_is_one_line(tmp_path: Path, write_video: Write) -> None:
    path = write_video(tmp_path / "a.mp4", stamps=range(60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(RssegError, match=r"a\.mp4: not a video that can be read, or cut short"):
        read(path)


def test_damage_in_the_middle_does_not_stop_the_rest(tmp_path: Path, write_video: Write) -> None:
    path = write_video(tmp_path / "a.mp4", stamps=range(60), options=FRONT)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(data)
    frames = read(path, told=[])
    assert len(frames) > 50
    assert frames[-1].index > 50


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        output.mux(stream.encode(samples))
        output.mux(stream.encode(None))
    with pytest.raises(RssegError, match="there is no video in it"):
        read(tmp_path / "a.mp4")

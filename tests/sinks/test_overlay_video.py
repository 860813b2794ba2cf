from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rsseg_edge.errors import RssegError
from rsseg_edge.postprocess.drawing import Drawing
from rsseg_edge.sinks.overlay_video import OverlayVideo
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.video import VideoFile
from rsseg_edge.types import ClassTable, Result, Segmentation

TABLE = ClassTable(("left", "right"), ((220, 30, 30), (30, 30, 220)))
Write = Callable[..., Path]


def overlay_of(
    source: Path,
    target: Path,
    selection: Selection | None = None,
    *,
    drawn: tuple[str, ...] | None = None,
    alpha: float = 0.5,
    limit: int | None = None,
) -> Path:
    """The overlay video of a source whose left half is class 0 and whose right half is class 1."""
    video = VideoFile(source, selection or Selection(), threads=1, report=pytest.fail)
    with OverlayVideo(
        target, video.video, Drawing(drawn, alpha).on_video(video.video), threads=1, report=pytest.fail
    ) as sink:
        for frame in list(video.frames())[:limit]:
            class_map = np.zeros(frame.image.shape[:2], np.uint8)
            class_map[:, class_map.shape[1] // 2 :] = 1
            segmentation = Segmentation(class_map, class_map, TABLE)
            sink.write(Result(frame, segmentation, segmentation.pixel_counts()))
    return target


def draw_on(video: VideoFile) -> Callable[..., None]:
    return Drawing(None, 0.5).on_video(video.video)


def packets(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(audio=0) if p.size]


def images(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


@pytest.mark.parametrize(
    ("stamps", "time_base"),
    [
        (range(30), Fraction(1, 25)),
        (range(0, 30 * 1001, 1001), Fraction(1, 30000)),
        ([0, 40, 41, 173, 1000, 1001, 5000], Fraction(1, 1000)),
        ([500_011 + 3000 * i + i % 3 for i in range(20)], Fraction(1, 90000)),
    ],
)
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
def test_every_frame_and_its_time_is_kept(
    tmp_path: Path,
    write_video: Write,
    read_stamps: Callable[[Path], list],
    suffix: str,
    stamps: list,
    time_base: Fraction,
) -> None:
    source = write_video(tmp_path / f"a{suffix}", stamps=stamps, time_base=time_base)
    expected = read_stamps(source)
    assert len(expected) == len(stamps)
    assert read_stamps(overlay_of(source, tmp_path / "o.mp4")) == expected


def test_an_excerpt_keeps_the_time_of_the_source(
    tmp_path: Path, write_video: Write, read_stamps: Callable[[Path], list]
) -> None:
    source = write_video(tmp_path / "a.mp4", stamps=range(50))
    target = overlay_of(source, tmp_path / "o.mp4", Selection(start=1, end=1.6, stride=4))
    assert read_stamps(target) == [read_stamps(source)[i] for i in (25, 29, 33, 37)]


def test_the_last_frame_is_shown_as_long_as_in_the_source(tmp_path: Path, write_video: Write) -> None:
    source = write_video(tmp_path / "a.mp4", stamps=range(10))
    with av.open(str(overlay_of(source, tmp_path / "o.mp4"))) as output, av.open(str(source)) as given:
        assert output.streams.video[0].average_rate == given.streams.video[0].average_rate
        assert output.duration == given.duration


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_audio_is_copied_packet_by_packet(tmp_path: Path, write_video: Write, codec: str) -> None:
    source = write_video(tmp_path / "a.mp4", stamps=range(50), audio=codec)
    copied = packets(overlay_of(source, tmp_path / "o.mp4"))
    assert len(copied) > 20
    assert copied == packets(source)


def test_audio_of_an_excerpt_is_that_of_its_frames(tmp_path: Path, write_video: Write) -> None:
    source = write_video(tmp_path / "a.mp4", stamps=range(50), audio="aac")
    copied = packets(overlay_of(source, tmp_path / "o.mp4", Selection(start=0.6, end=1.2)))
    assert copied == [p for p in packets(source) if 0.6 <= p[0] < 1.2]


def test_audio_of_a_run_that_ended_early_ends_with_it(tmp_path: Path, write_video: Write) -> None:
    source = write_video(tmp_path / "a.mp4", stamps=range(50), audio="aac")
    copied = packets(overlay_of(source, tmp_path / "o.mp4", limit=10))
    assert copied == [p for p in packets(source) if p[0] < 0.4]


def test_audio_that_mp4_does_not_hold_is_left_out_and_said(tmp_path: Path, write_video: Write) -> None:
    source = write_video(tmp_path / "a.mkv", stamps=range(10), audio="wavpack")
    video = VideoFile(source, Selection(), threads=1, report=pytest.fail)
    told: list[str] = []
    with OverlayVideo(tmp_path / "o.mp4", video.video, draw_on(video), threads=1, report=told.append):
        pass
    assert len(told) == 1
    assert "wavpack" in told[0]


@pytest.mark.parametrize("size", [(97, 65), (33, 64), (64, 31)])
def test_odd_sides_get_a_copy_of_their_last_row_or_column(
    tmp_path: Path, write_video: Write, size: tuple[int, int]
) -> None:
    source = write_video(tmp_path / "a.mkv", size=size, codec="ffv1")
    shown = images(overlay_of(source, tmp_path / "o.mp4", alpha=0))[5]
    width, height = size
    assert shown.shape == (height + height % 2, width + width % 2, 3)
    below_legend = slice(height // 2 + 15, height)
    difference = shown[below_legend, :width].astype(int) - images(source)[5][below_legend]
    assert np.abs(difference).mean() < 8


def test_colours_are_those_of_the_classes_and_the_legend_is_there(tmp_path: Path, write_video: Write) -> None:
    source = write_video(tmp_path / "a.mp4", size=(256, 192))
    shown = images(overlay_of(source, tmp_path / "o.mp4", alpha=1))[3].astype(int)
    assert np.abs(shown[150, 64] - TABLE.colors[0]).max() < 9
    assert np.abs(shown[150, 192] - TABLE.colors[1]).max() < 9
    assert np.abs(shown[2, 2] - 24).max() < 9, "the dark box of the legend"


def test_classes_that_are_not_drawn_show_the_picture(tmp_path: Path, write_video: Write) -> None:
    source = write_video(tmp_path / "a.mp4", size=(256, 192))
    shown = images(overlay_of(source, tmp_path / "o.mp4", drawn=("right",), alpha=1))[3].astype(int)
    given = images(source)[3].astype(int)
    assert np.abs(shown[100:, :120] - given[100:, :120]).mean() < 3
    assert np.abs(shown[100:, 136:] - TABLE.colors[1]).mean() < 3


def test_one_picture_serves_all_frames(tmp_path: Path, write_video: Write) -> None:
    # The sink gives the encoder the same memory again and again: a frame must not show its successor.
    source = write_video(tmp_path / "a.mp4", size=(128, 128), stamps=range(40))
    for shown, given in zip(images(overlay_of(source, tmp_path / "o.mp4", alpha=0)), images(source), strict=True):
        assert abs(float(shown[100:, :, 1].mean()) - float(given[100:, :, 1].mean())) < 1.5


def test_nothing_appears_before_close_and_nothing_without_a_frame(tmp_path: Path, write_video: Write) -> None:
    video = VideoFile(write_video(tmp_path / "a.mp4"), Selection(), threads=1, report=pytest.fail)
    sink = OverlayVideo(tmp_path / "out" / "o.mp4", video.video, draw_on(video), threads=1, report=pytest.fail)
    sink.open()
    assert not (tmp_path / "out" / "o.mp4").exists()
    sink.close()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["o.mp4", "o.mkv"])
@pytest.mark.parametrize("live", [True, False])
def test_what_is_written_can_be_played_before_it_is_closed(
    tmp_path: Path, write_video: Write, name: str, live: bool
) -> None:
    video = VideoFile(write_video(tmp_path / "a.mp4", stamps=range(130)), Selection(), threads=1, report=pytest.fail)
    form = replace(video.video, path=None) if live else video.video
    sink = OverlayVideo(tmp_path / name, form, draw_on(video), threads=1, report=pytest.fail)
    sink.open()
    for frame in video.frames():
        class_map = np.zeros(frame.image.shape[:2], np.uint8)
        sink.write(Result(frame, Segmentation(class_map, class_map, TABLE), np.zeros(2, np.int64)))
    (part,) = tmp_path.glob(f"{name}.*.part")  # all that a kill would leave
    killed = tmp_path / f"killed{part.suffixes[0]}"
    killed.write_bytes(part.read_bytes())
    assert 100 <= len(images(killed)) <= 130
    sink.close()
    assert len(images(tmp_path / name)) == 130
    assert live == (b"moof" in boxes(tmp_path / name)) or name == "o.mkv"


def boxes(path: Path) -> set[bytes]:
    """Names of the outermost boxes of an MP4."""
    data, found, at = path.read_bytes(), set(), 0
    while at < len(data):
        found.add(data[at + 4 : at + 8])
        at += max(8, int.from_bytes(data[at : at + 4], "big"))
    return found


def test_full_disk_is_named_and_leaves_nothing(tmp_path: Path, write_video: Write, small_disk: Path) -> None:
    source = write_video(tmp_path / "a.mkv", size=(640, 480), stamps=range(80))
    with pytest.raises(RssegError, match=r"cannot write .*o\.mp4: No space left on device"):
        overlay_of(source, small_disk / "o.mp4")
    assert list(small_disk.iterdir()) == []


def test_full_disk_met_while_closing_is_named_too(tmp_path: Path, write_video: Write, small_disk: Path) -> None:
    source = write_video(tmp_path / "a.mp4", size=(320, 240))
    video = VideoFile(source, Selection(), threads=1, report=pytest.fail)
    sink = OverlayVideo(small_disk / "o.mp4", video.video, draw_on(video), threads=1, report=pytest.fail)
    sink.open()
    for frame in video.frames():
        class_map = np.zeros(frame.image.shape[:2], np.uint8)
        sink.write(Result(frame, Segmentation(class_map, class_map, TABLE), np.zeros(2, np.int64)))
    fill(small_disk / "filler")
    with pytest.raises(RssegError, match=r"cannot write .*o\.mp4: No space left on device"):
        sink.close()
    assert [p.name for p in small_disk.iterdir()] == ["filler"]


def fill(path: Path) -> None:
    """Take all space that is left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)

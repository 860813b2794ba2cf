import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rsseg_edge.errors import RssegError
from rsseg_edge.sinks.class_video import ClassVideo
from rsseg_edge.types import ClassTable, Frame, Result, Segmentation, VideoFormat

TABLE = ClassTable(("land", "straße", *(f"c{n}" for n in range(253))), ((1, 2, 3),) * 255)


def video(size: tuple[int, int], time_base: Fraction) -> VideoFormat:
    return VideoFormat(None, size[1], size[0], Fraction(25), time_base)


def results(size: tuple[int, int], stamps: list[int], time_base: Fraction, table: ClassTable = TABLE) -> list[Result]:
    chance = np.random.default_rng(1)
    found = []
    for index, pts in enumerate(stamps):
        class_map = chance.integers(0, len(table), size, np.uint8)
        segmentation = Segmentation(class_map, class_map, table)
        frame = Frame(np.zeros((*size, 3), np.uint8), index, "clip", pts, time_base)
        found.append(Result(frame, segmentation, segmentation.pixel_counts()))
    return found


def read(path: Path) -> tuple[dict[str, str], list[float], list[np.ndarray]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        assert {frame.format.name for frame in frames} == {"gray"}
        assert container.streams.video[0].codec_context.name == "ffv1"
        return dict(container.metadata), [frame.time for frame in frames], [frame.to_ndarray() for frame in frames]


@pytest.mark.parametrize("size", [(64, 96), (33, 17), (1, 1)])
@pytest.mark.parametrize(
    ("stamps", "time_base"),
    [
        ([*range(30)], Fraction(1, 25)),
        ([0, 40, 41, 173, 1000, 5000], Fraction(1, 1000)),
        ([90_011], Fraction(1, 90_000)),
    ],
)
def test_every_class_map_comes_back_exactly_and_at_its_time(
    tmp_path: Path, size: tuple[int, int], stamps: list[int], time_base: Fraction
) -> None:
    given = results(size, stamps, time_base)
    with ClassVideo(tmp_path / "c.mkv", video(size, time_base), threads=1, report=pytest.fail) as sink:
        for one in given:
            sink.write(one)
        assert not (tmp_path / "c.mkv").exists()
    metadata, times, maps = read(tmp_path / "c.mkv")
    assert json.loads(metadata["CLASSES"]) == list(TABLE.names)
    assert json.loads(metadata["COLORS"])[0] == [1, 2, 3]
    assert len(maps) == len(given)
    for one, time, class_map in zip(given, times, maps, strict=True):
        assert (class_map == one.segmentation.class_map).all()
        assert time == pytest.approx(one.frame.time, abs=0.00051)


def test_classes_that_change_begin_another_file(tmp_path: Path) -> None:
    told: list[str] = []
    other = ClassTable(("water",), ((0, 0, 9),))
    before, after = results((8, 8), [0, 1], Fraction(1, 25)), results((8, 8), [2, 3, 4], Fraction(1, 25), other)
    with ClassVideo(tmp_path / "c.mkv", video((8, 8), Fraction(1, 25)), threads=1, report=told.append) as sink:
        for one in before + after:
            sink.write(one)
    assert len(read(tmp_path / "c.mkv")[2]) == 2
    metadata, times, maps = read(tmp_path / "c.2.mkv")
    assert json.loads(metadata["CLASSES"]) == ["water"]
    assert (len(maps), times[0]) == (3, 0.08)
    assert len(told) == 1


def test_what_is_written_can_be_read_before_it_is_closed(tmp_path: Path) -> None:
    given = results((48, 64), [*range(100)], Fraction(1, 25))
    with ClassVideo(tmp_path / "c.mkv", video((48, 64), Fraction(1, 25)), threads=1, report=pytest.fail) as sink:
        for one in given:
            sink.write(one)
        (part,) = tmp_path.glob("c.mkv.*.part")
        killed = tmp_path / "killed.mkv"
        killed.write_bytes(part.read_bytes())
    maps = read(killed)[2]
    assert 50 <= len(maps) <= 100
    assert all((m == one.segmentation.class_map).all() for m, one in zip(maps, given, strict=False))


def write_all(sink: ClassVideo, given: list[Result]) -> None:
    with sink:
        for one in given:
            sink.write(one)


def test_a_full_disk_is_named_and_leaves_nothing(small_disk: Path) -> None:
    sink = ClassVideo(small_disk / "c.mkv", video((64, 96), Fraction(1, 25)), threads=1, report=pytest.fail)
    with pytest.raises(RssegError, match=r"cannot write .*c\.mkv: No space left on device"):
        write_all(sink, results((64, 96), [*range(200)], Fraction(1, 25)))
    assert list(small_disk.iterdir()) == []


def test_nothing_is_written_without_a_frame(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    with ClassVideo(tmp_path / "c.mkv", video((8, 8), Fraction(1, 25)), threads=1, report=pytest.fail):
        pass
    assert list(tmp_path.iterdir()) == []

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rsseg_edge.errors import RssegError
from rsseg_edge.sinks.frame_log import FrameLog
from rsseg_edge.types import ClassTable, Frame, Result, Segmentation

TABLE = ClassTable(("land", "Straße"), ((1, 2, 3), (4, 5, 6)))


def result(index: int, pts: int | None) -> Result:
    class_map = np.array([[0, 0, 1], [0, 0, 0]], np.uint8)
    frame = Frame(np.zeros((2, 3, 3), np.uint8), index, "clip", pts, None if pts is None else Fraction(1, 25))
    segmentation = Segmentation(class_map, class_map, TABLE)
    return Result(frame, segmentation, segmentation.pixel_counts())


def test_a_line_holds_index_time_name_pixels_and_share(tmp_path: Path) -> None:
    with FrameLog(tmp_path / "frames.jsonl") as log:
        log.write(result(7, 50))
        log.write(result(8, None))
    first, second = map(json.loads, (tmp_path / "frames.jsonl").read_text(encoding="utf-8").splitlines())
    assert first == {
        "index": 7,
        "time": 2.0,
        "name": "clip",
        "classes": {"land": {"pixels": 5, "share": 0.833333}, "Straße": {"pixels": 1, "share": 0.166667}},
    }
    assert second["time"] is None


def test_only_the_counted_classes_are_written(tmp_path: Path) -> None:
    with FrameLog(tmp_path / "f.jsonl", ("Straße",)) as log:
        log.write(result(0, 0))
    assert list(json.loads((tmp_path / "f.jsonl").read_text(encoding="utf-8"))["classes"]) == ["Straße"]


def test_an_error_in_the_block_publishes_nothing(tmp_path: Path) -> None:
    def failing() -> None:
        with FrameLog(tmp_path / "f.jsonl", ("Straße",)) as log:
            log.write(result(0, 0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_named(small_disk: Path) -> None:
    def write_much() -> None:
        with FrameLog(small_disk / "f.jsonl", ("land",)) as log:
            for index in range(10_000):
                log.write(result(index, index))

    with pytest.raises(RssegError, match=r"f\.jsonl: No space left"):
        write_much()
    assert list(small_disk.iterdir()) == []

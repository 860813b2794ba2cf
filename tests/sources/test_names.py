from pathlib import Path

import pytest

from rsseg_edge.sources.names import Kind, distinct_names, kind_of, stream_name


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("a/flight.mp4", "flight"), ("-", "stdin"), ("csi://1?rate=60", "csi1"), ("/dev/video0?size=640x480", "video0"),
        ("v4l2:///dev/video3", "video3"), ("rtsp://me:p@ss@10.0.0.5:554/cam1", "10.0.0.5-554-cam1"),
        ("rtsp://host/a/../b?x=1", "host-a-..-b"), ("udp://0.0.0.0:5000", "0.0.0.0-5000"),
    ],
)  # fmt: skip
def test_a_name_is_fit_for_a_folder_and_holds_no_password(where: str, name: str) -> None:
    assert stream_name(where) == name
    assert "/" not in name


def test_names_that_clash_are_numbered_and_take_no_other_name() -> None:
    given = ["a/1.mp4", "b/1.mp4", "1-2.mp4", "c/1.mkv", "d/1.MP4"]
    assert distinct_names(given) == ["1", "1-3", "1-2", "1-4", "1-5"]
    assert distinct_names(["A.mp4", "a.mp4"]) == ["A", "a-2"]


def test_kinds_are_told_apart_without_opening(tmp_path: Path) -> None:
    (tmp_path / "x.JPG").write_text("")
    for still in (tmp_path, tmp_path / "x.JPG", tmp_path / "*.png"):
        assert kind_of(str(still)) is Kind.stills
    for video in ("gone.mp4", "rtsp://host/x.png", "-", "/dev/video0?size=1x1"):
        assert kind_of(video) is Kind.video

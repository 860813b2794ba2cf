from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.sources.base import Selection, Source
from rsseg_edge.sources.choose import open_source
from rsseg_edge.sources.images import ImageFiles
from rsseg_edge.sources.video import VideoFile


def choose(where: Path | str, selection: Selection | None = None) -> Source:
    return open_source(str(where), selection or Selection(), threads=1, report=pytest.fail)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "c.tif"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "sub.png").mkdir()
    return tmp_path


def test_folder_gives_its_images_in_order(folder: Path) -> None:
    source = choose(folder)
    assert isinstance(source, ImageFiles)
    assert [f.name for f in source.frames()] == ["a", "b", "c"]


def test_glob_gives_what_it_matches(folder: Path) -> None:
    assert [f.name for f in choose(folder / "[bc].*").frames()] == ["b", "c"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path) -> None:
    cv2.imwrite(str(folder / "b[1].png"), np.zeros((8, 8, 3), np.uint8))
    assert [f.name for f in choose(folder / "b[1].png").frames()] == ["b[1]"]


def test_video_is_told_by_what_it_is_not_by_its_name(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    path = write_video(tmp_path / "clip.mp4").rename(tmp_path / "clip.data")
    assert isinstance(choose(path), VideoFile)


@pytest.mark.parametrize("name", ["gone.mp4", "gone.png", "gone", "*.png"])
def test_nothing_there_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"gone|pattern"):
        choose(tmp_path / name)


def test_folder_without_images_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UsageError, match="no images in it"):
        choose(tmp_path)


def test_text_called_mp4_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello\n" * 100)
    with pytest.raises(RssegError, match=r"a\.mp4: not a video") as caught:
        choose(tmp_path / "a.mp4")
    assert caught.value.exit_code == 1


def test_seconds_do_not_select_images(folder: Path) -> None:
    with pytest.raises(UsageError, match="--stride"):
        choose(folder, Selection(start=1))


@pytest.mark.parametrize("also", [[], ["a.png"]])
def test_an_empty_name_is_not_the_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, also: list[str]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    first, *rest = [*also, ""]
    with pytest.raises(UsageError, match=r"name is empty; \. is the folder here"):
        open_source(first, Selection(), threads=1, report=print, also=rest)


@pytest.mark.parametrize("wrong", [{"start": -1.0}, {"start": 2.0, "end": 2.0}, {"stride": 0}, {"max_frames": 0}])
def test_a_selection_of_nothing_is_a_usage_error(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="--"):
        Selection(**wrong)  # type: ignore[arg-type]

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsseg_edge.scenes import thumbnail
from rsseg_edge.scenes.layers import Layers
from rsseg_edge.scenes.quicklook import quick_look
from rsseg_edge.scenes.reading import Box
from rsseg_edge.scenes.scene import Options, Scene
from rsseg_edge.scenes.thumbnail import EMPTY, Thumbnail

HEIGHT, WIDTH = 700, 530


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnail, "LONG_SIDE", 130)
    monkeypatch.setattr(thumbnail, "CHUNK", 16)


@pytest.fixture
def scene() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


@pytest.mark.parametrize("scale", [1, 2])
def test_overlapping_windows_make_the_picture_of_the_scene(scene: np.ndarray, scale: int) -> None:
    found = Thumbnail(HEIGHT, WIDTH)
    assert found.image.shape == (130, 98, 3)
    for top in range(0, HEIGHT, 150):
        for left in range(0, WIDTH, 170):
            part = scene[top : top + 200, left : left + 200]
            size = part.shape[1] * scale // 2, part.shape[0] * scale // 2
            found.show(
                Box(top, left, *part.shape[:2]), np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))
            )
    assert list(found.missing()) == []
    expected = cv2.resize(scene, (98, 130), interpolation=cv2.INTER_AREA)
    assert np.abs(found.image.astype(int) - expected).mean() < 3


def test_rows_that_were_not_shown_are_missing(scene: np.ndarray) -> None:
    found = Thumbnail(HEIGHT, WIDTH)
    found.show(Box(200, 0, 300, WIDTH), scene[200:500])
    found.show(Box(0, 100, 300, 200), scene[:300, 100:300])
    missing = list(found.missing())
    assert [(part.start, part.stop) for part, _ in missing] == [
        (0, 16),
        (16, 32),
        (32, 48),
        (80, 96),
        (96, 112),
        (112, 128),
        (128, 130),
    ]
    assert missing[1][1].top == pytest.approx(16 * 700 / 130)
    assert missing[-1][1].top + missing[-1][1].height == pytest.approx(HEIGHT)
    assert (found.image[:37, :15] == EMPTY).all()


def test_what_is_coarser_than_the_picture_is_left_to_be_read() -> None:
    found = Thumbnail(HEIGHT, WIDTH)
    found.show(Box(0, 0, HEIGHT, WIDTH), np.zeros((70, 53, 3), np.uint8))
    assert len(list(found.missing())) == 9


@pytest.mark.parametrize("nodata", [None, 0])
def test_a_quick_look_reads_what_was_not_shown(
    write_scene: Callable[..., Path],
    tmp_path: Path,
    scene: np.ndarray,
    nodata: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = np.maximum(scene, 1).transpose(2, 0, 1)
    if nodata is not None:
        pixels[:, 300:340, 100:200] = nodata
    layers = Layers(tmp_path, HEIGHT, WIDTH)
    layers.create()
    path = str(write_scene(tmp_path / "a.tif", pixels, nodata=nodata))
    with Scene(path, Options()) as opened:
        expected = quick_look(opened, layers).image
    with Scene(path, Options()) as opened:
        opened.thumbnail = Thumbnail(HEIGHT, WIDTH)
        for top in range(0, HEIGHT, 100):
            rows = min(120, HEIGHT - top)
            opened.read(Box(top, 0, rows, WIDTH), (rows, WIDTH))
        again: list[Box] = []
        read = opened.read
        monkeypatch.setattr(opened, "read", lambda box, shape: again.append(box) or read(box, shape))
        found = quick_look(opened, layers).image
    assert bool(again) == (nodata is not None)
    assert ((found == EMPTY).all(2) == (expected == EMPTY).all(2)).all()
    assert np.abs(found.astype(int) - expected).mean() < 3

"""Images that cover what there is; what covers nothing is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from rsseg_edge.calibration.candidates import images, is_dataset
from rsseg_edge.calibration.selection import Candidates, farthest_first
from rsseg_edge.errors import UsageError


def test_farthest_first_takes_one_of_each_cluster() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10]], np.float32)
    points = np.concatenate([c + rng.normal(0, 0.1, (n, 2)) for c, n in zip(centres, (300, 5, 5, 5), strict=True)])
    chosen = points[farthest_first(points.astype(np.float32), 4)]
    assert len({tuple(np.round(p / 10).astype(int)) for p in chosen}) == 4
    assert len(set(farthest_first(points.astype(np.float32), 50))) == 50


def test_rare_images_are_chosen_and_both_kinds_are_apart(make_picture) -> None:
    candidates = Candidates()
    dull = np.full((64, 96, 3), 120, np.uint8)
    for seed in range(60):  # a long look at nearly the same
        candidates.offer(np.clip(dull + np.random.default_rng(seed).normal(0, 30, dull.shape), 0, 255).astype(np.uint8))
    rare = [len(candidates.places) + i for i in range(6)]
    for seed in range(6):
        candidates.offer(make_picture(seed))
    chosen, held = candidates.choose(12, 4)
    assert not set(chosen) & set(held)
    assert len(chosen) == 12
    assert len({*chosen, *held} & set(rare)) == 6


@pytest.mark.parametrize(
    ("image", "reason"),
    [(np.zeros((40, 40, 3), np.uint8), "black"), (np.full((40, 40, 3), 90, np.uint8), "of one colour")],
)
def test_empty_images_are_left_out(image: np.ndarray, reason: str) -> None:
    candidates = Candidates()
    for _ in range(20):
        candidates.offer(image)
    with pytest.raises(UsageError, match=rf"0 distinct images \(20 {reason} left out\)"):
        candidates.choose(8, 2)


def test_one_frame_again_and_again_is_one_frame(make_picture) -> None:
    candidates = Candidates()
    for _ in range(50):
        candidates.offer(make_picture(1))
    with pytest.raises(UsageError, match=r"1 distinct images \(49 a copy of another left out\).* 8 are the least"):
        candidates.choose(8, 2)


def test_a_file_that_is_no_image_is_told_and_left_out(photos: Path) -> None:
    told: list[str] = []
    assert len(list(images(str(photos), None, told.append))) == 26
    assert len(told) == 1
    assert "32.png" in told[0]


def test_a_video_is_looked_at_all_along(write_video, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", stamps=range(30))
    assert len(list(images(str(video), None, print))) == 30


def test_generated_scenes_are_no_real_images() -> None:
    assert is_dataset("scenes")
    with pytest.raises(UsageError, match="generated"):
        next(images("scenes", None, print))


def test_a_scene_is_cut_into_windows() -> None:
    scene = Path(__file__).parents[2].parent / "shared" / "data" / "scenes" / "OSBS_029.tif"
    if not scene.is_file():
        pytest.skip("no scenes in ../shared")
    found = list(images(str(scene), None, print))
    assert found
    assert all(image.ndim == 3 and image.dtype == np.uint8 for image in found)

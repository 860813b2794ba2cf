"""Options of rsseg-run that mean nothing for an input are refused, not passed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsseg_edge.cli.options import field_of_view
from rsseg_edge.errors import UsageError

Run = Callable[..., Any]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "one.tif"
    grid = {"transform": rasterio.Affine(0.5, 0, 3e5, 0, -0.5, 5e6), "crs": "EPSG:32632"}
    with rasterio.open(path, "w", driver="GTiff", width=60, height=40, count=3, dtype="uint8", **grid) as file:
        file.write(np.full((3, 40, 60), 130, np.uint8))
    return path


@pytest.mark.parametrize(
    "given",
    ["--live 8080", "--token secret", "--max-lag 1", "--coco", "--to live://:8080", "--keyframes 2", "--fov 60"],
)
def test_a_scene_has_no_frames(run: Run, scene: Path, tmp_path: Path, given: str) -> None:
    ran = run(scene, *given.split())
    assert ran.code == 2
    assert ran.err == f"error: {scene} is georeferenced: {given.split()[0]} is for videos and images\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", ["--bands 1,2,3", "--overwrite", "--probabilities", "--workers 2"])
def test_a_video_is_no_scene(run: Run, write_video: Callable[..., Path], tmp_path: Path, given: str) -> None:
    clip = write_video(tmp_path / "a.mp4")
    ran = run(clip, *given.split())
    assert ran.code == 2
    assert ran.err == f"error: {given.split()[0]} is for georeferenced scenes, and {clip} is none\n"


def test_a_field_of_view_is_one_angle_or_two() -> None:
    assert field_of_view(None) is None
    assert field_of_view("62") == (62, None)
    assert field_of_view("62,38.5") == (62, 38.5)
    for text in ("wide", "1,2,3", ""):
        with pytest.raises(UsageError, match=f"--fov {text}: degrees, as 62 or 62,38"):
            field_of_view(text)

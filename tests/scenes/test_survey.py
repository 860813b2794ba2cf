from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rsseg_edge.bundle import InputSpec
from rsseg_edge.scenes.clock import Clock
from rsseg_edge.scenes.scene import Options, Scene
from rsseg_edge.scenes.survey import AT_LEAST, AT_MOST, survey, survey_sides, survey_windows, window_image
from rsseg_edge.scenes.windows import Axis, Plan
from rsseg_edge.segmenters.scene_queries import SceneQueries

TILES = (64, 64)


def plan_of(height: int, width: int, tile: int = 64, offset: int = 0) -> Plan:
    rows, columns = (Axis(side, tile, 16, 4, 4, 16, offset) for side in (height, width))
    return Plan(rows, columns, height, width)


@pytest.mark.parametrize(("height", "width"), [(65, 64), (64, 2000), (300, 200), (5000, 4000), (3000, 70)])
def test_windows_are_spread_over_the_scene_on_the_lattice(height: int, width: int) -> None:
    plan = plan_of(height, width)
    found = survey_windows(plan, (32, 48))
    assert min(-(-height // 32) * -(-width // 48), AT_LEAST) // 2 <= len(found) <= AT_MOST + 2
    assert len(set(found)) == len(found)
    assert all(top % 16 == 0 and left % 16 == 0 for top, left in found)
    assert all(0 <= top < height - 16 and 0 <= left < width - 32 for top, left in found), "hardly beyond the scene"


def test_they_do_not_depend_on_where_the_windows_of_the_scene_lie() -> None:
    assert survey_windows(plan_of(1000, 900), TILES) == survey_windows(plan_of(1000, 900, offset=16), TILES)


def test_a_single_window_has_its_own_queries() -> None:
    assert survey_windows(plan_of(64, 60), TILES) == []


@pytest.mark.parametrize(("tile", "fixed", "side"), [(1536, None, 768), (256, None, 256), (1536, 1536, 1536)])
def test_its_windows_are_smaller_where_the_network_takes_any_size(tile: int, fixed: int | None, side: int) -> None:
    spec = InputSpec(multiple_of=32, height=fixed, width=fixed)
    rows = Axis(5000, tile, 128, 32, 4, 32)
    assert survey_sides(Plan(rows, rows, 5000, 5000), spec) == (side, side)


def reading(values: list[float]) -> Any:
    """A segmenter whose queries are the mean of the window's first channel."""

    def queries(image: np.ndarray) -> SceneQueries:
        values.append(float(image[..., 0].mean()))
        return SceneQueries(np.full((1, 1), values[-1], np.float32), np.ones((1, 1), np.float32))

    return SimpleNamespace(queries=queries, at_once=1)


def test_the_queries_of_a_scene_are_the_mean_of_the_windows_that_have_data(
    write_scene: Callable[..., Path], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (3, 200, 300), np.uint8)
    pixels[:, :, :80] = 0
    path = write_scene(tmp_path / "a.tif", pixels, nodata=0)
    plan = plan_of(200, 300)
    values: list[float] = []
    with Scene(str(path), Options()) as scene:
        found = survey(scene, reading(values), plan, TILES, Clock())
        looked_at = survey_windows(plan, TILES)
        empty = [place for place in looked_at if window_image(scene, plan, *place, TILES) is None]
        assert survey(scene, SimpleNamespace(queries=lambda image: None, at_once=1), plan, TILES, Clock()) is None  # type: ignore[arg-type]
    assert empty
    assert len(values) == len(looked_at) - len(empty)
    assert found is not None
    assert found.masks[0, 0] == pytest.approx(np.mean(values))

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsseg_edge.errors import RssegError
from rsseg_edge.scenes.cluster import DaskPool, unit_size
from rsseg_edge.scenes.run import SceneJob
from rsseg_edge.scenes.settings import SceneRequest
from rsseg_edge.scenes.units import consecutive, split

from .test_run import pixels


@pytest.fixture(scope="module")
def pool() -> Iterator[DaskPool]:
    with DaskPool(2) as pool:
        yield pool


@pytest.fixture
def request_(cells: Path, tmp_path: Path) -> SceneRequest:
    return SceneRequest(model=str(cells), out=tmp_path / "out", tile=64, overlap=32, threads=1)


def test_two_workers_one_of_them_killed_give_the_same_pixels(
    scene: Path, request_: SceneRequest, pool: DaskPool, tmp_path: Path
) -> None:
    request_ = replace(request_, probabilities=True)
    alone = SceneJob(replace(request_, out=tmp_path / "alone")).run(str(scene), "scene")
    pids = list(pool._client.run(os.getpid).values())
    assert len(set(pids)) == 2
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        if not killed:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    outcome = SceneJob(request_, pool).run(str(scene), "scene", kill_one)
    assert killed
    assert np.array_equal(pixels(request_.out / "scene.tif"), pixels(tmp_path / "alone" / "scene.tif"))
    two, one = (pixels(folder / "scene.probabilities.tif") for folder in (request_.out, tmp_path / "alone"))
    assert np.array_equal(two, one)
    assert [a.pixels for a in outcome.areas] == [a.pixels for a in alone.areas]
    assert outcome.bands > 8


def test_what_a_worker_cannot_do_is_told_here(scene: Path, request_: SceneRequest, pool: DaskPool) -> None:
    job = SceneJob(request_, pool)

    def take_away(task: Any, missing: Any, bands: Any = pool.bands) -> Any:
        return bands(replace(task, scene=f"{task.scene}.gone"), missing)

    job._pool = type("Pool", (), {"bands": staticmethod(take_away)})()
    with pytest.raises(RssegError, match=r"cannot open .*\.gone"):
        job.run(str(scene), "scene")


def test_units_are_not_so_small_that_rows_are_done_twice() -> None:
    assert [unit_size(bands, 2) for bands in (0, 1, 2, 10, 16, 120)] == [1, 1, 1, 5, 4, 20]


def test_units_cover_what_is_missing() -> None:
    missing = [0, 1, 2, 5, 6, 9]
    assert list(consecutive(missing)) == [range(3), range(5, 7), range(9, 10)]
    assert split(list(consecutive(missing)), 2) == [range(2), range(2, 3), range(5, 7), range(9, 10)]
    assert list(consecutive([])) == []

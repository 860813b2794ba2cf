import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import rsseg_edge
from rsseg_edge.errors import RssegError
from rsseg_edge.scenes import segment
from rsseg_edge.scenes.clock import Clock
from rsseg_edge.scenes.scene import Options, Scene
from rsseg_edge.scenes.segment import BandRun, Rows
from rsseg_edge.scenes.settings import SceneRequest, plan_windows
from rsseg_edge.scenes.survey import survey
from rsseg_edge.scenes.windows import Axis, Plan
from rsseg_edge.segmenters.scene_queries import SceneQueries

SMALL = SceneRequest(tile=256, overlap=128)


def segmented(path: Path, bundle: Path, request: SceneRequest = SMALL, bands: range | None = None) -> Any:
    """Plan, class map and confidence of the bands (all by default)."""
    segmenter: Any = rsseg_edge.load(bundle, threads=1)
    made: list[Rows] = []
    with Scene(str(path), Options()) as scene:
        plan = plan_windows(scene.geo, segmenter.spec, 4, request)
        bands = bands or range(len(plan.ready))
        BandRun(scene, segmenter, plan, None, made.append).run(bands)
    assert [rows.band for rows in made if rows.last] == list(bands)
    ends = np.cumsum([len(rows.class_map) for rows in made]) + made[0].top
    assert [rows.top for rows in made[1:]] == ends[:-1].tolist()
    return plan, np.concatenate([r.class_map for r in made]), np.concatenate([r.confidence for r in made])


def whole(path: Path, bundle: Path) -> Any:
    plan, class_map, confidence = segmented(path, bundle, SceneRequest(tile=1024, overlap=0))
    assert len(plan.ready) == 1
    return class_map, confidence


def test_windows_leave_no_seams(write_scene: Callable[..., Path], cells: Path, tmp_path: Path, image: Any) -> None:
    path = write_scene(tmp_path / "a.tif", image)
    class_map, confidence = whole(path, cells)
    plan, found, sure = segmented(path, cells)
    assert len(plan.ready) > 2
    inner = slice(0, -64), slice(0, -64)  # beyond, one is padded up to the size of its window
    difference = np.abs(sure.astype(int) - confidence)[inner]
    assert difference.max() <= 1, "the network reaches no further than the halo"
    assert (found != class_map)[inner].mean() < 1e-3
    _, naive, _ = segmented(path, cells, replace(SMALL, overlap=0))
    assert (naive != class_map)[inner].mean() > 0.02, "this network is wrong at the ends of windows"


class OfItsWindow:
    """Two classes, told apart by whether a cell is brighter than its query: the mean of the window, or the scene's."""

    at_once = 1
    score_stride = 4

    def queries(self, image: Any) -> SceneQueries:
        return SceneQueries(np.full((1, 1), image.mean(), np.float32), np.ones((1, 2), np.float32))

    def start_scores(self, image: Any, queries: SceneQueries | None = None) -> Any:
        cells = image.astype(np.float32).mean(2).reshape(image.shape[0] // 4, 4, image.shape[1] // 4, 4).mean((1, 3))
        bright = 1 / (1 + np.exp(((queries or self.queries(image)).masks[0, 0] - cells) / 16))
        return lambda: np.stack([1 - bright, bright])

    def decide_enlarged(self, scores: Any) -> None:
        """It has no kernel."""

    def decide(self, scores: Any) -> Any:
        return scores.argmax(0).astype(np.uint8), (255 * scores.max(0)).astype(np.uint8)


def test_windows_that_share_the_queries_of_the_scene_agree_wherever_they_lie(scene: Path) -> None:
    segmenter: Any = OfItsWindow()

    def class_map(offset: int, *, shared: bool) -> Any:
        made: list[Rows] = []
        with Scene(str(scene), Options()) as opened:
            axes = [Axis(length, 128, 32, 8, 4, 32, offset) for length in (opened.geo.height, opened.geo.width)]
            plan = Plan(*axes, opened.geo.height, opened.geo.width)
            queries = survey(opened, segmenter, plan, (128, 128), Clock()) if shared else None
            BandRun(opened, segmenter, plan, queries, made.append).run(range(len(plan.ready)))
        return np.concatenate([rows.class_map for rows in made])

    assert (class_map(0, shared=True) != class_map(64, shared=True)).mean() < 1e-3, "rounding alone"
    assert (class_map(0, shared=False) != class_map(64, shared=False)).mean() > 0.01


class Counting(OfItsWindow):
    """Counts the answers of the network that nobody has made scores of yet, and who makes them."""

    def __init__(self) -> None:
        self.waiting, self.most = 0, 0
        self.threads: set[str] = set()
        self._lock = threading.Lock()

    def start_scores(self, image: Any, queries: SceneQueries | None = None) -> Any:
        scores = super().start_scores(image, queries)
        with self._lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)

        def slowly() -> Any:
            time.sleep(0.02)
            self.threads.add(threading.current_thread().name)
            with self._lock:
                self.waiting -= 1
            return scores()

        return slowly


def test_one_window_is_blended_while_the_network_is_at_the_next(scene: Path) -> None:
    segmenter: Any = Counting()
    with Scene(str(scene), Options()) as opened:
        axes = [Axis(length, 128, 32, 8, 4, 32) for length in (opened.geo.height, opened.geo.width)]
        plan = Plan(*axes, opened.geo.height, opened.geo.width)
        BandRun(opened, segmenter, plan, None, lambda rows: None).run(range(len(plan.ready)))
    assert segmenter.threads == {"rsseg-blend"}
    assert segmenter.waiting == 0
    assert segmenter.most <= 3, "one at work, one that it takes next, one just made: they are large"


def test_a_failure_behind_the_network_ends_the_run(scene: Path) -> None:
    segmenter: Any = Counting()

    def fail(rows: Rows) -> None:
        raise RssegError("the disk is full")

    with Scene(str(scene), Options()) as opened:
        axes = [Axis(length, 128, 32, 8, 4, 32) for length in (opened.geo.height, opened.geo.width)]
        plan = Plan(*axes, opened.geo.height, opened.geo.width)
        with pytest.raises(RssegError, match="disk is full"):
            BandRun(opened, segmenter, plan, None, fail).run(range(len(plan.ready)))


@pytest.mark.parametrize("band", [0, 1, 2])
def test_a_band_is_the_same_wherever_a_run_begins(scene: Path, cells: Path, band: int) -> None:
    plan, class_map, confidence = segmented(scene, cells)
    assert len(plan.ready) >= 4
    top, bottom = plan.bounds[band], plan.bounds[band + 2]
    _, found, sure = segmented(scene, cells, bands=range(band, band + 2))
    assert np.array_equal(found, class_map[top:bottom])
    assert np.array_equal(sure, confidence[top:bottom])


def test_no_data_stays_where_it_was(scene: Path, cells: Path) -> None:
    _, class_map, confidence = segmented(scene, cells)
    expected = np.zeros((530, 700), bool)
    expected[200:260, 300:330] = True
    expected[:, :9] = True
    assert np.array_equal(class_map == 255, expected)
    assert np.array_equal(confidence == 0, expected)


def test_rows_of_windows_without_data_are_left_out(
    write_scene: Callable[..., Path], cells: Path, tmp_path: Path, image: Any
) -> None:
    image = np.maximum(image, 1)
    expected, _ = whole(write_scene(tmp_path / "full.tif", image), cells)
    image[:, :300] = 0
    path = write_scene(tmp_path / "half.tif", image, nodata=0)
    _, class_map, _ = segmented(path, cells)
    assert (class_map[:300] == 255).all()
    assert (class_map[340:-64, :-64] == expected[340:-64, :-64]).mean() > 0.99


@pytest.mark.parametrize("gsd", [1.0, 1.37, 0.4])
def test_a_resampled_scene_has_its_own_grid_and_the_same_classes(
    write_scene: Callable[..., Path], cells: Path, tmp_path: Path, gsd: float
) -> None:
    values = np.zeros((3, 437, 613), np.uint8)
    values[0] = np.array([40, 130, 220], np.uint8)[np.arange(613) * 3 // 613]
    path = write_scene(tmp_path / "a.tif", values)
    plan, class_map, _ = segmented(path, cells, replace(SMALL, gsd=gsd))
    assert class_map.shape == (437, 613)
    assert plan.columns.length == round(613 * 0.5 / gsd)
    for third in range(3):
        middle = class_map[60:-60, 613 * third // 3 + 70 : 613 * (third + 1) // 3 - 70]
        assert (middle == third).all()
    border = np.argmax(class_map[200] == 1)
    assert abs(border - 613 / 3) < 4, "classes lie where they are in the scene"


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(3)
    small = rng.uniform(0, 255, (14, 17)).astype(np.float32)
    red = np.clip(cv2.resize(small, (690, 521), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    return np.stack([red, red, red])


def test_a_scene_smaller_than_a_window(write_scene: Callable[..., Path], cells: Path, tmp_path: Path) -> None:
    values = np.full((3, 3, 5), 220, np.uint8)
    plan, class_map, _ = segmented(write_scene(tmp_path / "a.tif", values), cells, SceneRequest())
    assert class_map.shape == (3, 5)
    assert isinstance(plan, Plan)
    assert plan.columns.tile == 32


@pytest.mark.parametrize("probabilities", [False, True])
def test_bands_do_not_depend_on_how_many_rows_are_decided_on_at_once(
    write_scene: Callable[..., Path],
    cells: Path,
    tmp_path: Path,
    image: Any,
    monkeypatch: pytest.MonkeyPatch,
    probabilities: bool,
) -> None:
    image[:, 100:180, 30:90] = 0
    path = write_scene(tmp_path / "a.tif", image, nodata=0)
    segmenter: Any = rsseg_edge.load(cells, threads=1)

    def planes(rows: int) -> np.ndarray:
        monkeypatch.setattr(segment, "ROWS", rows)
        made: list[Rows] = []
        with Scene(str(path), Options()) as scene:
            plan = plan_windows(scene.geo, segmenter.spec, 4, SMALL)
            classes = len(segmenter.table) if probabilities else 0
            BandRun(scene, segmenter, plan, None, made.append, classes=classes).run(range(len(plan.ready)))
        assert max(len(part.class_map) for part in made) <= rows
        return np.concatenate([[part.class_map, part.confidence, *part.probabilities] for part in made], axis=1)

    expected = planes(1000)
    assert (expected[0] == 255).any()
    for rows in (1, 23):
        np.testing.assert_array_equal(planes(rows), expected)


class Together(OfItsWindow):
    """Takes two windows at once, and notes how many there are; the first ones take longest."""

    at_once = 2

    def __init__(self) -> None:
        self.inside, self.most, self.asked = 0, 0, 0
        self._lock = threading.Lock()

    def start_scores(self, image: Any, queries: SceneQueries | None = None) -> Any:
        with self._lock:
            self.inside += 1
            self.asked += 1
            self.most = max(self.most, self.inside)
            number = self.asked
        time.sleep(0.03 if number % 3 == 1 else 0.005)
        scores = super().start_scores(image, queries)
        with self._lock:
            self.inside -= 1
        return scores


def test_several_windows_at_once_make_the_same_map(scene: Path) -> None:
    def class_map(segmenter: Any, clock: Clock) -> Any:
        made: list[Rows] = []
        with Scene(str(scene), Options()) as opened:
            axes = [Axis(length, 128, 32, 8, 4, 32) for length in (opened.geo.height, opened.geo.width)]
            plan = Plan(*axes, opened.geo.height, opened.geo.width)
            queries = survey(opened, segmenter, plan, (128, 128), clock)
            BandRun(opened, segmenter, plan, queries, made.append, clock=clock).run(range(len(plan.ready)))
        return np.concatenate([rows.class_map for rows in made])

    together, alone, clock, other = Together(), OfItsWindow(), Clock(), Clock()
    np.testing.assert_array_equal(class_map(together, clock), class_map(alone, other))
    assert together.most == 2
    assert (clock.windows, clock.survey, clock.pixels) == (other.windows, other.survey, other.pixels)


def test_a_window_that_fails_beside_others_ends_the_run(scene: Path) -> None:
    class Failing(Together):
        def start_scores(self, image: Any, queries: SceneQueries | None = None) -> Any:
            if self.asked == 3:
                raise RssegError("the engine failed")
            return super().start_scores(image, queries)

    segmenter: Any = Failing()
    with Scene(str(scene), Options()) as opened:
        axes = [Axis(length, 128, 32, 8, 4, 32) for length in (opened.geo.height, opened.geo.width)]
        plan = Plan(*axes, opened.geo.height, opened.geo.width)
        with pytest.raises(RssegError, match="engine failed"):
            BandRun(opened, segmenter, plan, None, lambda rows: None).run(range(len(plan.ready)))

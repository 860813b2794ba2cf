import json
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import rsseg_edge
from rsseg_edge.datasets.scenes import generate_clip
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.pipeline import Pipeline
from rsseg_edge.sinks.frame_log import FrameLog
from rsseg_edge.temporal.score_grid import ScoreGrid
from rsseg_edge.temporal.segmenter import GridSegmenter, Steadiness, TemporalSegmenter
from rsseg_edge.types import ClassTable, Frame, Segmentation

Ground = Callable[..., np.ndarray]
CELL = 4


def table() -> ClassTable:
    return ClassTable(("low", "high"), ((0, 0, 0), (9, 9, 9)))


class Bright:
    """What is bright, by the mean of 4 x 4 pixels; with noise from a seed; may fail at a call."""

    spec, long_side = None, 512

    def __init__(self, noise: float = 0.0, fail_at: int | None = None) -> None:
        self.table = table()
        self.calls = 0
        self._noise, self._fail_at, self._rng = noise, fail_at, np.random.default_rng(0)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        return image

    def infer_scores(self, prepared: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls - 1 == self._fail_at:
            raise RssegError("the network fails")
        height, width = (-(-side // CELL) for side in prepared.shape[:2])
        padded = cv2.copyMakeBorder(
            prepared[..., 0],
            0, height * CELL - prepared.shape[0], 0, width * CELL - prepared.shape[1], cv2.BORDER_REPLICATE,
        )  # fmt: skip
        mean = cv2.resize(padded, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        high = np.clip(mean + self._noise * self._rng.normal(size=mean.shape), 0, 1).astype(np.float32)
        return np.stack([1 - high, high])

    def score_grid(self, image: np.ndarray, raw: np.ndarray) -> ScoreGrid:
        return ScoreGrid(raw, (0, 0, image.shape[1] / CELL, image.shape[0] / CELL), self.table, self._decide)

    def _decide(self, image: np.ndarray, scores: np.ndarray) -> Segmentation:
        size = (scores.shape[2] * CELL, scores.shape[1] * CELL)
        high = cv2.resize(scores[1], size)[: image.shape[0], : image.shape[1]]
        confidence = np.rint(255 * np.maximum(high, 1 - high)).astype(np.uint8)
        return Segmentation((high > 0.5).astype(np.uint8), confidence, self.table)

    def close(self) -> None: ...


def flight(ground: Ground, frames: int, step: int = 3, seed: int = 1) -> list[np.ndarray]:
    picture = ground(seed, 300, 700)
    return [np.dstack([picture[60:211, 20 + step * i : 253 + step * i]] * 3) for i in range(frames)]


def keys(results: list[Segmentation]) -> list[int]:
    return [index for index, result in enumerate(results) if result.keyframe]


def steady(segmenter: GridSegmenter, smooth: float = 0.0, keyframes: int = 1) -> TemporalSegmenter:
    return TemporalSegmenter(segmenter, Steadiness(smooth, keyframes))


def test_frames_between_key_frames_follow_the_motion(ground: Ground) -> None:
    images = flight(ground, 9)
    network = Bright()
    results = [steady_one(image) for steady_one in [steady(network, keyframes=4)] for image in images]
    assert keys(results) == [0, 4, 8]
    assert network.calls == 3
    for image, result in zip(images, results, strict=True):
        truth = Bright()
        expected = truth.score_grid(image, truth.infer_scores(image)).decide(image, truth.infer_scores(image))
        assert result.class_map.shape == image.shape[:2]
        assert (result.class_map == expected.class_map)[:, :-24].mean() > 0.97


def test_what_came_into_view_is_shown_without_confidence(ground: Ground) -> None:
    segmenter = steady(Bright(), keyframes=4)
    *_, last = [segmenter(image) for image in flight(ground, 4, step=6)]
    assert last.keyframe is False
    assert last.confidence[:, -14:].max() == 0
    assert last.confidence[:, :200].mean() > 120


def test_key_frames_come_earlier_where_much_moves(ground: Ground) -> None:
    slow, fast = (steady(Bright(), keyframes=6) for _ in range(2))
    assert keys([slow(image) for image in flight(ground, 12, step=2)]) == [0, 6]
    found = keys([fast(image) for image in flight(ground, 12, step=30)])
    assert found[1] < 6
    assert len(found) > 4


def test_a_cut_begins_anew(ground: Ground) -> None:
    images = [*flight(ground, 3), *flight(ground, 3, seed=2)]
    segmenter = steady(Bright(), smooth=0.9, keyframes=8)
    results = [segmenter(image) for image in images]
    assert keys(results) == [0, 3]
    alone = steady(Bright())(images[3])
    assert np.array_equal(results[3].class_map, alone.class_map)
    assert np.array_equal(results[3].confidence, alone.confidence)


def test_other_classes_begin_anew(ground: Ground) -> None:
    network = Bright()
    segmenter = steady(network, smooth=0.9, keyframes=8)
    results = []
    for index, image in enumerate(flight(ground, 6)):
        if index == 2:
            network.table = table()
        results.append(segmenter(image))
    assert keys(results) == [0, 2]
    assert results[2].table is network.table
    assert results[5].table is network.table
    assert np.array_equal(results[2].confidence, steady(Bright())(flight(ground, 6)[2]).confidence)


def test_another_size_begins_anew(ground: Ground) -> None:
    segmenter = steady(Bright(), smooth=0.5, keyframes=8)
    images = flight(ground, 4)
    results = [segmenter(image) for image in (images[0], images[1][:97, :131], images[2][:97, :131], images[3])]
    assert keys(results) == [0, 1, 3]
    assert [r.class_map.shape for r in results] == [(151, 233), (97, 131), (97, 131), (151, 233)]


def test_smoothing_takes_noise_away_and_leaves_what_is_there(ground: Ground) -> None:
    images = flight(ground, 20)
    clean = steady(Bright())
    truth = [clean(image).class_map for image in images]
    errors = {}
    for smooth in (0.0, 0.7):
        segmenter = steady(Bright(noise=0.3), smooth=smooth)
        found = [segmenter(image).class_map for image in images]
        errors[smooth] = np.mean([(f != t).mean() for f, t in zip(found[8:], truth[8:], strict=True)])
    assert errors[0.7] < 0.6 * errors[0.0]


def test_what_changes_is_not_smoothed_away(ground: Ground) -> None:
    images = flight(ground, 5, step=0)
    images[4] = images[4].copy()
    images[4][40:80, 100:150] = np.where(images[4][40:80, 100:150] > 127, 20, 235)
    segmenter = steady(Bright(), smooth=0.9)
    *_, last = [segmenter(image) for image in images]
    alone = steady(Bright())(images[4])
    assert (last.class_map == alone.class_map)[46:74, 106:144].mean() > 0.9


def test_frames_may_be_left_out_before_the_network(ground: Ground) -> None:
    images = flight(ground, 9, step=2)
    segmenter = steady(Bright(), smooth=0.5, keyframes=3)
    prepared = [segmenter.prepare(image) for image in images]  # as a live run does: dropped once they wait too long
    taken = [index for index in range(9) if index % 2 == 0]
    results = [segmenter.finish(images[i], segmenter.infer(prepared[i])) for i in taken]
    assert keys(results) == [0, 3]


def test_a_frame_without_its_key_frame_fails_and_the_next_is_one(ground: Ground) -> None:
    images = flight(ground, 6)
    segmenter = steady(Bright(fail_at=1), keyframes=2)
    results: list[Segmentation | None] = []
    for image in images:
        try:
            results.append(segmenter(image))
        except RssegError:
            results.append(None)
    assert [r if r is None else r.keyframe for r in results] == [True, False, None, True, False, True]
    lost = steady(Bright(), keyframes=4)
    lost.infer(lost.prepare(images[0]))  # and its finish failed
    with pytest.raises(RssegError, match="lost"):
        lost(images[1])


def test_the_pipeline_keeps_the_order_and_the_log_tells_key_frames(ground: Ground, tmp_path: Path) -> None:
    frames = [Frame(image, index, "x") for index, image in enumerate(flight(ground, 10))]
    threads = set()
    segmenter = steady(Bright(), smooth=0.5, keyframes=3)
    alone = steady(Bright(), smooth=0.5, keyframes=3)
    expected = [alone(frame.image) for frame in frames]
    shown = []

    def keep(result: object) -> None:
        threads.add(threading.get_ident())
        shown.append(result)

    outcome = Pipeline(frames, segmenter, [FrameLog(tmp_path / "frames.jsonl")]).run(keep)
    assert outcome.error is None
    assert outcome.frames == 10
    for result, wanted in zip(shown, expected, strict=True):
        assert np.array_equal(result.segmentation.class_map, wanted.class_map)
    lines = [json.loads(line) for line in (tmp_path / "frames.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(10))
    assert [line["keyframe"] for line in lines] == [index % 3 == 0 for index in range(10)]
    for line, wanted in zip(lines, expected, strict=True):
        assert line["classes"]["high"]["pixels"] == np.count_nonzero(wanted.class_map)


@pytest.mark.parametrize(("smooth", "keyframes"), [(-0.1, 1), (1.0, 1), (float("nan"), 1), (0.5, 0)])
def test_settings_out_of_range_are_refused(smooth: float, keyframes: int) -> None:
    with pytest.raises(UsageError, match=r"smoothing|key frames"):
        Steadiness(smooth, keyframes)


def test_the_shipped_models_take_part() -> None:
    images = [sample.image for sample in generate_clip(3, 4, 150, 211)]
    for name in ("segclip-tiny", "segearth-ov-tiny"):
        plain = rsseg_edge.load(name, long_side=224)
        assert isinstance(plain, GridSegmenter)
        segmenter = steady(plain, keyframes=4)
        results = [segmenter(image) for image in images]
        assert keys(results) == [0]
        assert results[0].table is plain.table
        assert (results[0].class_map == plain(images[0]).class_map).mean() > 0.98, name
        for before, now in pairwise(results):
            assert (before.class_map == now.class_map).mean() > 0.9, name
        segmenter.close()

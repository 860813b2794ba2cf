"""Ranges are those of all values of all images, whatever happened on the way."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from rsseg_edge.calibration import ranges as module  # noqa: E402
from rsseg_edge.calibration.histogram import BINS, Histogram  # noqa: E402
from rsseg_edge.calibration.ranges import CHUNK, Record, measure_ranges  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402

NAMES = ["planes", "x0", "sum", "normed", "relu"]


@pytest.fixture
def samples(make_picture):
    return [{"image": make_picture(seed, *size)[None]} for seed, size in enumerate([(64, 96), (96, 64), (32, 32)] * 6)]


def test_extremes_are_those_of_every_value(graph, samples) -> None:
    found = measure_ranges(graph, NAMES, samples)
    exposed = onnx.ModelProto()
    exposed.CopyFrom(graph)
    exposed.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in NAMES)
    engine = OnnxRuntimeEngine(exposed.SerializeToString())
    values = [engine.infer(sample, NAMES) for sample in samples]
    for name in NAMES:
        everything = np.concatenate([v[name].ravel() for v in values])
        assert found[name].low == everything.min()
        assert found[name].high == everything.max()
        assert found[name].counts.sum() == everything.size  # small enough that all are counted
        width = 2 * found[name].reach / BINS
        median = found[name].centres()[np.searchsorted(found[name].counts.cumsum(), everything.size / 2)]
        assert abs(median - np.median(everything)) <= 2 * width


def test_the_order_of_images_does_not_matter(graph, samples) -> None:
    one, other = measure_ranges(graph, NAMES, samples), measure_ranges(graph, NAMES, samples[::-1])
    for name in NAMES:
        assert (one[name].low, one[name].high, one[name].reach) == (
            other[name].low,
            other[name].high,
            other[name].reach,
        )
        assert np.abs(one[name].counts.cumsum() - other[name].counts.cumsum()).max() <= 1  # a value on a border of bins


def test_an_interrupted_run_goes_on_and_finds_the_same(graph, samples, tmp_path) -> None:
    whole = measure_ranges(graph, NAMES, samples)
    asked: list[int] = []

    class Interrupted(list):
        def __getitem__(self, index):
            asked.append(index)
            if index == CHUNK + 3 and asked.count(index) == 1:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    record, given = Record(tmp_path / "work", "a key"), Interrupted(samples)
    with pytest.raises(KeyboardInterrupt):
        measure_ranges(graph, NAMES, given, record=record)
    asked.clear()
    asked.append(CHUNK + 3)
    resumed = measure_ranges(graph, NAMES, given, record=record)
    assert set(asked[1:]) == {0, *range(CHUNK, len(samples))}  # 0 tells the sizes
    for name in NAMES:
        assert (resumed[name].low, resumed[name].high) == (whole[name].low, whole[name].high)
        assert (resumed[name].counts == whole[name].counts).all()
    assert measure_ranges(graph, NAMES, samples[:0] + samples, record=record)["x0"].low == whole["x0"].low


@pytest.mark.parametrize("damage", ["another key", "cut short", "nonsense"])
def test_a_record_that_is_not_of_this_run_is_not_taken_up(graph, samples, tmp_path, damage: str) -> None:
    measure_ranges(graph, NAMES, samples[:4], record=Record(tmp_path, "one"))
    key = "two" if damage == "another key" else "one"
    if damage == "cut short":
        (tmp_path / module.COUNTS).write_bytes((tmp_path / module.COUNTS).read_bytes()[:100])
    if damage == "nonsense":
        (tmp_path / module.STATE).write_text('{"key": 3')
    found = measure_ranges(graph, NAMES, samples, record=Record(tmp_path, key))
    assert (found["x0"].counts == measure_ranges(graph, NAMES, samples)["x0"].counts).all()


def test_memory_does_not_grow_with_the_images(graph, make_picture) -> None:
    class Endless:
        def __init__(self, count: int) -> None:
            self.count = count

        def __len__(self) -> int:
            return self.count

        def __getitem__(self, index: int):
            return {"image": make_picture(index, 256, 256)[None]}

    peaks = []
    for count in (4, 24):
        tracemalloc.start()
        measure_ranges(graph, NAMES, Endless(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 32 << 20


def test_a_value_that_is_no_number_is_remembered_and_never_counted() -> None:
    histogram = Histogram()
    histogram.add(-1.0, 1.0, 0.5, np.array([-1.0, 1.0], np.float32))
    histogram.add(-9.0, 9.0, float("nan"), np.array([9.0], np.float32))
    assert not histogram.finite
    assert histogram.greatest == float("inf")
    assert (histogram.low, histogram.high, histogram.counts.sum()) == (-1.0, 1.0, 2)


def test_a_growing_range_keeps_what_was_counted() -> None:
    rng = np.random.default_rng(1)
    parts = [rng.normal(0, s, 5000).astype(np.float32) for s in (0.01, 1.0, 300.0)]
    grown, at_once = Histogram(), Histogram()
    for values in parts:
        grown.add(float(values.min()), float(values.max()), float(np.abs(values).mean()), values)
    everything = np.concatenate(parts)
    at_once.add(float(everything.min()), float(everything.max()), float(np.abs(everything).mean()), everything)
    assert grown.reach == at_once.reach
    assert grown.counts.sum() == at_once.counts.sum() == 15000
    assert np.abs(grown.counts.cumsum() - at_once.counts.cumsum()).max() <= 2

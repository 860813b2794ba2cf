import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rsseg_edge.errors import RssegError
from rsseg_edge.pipeline import Pipeline
from rsseg_edge.sinks.base import Sink
from rsseg_edge.types import ClassTable, Frame, Result, Segmentation

TABLE = ClassTable(("even", "odd"), ((0, 0, 0), (255, 255, 255)))
STAGES = ("decode", "prepare", "infer", "finish", "write")


class Recorder(Sink):
    """Keeps what it was told; may fail at a frame."""

    def __init__(self, fail_at: int | None = None, fail_close: bool = False) -> None:
        self.indices: list[int] = []
        self.state = "new"
        self.fail_at, self.fail_close = fail_at, fail_close

    def open(self) -> None:
        self.state = "open"

    def write(self, result: Result) -> None:
        if result.frame.index == self.fail_at:
            raise RssegError("write fails")
        self.indices.append(result.frame.index)

    def close(self) -> None:
        if self.fail_close:
            raise RssegError("close fails")
        self.state = "published"

    def discard(self) -> None:
        if self.state != "published":
            self.state = "discarded"


class Parity:
    """A segmenter whose class is the parity of the frame's index; it may fail or dawdle in any of its steps."""

    classes = TABLE.names

    def __init__(self, fail: tuple[str, int] | None = None, dawdle: dict[str, float] | None = None) -> None:
        self.fail, self.dawdle = fail, dawdle or {}
        self.threads: dict[str, set[int]] = {}

    def _step(self, name: str, index: int) -> None:
        self.threads.setdefault(name, set()).add(threading.get_ident())
        time.sleep(self.dawdle.get(name, 0))
        if self.fail == (name, index):
            raise RssegError(f"{name} fails")

    def prepare(self, image: np.ndarray) -> np.ndarray:
        self._step("prepare", int(image[0, 0, 0]))
        return image

    def infer(self, prepared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._step("infer", int(prepared[0, 0, 0]))
        return prepared[..., 0] % 2, prepared[..., 1]

    def finish(self, image: np.ndarray, raw: tuple[np.ndarray, np.ndarray]) -> Segmentation:
        self._step("finish", int(image[0, 0, 0]))
        return Segmentation(*raw, TABLE)


def frames(count: int, fail_at: int | None = None, dawdle: float = 0) -> Iterator[Frame]:
    for index in range(count):
        time.sleep(dawdle)
        if index == fail_at:
            raise RssegError("decode fails")
        yield Frame(np.full((4, 6, 3), index, np.uint8), index, "x")


def within(seconds: float, work: Callable[[], object]) -> None:
    """Fail where the work does not end in time: a deadlock must not hang the suite."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "the pipeline hangs"


def test_every_frame_arrives_in_order_and_is_counted() -> None:
    sink, seen = Recorder(), []
    outcome = Pipeline(frames(101), Parity(), [sink]).run(lambda result: seen.append(result.frame.index))
    assert sink.indices == seen == list(range(101))
    assert sink.state == "published"
    assert outcome.frames == 101
    assert [(name, area.pixels) for name, area in outcome.areas.items()] == [
        (TABLE.names[0], 51 * 24),
        (TABLE.names[1], 50 * 24),
    ]
    assert outcome.pixels == 101 * 24
    assert outcome.error is None
    assert not outcome.stopped
    assert {name: len(times.wall) for name, times in outcome.stages.items()} == dict.fromkeys(STAGES, 101)


def test_an_empty_source_is_no_error() -> None:
    assert Pipeline(frames(0), Parity(), [Recorder()]).run().frames == 0


def test_each_step_of_the_segmenter_has_one_thread_of_its_own() -> None:
    segmenter = Parity()
    Pipeline(frames(20), segmenter, []).run()
    assert [len(segmenter.threads[name]) for name in STAGES[1:4]] == [1, 1, 1]
    assert len(set.union(*segmenter.threads.values())) == 3


def test_stages_overlap() -> None:
    slow = dict.fromkeys(STAGES[1:4], 0.01)
    outcome = Pipeline(frames(40, dawdle=0.01), Parity(dawdle=slow), []).run()
    assert outcome.seconds < 0.04 * 40 * 0.6, "in turn it would be 0.04 s a frame, overlapping 0.01"


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("at", [0, 1, 50, 99])
def test_an_error_in_a_stage_ends_all_and_publishes_what_came_before(stage: str, at: int) -> None:
    sink = Recorder(fail_at=at if stage == "write" else None)
    source = frames(100, fail_at=at if stage == "decode" else None)
    pipeline = Pipeline(source, Parity(fail=(stage, at)), [sink])
    outcomes: list = []
    within(20, lambda: outcomes.append(pipeline.run()))
    assert str(outcomes[0].error) == f"{stage} fails"
    assert sink.indices == list(range(at))
    assert outcomes[0].frames == at
    assert sink.state == ("discarded" if stage == "write" else "published")


def test_a_sink_that_fails_does_not_take_the_others_with_it() -> None:
    good, bad = Recorder(), Recorder(fail_at=5)
    outcome = Pipeline(frames(100), Parity(), [bad, good]).run()
    assert (bad.state, good.state) == ("discarded", "published")
    assert good.indices == list(range(5)) == list(range(outcome.frames))


def test_a_sink_that_fails_to_close_does_not_take_the_others_with_it() -> None:
    good, bad = Recorder(), Recorder(fail_close=True)
    outcome = Pipeline(frames(3), Parity(), [bad, good]).run()
    assert str(outcome.error) == "close fails"
    assert (bad.state, good.state) == ("discarded", "published")


def test_a_sink_that_cannot_be_opened_ends_the_run_before_it_begins() -> None:
    class Refusing(Recorder):
        def open(self) -> None:
            raise RssegError("cannot open")

    first = Recorder()
    with pytest.raises(RssegError, match="cannot open"):
        Pipeline(frames(3), Parity(), [first, Refusing()]).run()
    assert first.state == "discarded"


def test_stop_ends_soon_and_publishes_what_is_done() -> None:
    sink, segmenter = Recorder(), Parity(dawdle={"infer": 0.05})
    pipeline = Pipeline(frames(250), segmenter, [sink])
    timer = threading.Timer(0.3, pipeline.stop)
    timer.start()
    outcomes: list = []
    within(5, lambda: outcomes.append(pipeline.run()))
    assert outcomes[0].stopped
    assert outcomes[0].error is None
    assert 0 < outcomes[0].frames < 30
    assert sink.indices == list(range(outcomes[0].frames))
    assert sink.state == "published"


@pytest.mark.parametrize("slow", STAGES[1:4])
def test_stop_while_every_queue_is_full_or_empty(slow: str) -> None:
    pipeline = Pipeline(frames(250), Parity(dawdle={slow: 0.02}), [Recorder()])
    threading.Timer(0.1, pipeline.stop).start()
    within(5, pipeline.run)


def test_a_defect_is_kept_as_it_is() -> None:
    class Broken(Parity):
        def infer(self, prepared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            raise ZeroDivisionError

    assert isinstance(Pipeline(frames(9), Broken(), [Recorder()]).run().error, ZeroDivisionError)

"""One engine, many threads: an engine of numpy that notes what it was given at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from rsseg_edge.engines import shared as module
from rsseg_edge.engines.base import Done
from rsseg_edge.engines.onnx_file import Signature, TensorInfo
from rsseg_edge.engines.shared import BatchCounts, SharedEngine
from rsseg_edge.errors import RssegError


class Doubling:
    """``image`` [n, h, w] times ``factor`` [1] to ``double``; takes a while, and fails where a value is 13."""

    outputs = ("double", "seen")

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds = seconds
        self.calls: list[list[int]] = []
        self.threads: set[int] = set()
        self.closed = False

    def start(self, inputs: Any, outputs: Sequence[str] | None = None) -> Done:
        image = inputs["image"]
        self.threads.add(threading.get_ident())
        self.calls.append(image[:, 0, 0].tolist())
        time.sleep(self.seconds)
        if (image == 13).any():
            raise RssegError("13 is refused")
        return Done({"double": image * inputs["factor"], "seen": np.array(7)})

    def infer(self, inputs: Any, outputs: Sequence[str] | None = None) -> Any:
        return self.start(inputs, outputs).result()

    def close(self) -> None:
        self.closed = True


def signature(batch: int | str) -> Signature:
    number = np.dtype(np.float32)
    inputs = TensorInfo("image", number, (batch, "h", "w")), TensorInfo("factor", number, (1,))
    outputs = TensorInfo("double", number, (batch, "h", "w")), TensorInfo("seen", number, ())
    return Signature(inputs, outputs, frozenset())


def open_shared(batch: int | str = "n", **given: Any) -> tuple[Doubling, SharedEngine, BatchCounts]:
    engine, counts = Doubling(**given), BatchCounts()
    return engine, SharedEngine(engine, signature(batch), ("image", 0), counts), counts


FACTOR = np.full(1, 2, np.float32)


def ask(engine: SharedEngine, number: int, size: tuple[int, int] = (3, 5), factor: np.ndarray = FACTOR) -> np.ndarray:
    found = engine.infer({"image": np.full((1, *size), number, np.float32), "factor": factor})
    assert found["seen"] == 7
    return found["double"]


def at_once(*works: Callable[[], Any]) -> None:
    failed: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "the engine hangs"
    if failed:
        raise failed[0]


def stream(engine: SharedEngine, begin: int, count: int) -> Callable[[], None]:
    """Frames one after the other, as a stage of a pipeline asks for them."""

    def run() -> None:
        for number in range(begin, begin + count):
            found = ask(engine, number)
            assert found.shape == (1, 3, 5)
            assert (found == 2 * number).all(), "another stream's frame"

    return run


def test_streams_that_wait_together_go_as_one_batch_and_each_gets_its_own() -> None:
    engine, shared, counts = open_shared()
    at_once(*(stream(shared, 100 * k, 12) for k in range(1, 5)))
    assert counts.joins
    assert counts.frames == 48 == sum(map(len, engine.calls))
    assert counts.calls == len(engine.calls) < 24
    assert counts.largest == 4 == max(map(len, engine.calls))
    assert len(engine.threads) == 1
    assert len(counts.times.wall) == counts.calls


def test_two_streams_find_together_though_each_came_while_the_other_was_answered() -> None:
    _engine, shared, counts = open_shared()
    at_once(stream(shared, 100, 20), lambda: (time.sleep(0.03), stream(shared, 200, 20)()))
    assert counts.largest == 2
    assert counts.calls < 30


def test_one_stream_alone_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER", 0.5)
    _, shared, _ = open_shared(seconds=0)
    begin = time.monotonic()
    stream(shared, 100, 10)()
    assert time.monotonic() - begin < 0.4


def test_a_graph_of_one_frame_takes_turns() -> None:
    engine, shared, counts = open_shared(1, seconds=0.005)
    at_once(*(stream(shared, 100 * k, 20) for k in range(1, 4)))
    assert not counts.joins
    assert counts.largest == 1
    owners = [int(call[0]) // 100 for call in engine.calls]
    for turn in range(3, 51, 3):
        assert set(owners[turn : turn + 3]) == {1, 2, 3}, "one stream took another's turn"


def test_a_busy_stream_does_not_keep_a_rare_one_waiting() -> None:
    engine, shared, _ = open_shared(1, seconds=0.02)
    waits: list[float] = []

    def rare() -> None:
        for number in range(5):
            time.sleep(0.05)
            begin = time.monotonic()
            ask(shared, 500 + number)
            waits.append(time.monotonic() - begin)

    at_once(stream(shared, 100, 30), stream(shared, 200, 30), rare)
    place = [engine.calls.index([float(500 + n)]) for n in range(5)]
    assert place == sorted(place)
    assert place[-1] < 60, "it came after everything else"
    assert np.median(waits) < 0.15  # the call that runs, one of each of the others, its own: 0.08


def test_what_does_not_fit_together_goes_apart() -> None:
    engine, shared, counts = open_shared()
    ask(shared, 1)
    three = np.full(1, 3, np.float32)

    def other_factor() -> None:
        for n in range(10):
            assert (ask(shared, n, factor=three) == 3 * n).all()

    def other_size() -> None:
        for n in range(10):
            assert ask(shared, n, size=(4, 4)).shape == (1, 4, 4)

    at_once(stream(shared, 100, 10), other_factor, other_size)
    assert counts.largest == 1
    assert len(engine.calls) == 31


def test_a_frame_that_fails_takes_no_other_stream_with_it() -> None:
    engine, shared, _ = open_shared()
    refused: list[str] = []

    def failing() -> None:
        for _ in range(8):
            try:
                ask(shared, 13)
            except RssegError as error:
                refused.append(str(error))

    at_once(stream(shared, 100, 8), failing, stream(shared, 200, 8))
    assert refused == ["13 is refused"] * 8
    assert max(map(len, engine.calls)) > 1


def test_a_batch_keeps_to_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_BYTES", 2 * 3 * 5 * 4)  # the outputs of two frames
    engine, shared, counts = open_shared()
    at_once(*(stream(shared, 100 * k, 10) for k in range(1, 6)))
    assert counts.largest == 2
    assert len(engine.calls[0]) == 1, "nobody knew yet how much a frame gives"


def test_closing_lets_go_of_who_waits() -> None:
    engine, shared, _ = open_shared(seconds=0.3)
    told: list[str] = []

    def waiting() -> None:
        try:
            while True:
                ask(shared, 1)
        except RssegError as error:
            told.append(str(error))

    at_once(waiting, waiting, lambda: (time.sleep(0.1), shared.close()))
    assert told == ["the engine is closed"] * 2
    assert engine.closed
    with pytest.raises(RssegError, match="closed"):
        ask(shared, 1)

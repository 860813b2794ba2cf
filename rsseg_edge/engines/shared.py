"""One engine for several threads: what waits together goes through it as one batch, and nobody waits for ever.

Each thread, one a stream, has a single frame here at a time and is answered in the order of asking, so that a stream
with many frames takes no more turns than one with few. A graph whose batch is fixed runs one frame at a time, in turn.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.engines.base import Arrays, Engine, Pending
from rsseg_edge.engines.onnx_file import Signature
from rsseg_edge.engines.padding import Side
from rsseg_edge.errors import RssegError
from rsseg_edge.stages import Moment, StageTimes

GATHER = 0.004  # seconds that a batch waits for those that were just answered: they come within a handover of threads
BATCH_BYTES = 1 << 26  # of a batch's outputs, where more than one frame is in it


@dataclass
class BatchCounts:
    """What went through a shared engine.

    Attributes:
        joins: whether the graph takes several frames at once.
        calls: times that the graph ran.
        frames: what was asked for; more than calls where several went together.
        largest: frames in one call.
        times: of the calls.
    """

    joins: bool = False
    calls: int = 0
    frames: int = 0
    largest: int = 0
    times: StageTimes = field(default_factory=StageTimes)


class SharedEngine:
    """An engine that any number of threads may use. See :class:`rsseg_edge.engines.base.Engine`.

    Args:
        engine: runs the graph, on a thread of this object; closed with it.
        signature: of the graph.
        side: input and axis along which frames are joined, where the graph leaves it free: no row's result may depend
            on the other rows. The axis is the first.
        counts: of what ran so far, kept up to date.
    """

    def __init__(self, engine: Engine, signature: Signature, side: Side | None, counts: BatchCounts) -> None:
        self._engine = engine
        self._input, self._outputs = _free_side(signature, side)
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._row_bytes: dict[object, int] = {}  # of the outputs, by what is the same in all frames of a batch
        self._counts = counts
        counts.joins = self._input is not None
        self._thread = threading.Thread(target=self._run, name="rsseg-engine", daemon=True)
        self._thread.start()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return self._engine.outputs

    @property
    def at_once(self) -> int:
        """Any number."""
        return sys.maxsize

    def serve(self, at_once: int) -> None:
        """It takes any number."""

    def start(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Pending:
        """Wait for a turn and send a frame off.

        Raises:
            RssegError: the runtime refused the inputs or failed, or the engine was closed.
        """
        request = _Request(inputs, tuple(outputs) if outputs is not None else self.outputs)
        with self._changed:
            if self._closed:
                raise RssegError("the engine is closed")
            self._waiting.append(request)
            self._changed.notify_all()
        request.done.wait()
        if request.error is not None:
            raise request.error
        assert request.pending is not None
        return request.pending

    def infer(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Run once and wait."""
        return self.start(inputs, outputs).result()

    def close(self) -> None:
        """Let what waits go with an error, and release the engine."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._engine.close()

    def _run(self) -> None:
        expected = 1
        while True:
            batch = self._next_batch(expected)
            if not batch:
                return
            self._start_all(batch)
            with self._changed:
                expected = len(batch) + len(self._waiting)  # who was answered mostly has the next frame at hand

    def _next_batch(self, expected: int) -> list[_Request]:
        """The oldest request, and those that can go with it; empty once this is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._input is not None and not self._closed:
                self._changed.wait_for(lambda: len(self._waiting) >= expected or self._closed, GATHER)
            if self._closed:
                for request in self._waiting:
                    request.fail(RssegError("the engine is closed"))
                self._waiting.clear()
                return []
            first = self._waiting[0]
            batch, rows, most = [first], self._rows(first), self._most_rows(first)
            for other in list(self._waiting)[1:]:
                if rows + self._rows(other) <= most and self._goes_with(first, other):
                    batch.append(other)
                    rows += self._rows(other)
            for request in batch:
                self._waiting.remove(request)
            return batch

    def _start_all(self, batch: list[_Request]) -> None:
        try:
            begin = Moment()
            self._start_together(batch)
            self._counts.times.add(begin)
            self._counts.calls += 1
            self._counts.frames += len(batch)
            self._counts.largest = max(self._counts.largest, len(batch))
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            for request in batch:  # the others do not fail with the one that does
                self._start_all([request])

    def _start_together(self, batch: list[_Request]) -> None:
        first = batch[0]
        inputs = dict(first.inputs)
        if self._input is not None and len(batch) > 1:
            inputs[self._input] = np.concatenate([r.inputs[self._input] for r in batch])
        pending = self._engine.start(inputs, first.outputs)
        if self._input is None:
            first.succeed(pending)
            return
        shared, at = _Shared(pending), 0
        if self._key(first) not in self._row_bytes:
            found = shared.result()
            total = sum(found[name].nbytes for name in first.outputs if name in self._outputs)
            self._row_bytes[self._key(first)] = -(-total // self._rows(first)) or 1
        for request in batch:
            rows = self._rows(request)
            request.succeed(_Part(shared, slice(at, at + rows), self._outputs))
            at += rows

    def _rows(self, request: _Request) -> int:
        return len(request.inputs[self._input]) if self._input is not None and self._input in request.inputs else 1

    def _most_rows(self, first: _Request) -> int:
        """Of a batch. What a row gives is seen at the first one of its kind, which therefore goes alone."""
        return BATCH_BYTES // self._row_bytes[self._key(first)] if self._key(first) in self._row_bytes else 0

    def _goes_with(self, first: _Request, other: _Request) -> bool:
        if self._key(first) != self._key(other):
            return False
        return all(
            v is other.inputs[n] or _equal(v, other.inputs[n]) for n, v in first.inputs.items() if n != self._input
        )

    def _key(self, request: _Request) -> object:
        sides = {n: (v.shape[1:] if n == self._input else v.shape, v.dtype.str) for n, v in request.inputs.items()}
        return request.outputs, tuple(sorted(sides.items()))


class _Request:
    def __init__(self, inputs: Arrays, outputs: tuple[str, ...]) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.done = threading.Event()
        self.pending: Pending | None = None
        self.error: Exception | None = None

    def succeed(self, pending: Pending) -> None:
        self.pending = pending
        self.done.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.done.set()


class _Shared:
    """A batch on its way, that several threads wait for."""

    def __init__(self, pending: Pending) -> None:
        self._pending, self._lock = pending, threading.Lock()
        self._found: dict[str, npt.NDArray[Any]] | None = None

    def result(self) -> dict[str, npt.NDArray[Any]]:
        with self._lock:
            if self._found is None:
                self._found = self._pending.result()
            return self._found


class _Part:
    """The rows of a batch that are one frame's; see :class:`rsseg_edge.engines.base.Pending`."""

    def __init__(self, batch: _Shared, rows: slice, cut: frozenset[str]) -> None:
        self._batch, self._rows, self._cut = batch, rows, cut

    def result(self) -> dict[str, npt.NDArray[Any]]:
        found = self._batch.result()
        return {name: value[self._rows] if name in self._cut else value for name, value in found.items()}


def _free_side(signature: Signature, side: Side | None) -> tuple[str | None, frozenset[str]]:
    """The input that frames are joined along, None where the graph fixes it, and the outputs that follow it."""
    for info in signature.inputs:
        if side is not None and (info.name, 0) == side and info.shape and isinstance(info.shape[0], str):
            outputs = [o.name for o in signature.outputs if o.shape and o.shape[0] == info.shape[0]]
            return info.name, frozenset(outputs)
    return None, frozenset()


def _equal(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return a.shape == b.shape and bool(np.array_equal(a, b))

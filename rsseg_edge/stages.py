"""What a stage of the pipeline is made of: the queue to the next one, and a clock."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")


RECENT = 1 << 14
"""Values that are kept for quantiles: of a run that never ends, the last ten minutes."""


class Recent:
    """The last values of a series, in constant memory; one thread adds, any may read.

    Attributes:
        count: of all values, those included that are not kept any more.
        total: their sum.
        largest: of them; 0 without any.
    """

    def __init__(self) -> None:
        self._ring = np.zeros(RECENT)
        self.count = 0
        self.total = self.largest = 0.0

    def append(self, value: float) -> None:
        """Add a value."""
        self._ring[self.count % RECENT] = value
        self.total += value
        self.largest = max(self.largest, value)
        self.count += 1

    def __len__(self) -> int:
        return self.count

    def values(self) -> npt.NDArray[np.float64]:
        """Those that are kept, in their order."""
        if self.count <= RECENT:
            return self._ring[: self.count].copy()
        return np.roll(self._ring, -(self.count % RECENT))

    def quantile(self, q: float) -> float:
        """What a share ``q`` of the values that are kept stays below; 0 where there are none."""
        kept = min(self.count, RECENT)
        return float(np.quantile(self._ring[:kept], q)) if kept else 0.0

    @property
    def mean(self) -> float:
        """Of all values; 0 without any."""
        return self.total / self.count if self.count else 0.0


@dataclass(frozen=True)
class StageTimes:
    """How long a stage worked on each frame.

    Attributes:
        begin: when each frame's work began, seconds of ``time.perf_counter``.
        wall: seconds a frame, waiting for other stages left out.
        cpu: seconds a frame of its own thread's processor time; threads of a codec or of the runtime are not in it.
    """

    begin: Recent = field(default_factory=Recent)
    wall: Recent = field(default_factory=Recent)
    cpu: Recent = field(default_factory=Recent)

    def add(self, since: Moment) -> None:
        """Count a frame whose work began at a moment, on this thread."""
        self.begin.append(since.wall)
        self.wall.append(time.perf_counter() - since.wall)
        self.cpu.append(time.thread_time() - since.cpu)

    def quantile(self, q: float) -> float:
        """Seconds that a share ``q`` of the last frames stayed below; 0 where there were none."""
        return self.wall.quantile(q)


@dataclass(frozen=True)
class Moment:
    """A reading of both clocks."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.thread_time)


class ClosedError(Exception):
    """The stage behind a link takes nothing more."""


class Link(Generic[T]):
    """A bounded queue between two threads that either end can close without the other waiting for ever.

    Args:
        size: items that wait at most.
    """

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._ended = self._refused = False

    def put(self, item: T) -> None:
        """Append; waits while the queue is full.

        Raises:
            ClosedError: nobody reads any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._size or self._refused)
            if self._refused:
                raise ClosedError
            self._items.append(item)
            self._changed.notify_all()

    def settle(self) -> None:
        """Wait until the reader has taken all that was put.

        Raises:
            ClosedError: nobody reads any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._items or self._refused)
            if self._refused:
                raise ClosedError

    def end(self) -> None:
        """The writer puts nothing more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def refuse(self) -> None:
        """The reader takes nothing more; what waits is dropped."""
        with self._changed:
            self._refused = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    return
                taken = [self._items.popleft()]
                self._changed.notify_all()
            yield taken.pop()  # kept by nobody here while the next one is waited for: it may be large

"""What a stage of the pipeline is made of: the queue to the next one, and a clock."""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class StageTimes:
    """How long a stage worked on each frame.

    Attributes:
        begin: when each frame's work began, seconds of ``time.perf_counter``.
        wall: seconds a frame, waiting for other stages left out.
        cpu: seconds a frame of its own thread's processor time; threads of a codec or of the runtime are not in it.
    """

    begin: array[float] = field(default_factory=lambda: array("d"))
    wall: array[float] = field(default_factory=lambda: array("d"))
    cpu: array[float] = field(default_factory=lambda: array("d"))

    def add(self, since: Moment) -> None:
        """Count a frame whose work began at a moment, on this thread."""
        self.begin.append(since.wall)
        self.wall.append(time.perf_counter() - since.wall)
        self.cpu.append(time.thread_time() - since.cpu)

    def quantile(self, q: float) -> float:
        """Seconds that a share ``q`` of the frames stayed below; 0 where there were none."""
        return float(np.quantile(self.wall, q)) if self.wall else 0.0


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
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

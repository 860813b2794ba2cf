"""How frames flow through a run: all of them, or of live streams few at once and none that is old."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from rsseg_edge.monitor import Dropped, StreamMonitor
from rsseg_edge.types import Frame

IN_FLIGHT = 3  # one before the network, one in it, one behind it: more only add to the age of what is shown
SHARED = 2  # of each stream that shares the network, whose turns leave time enough for what comes behind it
FAILURES = 10  # in a row end a live run: what fails always is no accident


class Flow:
    """Admits frames, and says which of them are too old.

    Args:
        monitors: of the streams, by ``Frame.stream``.
        live: few frames are on their way at once, and a frame that fails is dropped where a file's would end the run.
        max_lag: frames that are older, in seconds since their arrival, are dropped; None drops none.
        name: of the run, for the log.
        in_flight: frames of a live stream that are on their way at once.

    Attributes:
        monitors: as given.
        name: as given.
        live: as given.
    """

    def __init__(
        self,
        monitors: Sequence[StreamMonitor] = (),
        *,
        live: bool = False,
        max_lag: float | None = None,
        name: str = "run",
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self.monitors, self.name = tuple(monitors), name
        self.live, self._max_lag = live, max_lag
        self._free = threading.Semaphore(in_flight)
        self._failures = 0

    def admit(self, stop: threading.Event) -> None:
        """Wait until another frame may be taken from the source, or until the run stops."""
        while self.live and not self._free.acquire(timeout=0.2):
            if stop.is_set():
                return

    def leave(self) -> None:
        """A frame that was admitted is done with."""
        if self.live:
            self._free.release()

    def drops(self, frame: Frame) -> bool:
        """Whether a frame is too old for the network to see it; counts it where it is."""
        if not self._old(frame, time.monotonic()):
            return False
        self._drop(frame, Dropped.old)
        return True

    def shows(self, frame: Frame) -> bool:
        """Whether a finished frame goes to the sinks now, or came too late; counts it in either case."""
        self._failures = 0
        now = time.monotonic()
        if self._old(frame, now):
            self._drop(frame, Dropped.late)
            return False
        if self.monitors:
            self.monitors[frame.stream].show(frame.arrived, now)
        return True

    def survives(self, frame: Frame) -> bool:
        """Whether the run goes on though a stage failed at a frame."""
        self._failures += 1
        if not self.live or self._failures > FAILURES:
            return False
        self._drop(frame, Dropped.failed)
        return True

    def _old(self, frame: Frame, now: float) -> bool:
        return self._max_lag is not None and frame.arrived is not None and now - frame.arrived > self._max_lag

    def _drop(self, frame: Frame, reason: Dropped) -> None:
        if self.monitors:
            self.monitors[frame.stream].drop(reason)

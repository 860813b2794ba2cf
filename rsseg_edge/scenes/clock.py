"""How long the network worked on a scene, and on how much."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rsseg_edge.types import UInt8Array


@dataclass
class Clock:
    """Where the time went.

    Attributes:
        engine: seconds in the network, with one window or several at once; where it is on a GPU, until they were sent
            off.
        pixels: that the network saw, those of overlaps and of the survey every time.
        windows: that it saw.
        survey: of them, how many were those of the survey.
    """

    engine: float = 0.0
    pixels: int = 0
    windows: int = 0
    survey: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _inside: int = field(default=0, repr=False, compare=False)
    _since: float = field(default=0.0, repr=False, compare=False)

    @contextmanager
    def window(self, image: UInt8Array, *, survey: bool = False) -> Iterator[None]:
        """Time the network, and count what it sees. Any thread may, at any time."""
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._since = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self.engine += time.perf_counter() - self._since
        with self._lock:
            self.pixels += image.shape[0] * image.shape[1]
            self.windows += 1
            self.survey += survey

"""How long the network worked on a scene, and on how much."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rsseg_edge.types import UInt8Array


@dataclass
class Clock:
    """Where the time went.

    Attributes:
        engine: seconds in the network; where that is on a GPU, until it was sent off.
        pixels: that the network saw, those of overlaps and of the survey every time.
        windows: that it saw.
        survey: of them, how many were those of the survey.
    """

    engine: float = 0.0
    pixels: int = 0
    windows: int = 0
    survey: int = 0

    @contextmanager
    def window(self, image: UInt8Array, *, survey: bool = False) -> Iterator[None]:
        """Time the network, and count what it sees."""
        begin = time.perf_counter()
        yield
        self.engine += time.perf_counter() - begin
        self.pixels += image.shape[0] * image.shape[1]
        self.windows += 1
        self.survey += survey

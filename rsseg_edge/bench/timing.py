"""Times of a stage, and how several stages are measured: in turn, in sittings that lie apart."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rsseg_edge.bench.contention import Contention
from rsseg_edge.errors import UsageError

Stage = TypeVar("Stage", bound=Hashable)
Seconds = npt.NDArray[np.float64]

WARM_UP = 5
"""Steps of every stage that are not counted at its beginning, if they take less than :data:`LONG` seconds."""
BLOCK, LEAST, LONG = 10, 2, 1.0
"""Steps of a turn; a turn that is longer than so many seconds ends after the least number of them."""
PARTS = 5
"""Sittings of a measurement, or parts of one that has a single one: what tells how far its median may be off."""
LIMIT = 120.0
"""Seconds of all sittings together, after which there is no other round of turns."""
ROUNDS = 2
"""That a sitting has in any case."""
STABLE = 0.01
"""Of a median: no spread that is told is smaller."""


@dataclass(frozen=True)
class Timing:
    """Seconds a frame.

    Attributes:
        sittings: of each in the order in which they were measured, float64 [frames of it].
        cpu: of all cores together, on average.
        undisturbed: what a frame takes where nothing else wants the cores, at the least; None where they were free.
    """

    sittings: tuple[Seconds, ...]
    cpu: float
    undisturbed: float | None = None

    @cached_property
    def wall(self) -> Seconds:
        """Of all sittings, float64 [frames]."""
        return np.concatenate(self.sittings)

    @property
    def rate(self) -> float:
        """Frames a second."""
        return 1 / float(self.wall.mean())

    def quantile(self, q: float) -> float:
        """Seconds that a share ``q`` of the frames stayed below."""
        return float(np.quantile(self.wall, q))

    @property
    def jitter(self) -> float:
        """Standard deviation of the frames, seconds."""
        return float(self.wall.std())

    @property
    def spread(self) -> float:
        """Seconds that the median may be off; see :func:`spread`.

        Where others kept the cores busy it reaches down to what is left without them: another run meets more of them
        or fewer, which no part of this one tells.
        """
        waited = 0.0 if self.undisturbed is None else self.quantile(0.5) - self.undisturbed
        return max(spread(self.sittings), waited)


def joined(sittings: Sequence[Mapping[Stage, Timing]]) -> dict[Stage, Timing]:
    """Of each stage one measurement out of its sittings."""
    found = {}
    for name in sittings[0]:
        each = [sitting[name] for sitting in sittings]
        cpu = sum(t.cpu * len(t.wall) for t in each) / sum(len(t.wall) for t in each)
        free = [t.undisturbed for t in each if t.undisturbed is not None]
        found[name] = Timing(tuple(s for t in each for s in t.sittings), cpu, min(free, default=None))
    return found


def spread(parts: Sequence[Seconds]) -> float:
    """How far the median of all values may be off: half the range of the parts' medians.

    Neighbours share what the machine does at the moment, and steps of one process where its memory happens to lie, so
    that the error of a mean of independent values would be far too small. Parts lie apart as another run does, and
    sittings are processes of their own as well. No less than :data:`STABLE` of the median.
    """
    medians = [float(np.median(part)) for part in parts]
    return max((max(medians) - min(medians)) / 2, STABLE * abs(float(np.median(np.concatenate(parts)))))


def in_parts(values: Seconds) -> list[Seconds]:
    """Values of one sitting, in their order, in :data:`PARTS` parts, or as many as there are values."""
    return [part for part in np.array_split(values, PARTS) if len(part)]


def ratio(timing: Timing, other: Timing) -> tuple[float, float]:
    """Median of a stage by that of another which was measured in turn with it, and how far it may be off.

    What the machine does meanwhile is in both: medians of the same sitting are compared, as :func:`spread` compares
    those of one stage.
    """
    pairs = zip(timing.sittings, other.sittings, strict=True)
    ratios = [float(np.median(a) / np.median(b)) for a, b in pairs]
    found = float(np.median(timing.wall) / np.median(other.wall))
    return found, max((max(ratios) - min(ratios)) / 2, STABLE * found)


def take_turns(stages: Mapping[Stage, Iterator[object]], frames: int, limit: float) -> dict[Stage, Timing]:
    """Time the steps of iterators in one sitting, a block of each in turn.

    In turn, since a machine's clocks and its other work change within seconds: every stage sees all of the sitting, so
    that they compare with each other.

    Args:
        stages: each yields after a step. One that ends earlier is measured no further.
        frames: steps of each at most.
        limit: seconds after which there is no other round of turns, once there were :data:`ROUNDS`.

    Raises:
        UsageError: a stage ends before anything could be counted.
    """
    wall: dict[Stage, list[float]] = {name: [] for name in stages}
    cpu, most = dict.fromkeys(stages, 0.0), dict.fromkeys(stages, 1.0)
    for work in stages.values():
        _warm_up(work)
    contention = Contention()
    going, rounds, end = dict(stages), 0, time.perf_counter() + limit
    while going:
        for name, work in list(going.items()):
            next(work, None)  # what lay in the caches is another stage's
            before, times = time.process_time(), _block(work, min(BLOCK, frames - len(wall[name])))
            used = time.process_time() - before
            cpu[name] += used
            if times:
                most[name] = max(most[name], used / sum(times))
            wall[name] += times
            if not times or len(wall[name]) >= frames:
                del going[name]
        rounds += 1
        if rounds >= ROUNDS and time.perf_counter() > end:
            break
    if not all(wall.values()):
        raise UsageError(f"the video is too short to measure on: it takes more than {WARM_UP + 1} frames")
    crowded = contention.crowded()
    found = {}
    for name, times in wall.items():
        frame = cpu[name] / len(times)
        found[name] = Timing((np.asarray(times),), frame, frame / most[name] if crowded else None)
    return found


def _warm_up(work: Iterator[object]) -> None:
    end = time.perf_counter() + LONG
    for _ in islice(work, WARM_UP):
        if time.perf_counter() > end:
            return


def _block(work: Iterator[object], count: int) -> list[float]:
    times: list[float] = []
    first = begin = time.perf_counter()
    for _ in islice(work, count):
        now = time.perf_counter()
        times.append(now - begin)
        if len(times) >= LEAST and now - first > LONG:
            break
        begin = now
    return times

"""Times of a stage, and how several stages are measured: in turn, until none of their medians moves any more."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rsseg_edge.bench.contention import Contention
from rsseg_edge.errors import UsageError

Stage = TypeVar("Stage", bound=Hashable)

WARM_UP = 5
"""Steps of every stage that are not counted at its beginning, if they take less than :data:`LONG` seconds."""
BLOCK, LEAST, LONG = 10, 2, 1.0
"""Steps of a turn; a turn that is longer than so many seconds ends after the least number of them."""
PARTS = 5
LIMIT = 120.0
"""Seconds after which there is no other round, once there are as many as parts."""
STABLE = 0.01
"""Range of a median's parts, by the median, that counts as none; no spread that is told is smaller."""


@dataclass(frozen=True)
class Timing:
    """Seconds a frame.

    Attributes:
        wall: in the order in which they were measured, float64 [frames].
        cpu: of all cores together, on average.
        undisturbed: what a frame takes where nothing else wants the cores, at the least; None where they were free.
    """

    wall: npt.NDArray[np.float64]
    cpu: float
    undisturbed: float | None = None

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
        return max(spread(self.wall), waited)


def spread(values: npt.NDArray[np.float64]) -> float:
    """How far the median of values may be off: half the range of the medians of five parts, in their order.

    Neighbours share what the machine does at the moment, so that the error of a mean of independent values would be far
    too small; parts lie apart as another run does. No less than :data:`STABLE` of the median.
    """
    return max(_half_range(values), STABLE * abs(float(np.median(values))))


def _half_range(values: npt.NDArray[np.float64]) -> float:
    medians = [float(np.median(part)) for part in np.array_split(values, PARTS) if len(part)]
    return (max(medians) - min(medians)) / 2


def ratio(values: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Median of values by that of others which were measured in turn with them, and how far it may be off.

    What the machine does meanwhile is in both: parts of the same time are compared, as :func:`spread` compares parts.
    """
    parts = zip(np.array_split(values, PARTS), np.array_split(others, PARTS), strict=True)
    ratios = [float(np.median(a) / np.median(b)) for a, b in parts if len(a) and len(b)]
    found = float(np.median(values) / np.median(others))
    return found, max((max(ratios) - min(ratios)) / 2, STABLE * found)


def take_turns(stages: Mapping[Stage, Iterator[object]], frames: int) -> dict[Stage, Timing]:
    """Time the steps of iterators, a block of each in turn.

    In turn, since a machine's clocks and its other work change within seconds: every stage sees all of the run, so that
    they compare with each other, and the spread of each is that of the whole run.

    Args:
        stages: each yields after a step. One that ends earlier is measured no further.
        frames: steps of each at most. All end together once every median is stable, or after :data:`LIMIT`.

    Raises:
        UsageError: a stage ends before anything could be counted.
    """
    wall: dict[Stage, list[float]] = {name: [] for name in stages}
    cpu, most = dict.fromkeys(stages, 0.0), dict.fromkeys(stages, 1.0)
    for work in stages.values():
        _warm_up(work)
    contention = Contention()
    going, rounds, end = dict(stages), 0, time.perf_counter() + LIMIT
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
        if rounds < PARTS:
            continue
        # One that ends as soon as five turns happen to be alike would tell of less than its error.
        stable = rounds >= 2 * PARTS and all(map(_is_stable, wall.values()))
        if time.perf_counter() > end or stable:
            break
    if not all(wall.values()):
        raise UsageError(f"the video is too short to measure on: it takes more than {WARM_UP + 1} frames")
    crowded = contention.crowded()
    found = {}
    for name, times in wall.items():
        frame = cpu[name] / len(times)
        found[name] = Timing(np.asarray(times), frame, frame / most[name] if crowded else None)
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


def _is_stable(wall: list[float]) -> bool:
    values = np.asarray(wall)
    return bool(_half_range(values) < STABLE * np.median(values))

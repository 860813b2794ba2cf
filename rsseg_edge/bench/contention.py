"""What other processes took of this machine's cores during a measurement: figures of a busy machine are not quoted."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
QUIET = 0.1
"""Cores that a machine's own housekeeping may take."""
FULL = 0.8
"""Share of the cores that work, on average, from which on one has to wait for another."""
BUSY = "too busy for times to be quoted"


class Contention:
    """Counts from its making on.

    Example:
        >>> contention = Contention()
        >>> measure_something()
        >>> describe(contention.cores())
        '0.03 cores on average'
    """

    def __init__(self) -> None:
        self._begin = self._now()

    def cores(self) -> float | None:
        """Cores that others used, on average; None where the system does not tell."""
        begin, now = self._begin, self._now()
        if begin is None or now is None or now[0] <= begin[0]:
            return None
        seconds, busy, own = (b - a for a, b in zip(begin, now, strict=True))
        return max(0.0, (busy - own) / seconds)

    def crowded(self) -> bool:
        """Whether others wanted cores that were needed: they took some, and hardly any was left."""
        begin, now, others = self._begin, self._now(), self.cores()
        if begin is None or now is None or others is None:
            return False
        return others > QUIET and (now[1] - begin[1]) / (now[0] - begin[0]) > FULL * (os.cpu_count() or 1)

    def _now(self) -> tuple[float, float, float] | None:
        """Seconds: of the clock, of all cores that worked, of this process and its children."""
        try:
            fields = STAT.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]
            ticks = [int(field) for field in fields]
        except (OSError, ValueError):
            return None
        idle = sum(ticks[3:5])  # idle, and waiting for a disk
        own = os.times()
        busy = (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, own.user + own.system + own.children_user + own.children_system


def describe(*cores: float | None) -> str:
    """The most of what :meth:`Contention.cores` gave for the parts of a measurement; empty where it is not known."""
    known = [count for count in cores if count is not None]
    if not known:
        return ""
    return f"{max(known):.2f} cores on average" + ("" if max(known) <= QUIET else f": {BUSY}")

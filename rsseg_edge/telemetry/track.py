"""Telemetry of a whole video, carried to its frames."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from operator import attrgetter

from rsseg_edge.telemetry.record import TelemetryRecord

MAX_GAP = 2.0  # seconds from a frame to the record that speaks for it


class Track:
    """Records in the order of their time.

    Args:
        origin: where they come from, for messages.
        records: in any order.
    """

    def __init__(self, origin: str, records: Iterable[TelemetryRecord]) -> None:
        self.origin = origin
        self.records = sorted(records, key=attrgetter("time"))
        self._times = [record.time for record in self.records]

    def __len__(self) -> int:
        return len(self.records)

    def nearest(self, time: float) -> TelemetryRecord | None:
        """The record nearest to a moment of the video's clock; None where that is more than :data:`MAX_GAP` away."""
        at = bisect_left(self._times, time)
        around = self.records[max(0, at - 1) : at + 1]
        best = min(around, key=lambda record: abs(record.time - time), default=None)
        return best if best is not None and abs(best.time - time) <= MAX_GAP else None

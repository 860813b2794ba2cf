"""Where each frame of a video lies: its telemetry looked up by time, and what could not be located counted."""

from __future__ import annotations

from collections import Counter

from rsseg_edge.errors import UsageError
from rsseg_edge.telemetry.georeference import Assumed, Georeference, UnlocatedError, locate
from rsseg_edge.telemetry.record import TelemetryRecord
from rsseg_edge.telemetry.track import MAX_GAP, Track
from rsseg_edge.types import Frame, Report

CHECKED = 100  # records that are looked at before a run begins


class Locator:
    """Locates frames; asked for the same frame again, by another sink, it remembers.

    Args:
        track: the video's telemetry.
        assumed: what holds where it is silent.
        report: told in the end how many frames were left out, and why.
    """

    def __init__(self, track: Track, assumed: Assumed, report: Report) -> None:
        self.track = track
        self._assumed, self._report = assumed, report
        self._left_out: Counter[str] = Counter()
        self._frames = 0
        self._last: tuple[int, tuple[TelemetryRecord, Georeference] | None] | None = None

    def locate(self, frame: Frame) -> tuple[TelemetryRecord, Georeference] | None:
        """The record that speaks for a frame, and where the frame lies; None where that is not known."""
        if self._last is None or self._last[0] != frame.index:
            self._frames += 1
            self._last = (frame.index, self._locate(frame))
        return self._last[1]

    def check(self, size: tuple[int, int]) -> None:
        """See that the telemetry can tell where a frame lies, before any work is done.

        Args:
            size: width and height of a frame in pixels.

        Raises:
            UsageError: not one of its records does; the message says what they lack most.
        """
        reasons: Counter[str] = Counter()
        for record in self.track.records[:: max(1, len(self.track) // CHECKED)]:
            try:
                locate(record, size, self._assumed)
            except UnlocatedError as error:
                reasons[str(error)] += 1
            else:
                return
        raise UsageError(f"{self.track.origin}: no frame can be put on the map: {reasons.most_common(1)[0][0]}")

    def summary(self) -> None:
        """Report what was left out, once."""
        for reason, count in self._left_out.items():
            self._report(f"{self.track.origin}: {count} of {self._frames} frames are not on the map: {reason}")
        self._left_out.clear()

    def _locate(self, frame: Frame) -> tuple[TelemetryRecord, Georeference] | None:
        assert frame.time is not None, "only the frames of a video have telemetry"
        record = self.track.nearest(frame.time)
        if record is None:
            self._left_out[f"no telemetry within {MAX_GAP:g} s"] += 1
            return None
        height, width = frame.image.shape[:2]
        try:
            return record, locate(record, (width, height), self._assumed)
        except UnlocatedError as error:
            self._left_out[str(error)] += 1
            return None

"""What all sinks have in common that put a run on the map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rsseg_edge.errors import RssegError
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.part_path import PartPath
from rsseg_edge.telemetry.georeference import Georeference
from rsseg_edge.telemetry.record import TelemetryRecord
from rsseg_edge.types import Frame

Locate = Callable[[Frame], tuple[TelemetryRecord, Georeference] | None]
"""Where a frame lies, and the record that says so; None where that is not known."""


class MapSink(Sink):
    """Opens, publishes and drops a file that GDAL writes; a kind of map adds what is in it.

    Args:
        path: the file.
        locate: where a frame lies.
    """

    def __init__(self, path: Path, locate: Locate) -> None:
        self.path = path
        self._locate = locate
        self._part: PartPath | None = None

    def open(self) -> None:
        """Make the folder where it is missing."""
        self._part = PartPath(self.path)

    def discard(self) -> None:
        """Drop the file."""
        if self._part is not None:
            self._part.discard()

    @property
    def _opened(self) -> PartPath:
        assert self._part is not None, "the sink was not opened"
        return self._part

    def _publish(self) -> None:
        """Give the file its name.

        Raises:
            RssegError: no frame could be located, or the file system refuses.
        """
        if not self._opened.part.exists():
            raise RssegError(f"{self.path} is not written: no frame of this run could be put on the map")
        self._opened.publish()

"""What all sinks have in common that write one file."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.part_file import PartFile


class FileSink(Sink):
    """Opens, publishes and drops its file; a kind of file adds what it writes.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part: PartFile | None = None

    def open(self) -> None:
        """Begin the part file."""
        self._part = PartFile(self.path)

    def close(self) -> None:
        """Publish the file."""
        if self._part is not None:
            self._part.publish()

    def discard(self) -> None:
        """Drop the file."""
        if self._part is not None:
            self._part.discard()

    @property
    def _file(self) -> BinaryIO:
        assert self._part is not None, "the sink was not opened"
        return self._part.file

"""A file that a library writes by its path, given its name when it is whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from rsseg_edge.sinks.part_file import named_errors


class PartPath:
    """Like :class:`rsseg_edge.sinks.part_file.PartFile`, for libraries that open files themselves.

    Attributes:
        path: the final name.
        part: what to write: beside it, ``.NAME.PID.part`` with the same suffix, by which GDAL tells formats.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder where it is missing.

        Raises:
            RssegError: it cannot be made.
        """
        self.path = path
        self.part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        with named_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.discard()

    def publish(self) -> None:
        """Give the file its name, once its bytes are on the disk.

        Raises:
            RssegError: the file system refuses; the part file is gone then.
        """
        try:
            with named_errors(self.path):
                with self.part.open("rb+") as file:
                    os.fsync(file.fileno())
                os.replace(self.part, self.path)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove the part file, if there is one."""
        with suppress(OSError):
            self.part.unlink()

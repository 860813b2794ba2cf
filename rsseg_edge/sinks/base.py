"""What every sink offers: open, write, close. A file is published on close, whole, or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

from rsseg_edge.types import Result

S = TypeVar("S", bound="Sink")


class Sink(ABC):
    """Writes results. Every method raises RssegError with the file's name where the file system refuses.

    As a context manager a sink is closed where the block ends well and discarded where it raises.
    """

    def open(self) -> None:  # noqa: B027  # most sinks open their files as they go
        """Make ready to write; nothing appears under a final name yet."""

    @abstractmethod
    def write(self, result: Result) -> None:
        """Take one frame's result."""

    def close(self) -> None:  # noqa: B027
        """Publish what was written under its final name."""

    def discard(self) -> None:  # noqa: B027
        """Drop what was written and not published. Safe at any time, also after :meth:`close`."""

    def __enter__(self: S) -> S:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

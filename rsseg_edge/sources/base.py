"""What every source offers, and which of its frames are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from rsseg_edge.errors import UsageError
from rsseg_edge.types import Frame, VideoFormat


@dataclass(frozen=True)
class Selection:
    """Which frames of a source are wanted. Their indices and time stamps stay those of the source.

    Attributes:
        start: seconds from the first frame of a video; earlier frames are left out.
        end: seconds from the first frame of a video; frames at or after it are left out.
        stride: every how many frames one is taken.
        max_frames: how many frames are taken at most.

    Raises:
        UsageError: a value that selects nothing.
    """

    start: float = 0.0
    end: float | None = None
    stride: int = 1
    max_frames: int | None = None

    def __post_init__(self) -> None:
        if self.start < 0:
            raise UsageError(f"--start {self.start:g}: seconds from the first frame, 0 or more")
        if self.end is not None and self.end <= self.start:
            raise UsageError(f"--end {self.end:g} is not after --start {self.start:g}")
        if self.stride < 1:
            raise UsageError(f"--stride {self.stride}: 1 takes every frame, 2 every second one")
        if self.max_frames is not None and self.max_frames < 1:
            raise UsageError(f"--max-frames {self.max_frames}: at least 1")


class Source(Protocol):
    """Frames in order, once.

    It may be closed at any time but while its next frame is read; :meth:`stop` ends that.
    """

    @property
    def video(self) -> VideoFormat | None:
        """What the video is like; None for still images."""

    @property
    def expected(self) -> int | None:
        """About how many frames will come, for a progress bar; None where nobody knows."""

    def frames(self) -> Iterator[Frame]:
        """The selected frames.

        Raises:
            RssegError: nothing more can be read; the frames that came before are good.
        """

    def stop(self) -> None:
        """Let whoever waits for a frame that may never come have the end; from any thread."""

    def close(self) -> None:
        """Release the file."""

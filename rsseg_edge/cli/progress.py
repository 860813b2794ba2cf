"""Progress bars on stderr, gone when they are done; nothing where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from rsseg_edge.types import Result

B = TypeVar("B", bound="Bar")


class Bar:
    """One bar; a context manager.

    Args:
        what: is counted.
        columns: between the bar and the time left; done and in all by default.
        total: in all; None where nobody knows yet.
        refresh: times a second that it is drawn: ten would take 3 % of a core from the network.
    """

    def __init__(
        self, what: str, columns: tuple[ProgressColumn, ...] | None = None, total: int | None = None, refresh: float = 2
    ) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *((MofNCompleteColumn(),) if columns is None else columns),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=refresh,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(escape(what), total=total)

    def show(self, done: int, total: int) -> None:
        """``done`` of ``total`` are done; may be called from any thread."""
        self._bar.update(self._task, completed=done, total=total)

    def show_named(self, what: str, done: int, total: int) -> None:
        """The same, now of ``what``."""
        self._bar.update(self._task, description=escape(what), completed=done, total=total)

    def __enter__(self: B) -> B:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class FrameProgress(Bar):
    """Frames done, and how many a second.

    Args:
        total: frames that are expected, None where nobody knows.
    """

    def __init__(self, total: int | None) -> None:
        super().__init__("frames", (MofNCompleteColumn(), _Rate()), total)

    def advance(self, _: Result) -> None:
        """One frame more; may be called from any thread."""
        self._bar.advance(self._task)


class LaneProgress(Bar):
    """A bar for each of several inputs.

    Args:
        expected: frames of each, by name; None where nobody knows.
    """

    def __init__(self, expected: Mapping[str, int | None]) -> None:
        super().__init__("", (MofNCompleteColumn(), _Rate()))
        self._bar.remove_task(self._task)
        self._lanes = {name: self._bar.add_task(escape(name), total=total) for name, total in expected.items()}

    def advance(self, name: str, _: Result) -> None:
        """One frame more of an input; may be called from any thread."""
        self._bar.advance(self._lanes[name])


class StepProgress(Bar):
    """Steps of several counts, one after the other: the bar is there only while one runs."""

    def show(self, done: int, total: int) -> None:
        """See :meth:`Bar.show`."""
        super().show(done, total)
        self._bar.update(self._task, visible=done < total)


class PixelProgress(Bar):
    """Pixels of a scene, in percent.

    Args:
        name: of the scene.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, (TaskProgressColumn(),), refresh=1)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} frames/s" if task.speed else "")

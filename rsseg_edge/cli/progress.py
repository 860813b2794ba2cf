"""A progress bar on stderr."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from rsseg_edge.types import Result


class FrameProgress:
    """Frames done, rate and time left; shows nothing where stderr is no terminal.

    Args:
        total: frames that are expected, None where nobody knows.
    """

    def __init__(self, total: int | None) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("frames"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=2,  # drawing the bar ten times a second would take 3 % of a core from the network
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("frames", total=total)

    def advance(self, _: Result) -> None:
        """One frame more; may be called from any thread."""
        self._bar.advance(self._task)

    def __enter__(self) -> FrameProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class StepProgress:
    """Steps done of how many, and the time left; shows nothing where stderr is no terminal.

    Args:
        what: the steps are.
    """

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=2,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(what, total=None, visible=False)

    def show(self, done: int, total: int) -> None:
        """``done`` of ``total`` steps are done; the bar is gone when all are."""
        self._bar.update(self._task, completed=done, total=total, visible=done < total)

    def __enter__(self) -> StepProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} frames/s" if task.speed else "")

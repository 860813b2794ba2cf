"""Several videos and live streams at once, through one network that was loaded once.

Each has a pipeline, results and a memory of its own; the network alone is common. What waits for it at the same time
goes through it as one batch where the graph takes one, and in turn where it does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rsseg_edge.engines.choose import Say
from rsseg_edge.engines.shared import BatchCounts
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.job import Job, Request, open_page
from rsseg_edge.maps import MapRequest
from rsseg_edge.pipeline import Outcome
from rsseg_edge.sinks.destination import Kind as Place
from rsseg_edge.sources.names import Kind, distinct_names, kind_of
from rsseg_edge.sources.stream import is_stream
from rsseg_edge.types import Report, Result

PATIENCE = 3.0  # seconds that all wait for a live stream


@dataclass
class Lane:
    """One input on its way.

    Attributes:
        where: the input.
        name: of it, and of the folder of its results.
        job: opened; None where that failed.
        problems: a line for each thing that was left out.
        outcome: what was done, once it is over.
        error: what ended it, or kept it from beginning.
        opened: whether it is known if it can be opened.
    """

    where: str
    name: str
    job: Job | None = None
    problems: list[str] = field(default_factory=list)
    outcome: Outcome | None = None
    error: Exception | None = None
    opened: threading.Event = field(default_factory=threading.Event)


class SeveralJobs:
    """Videos and live streams with everything opened that they need, ready to run once.

    An input that cannot be read, or fails on the way, is reported and the others go on. A live stream that does not
    come within :data:`PATIENCE` holds nothing up: it begins when it is there.

    Args:
        request: what is to be done with each; its ``where`` is not looked at, its ``out`` gets a folder for each.
        inputs: at least one.
        report: told in a line about what is left out.
        say: told which engine runs and why; None writes it to the log ``rsseg_edge``.
        fail: told in a line of an input that failed, when it does.

    Attributes:
        lanes: one an input, in their order.
        model: what segments all of them.
        batches: what went through the network.

    Raises:
        UsageError: the request cannot be met; nothing was begun.
        RssegError: not one of the inputs can be read, or the bundle is damaged.
    """

    def __init__(
        self,
        request: Request,
        inputs: Sequence[str],
        report: Report,
        say: Say | None = None,
        fail: Report | None = None,
    ) -> None:
        _check(request, inputs)
        self.page = open_page(request, say or report)
        self.batches = BatchCounts()
        self.model = request.open_model(say, self.batches)
        self._request, self._report, self._fail = request, report, fail or report
        self._stopped = self._closed = False
        self._over: list[threading.Event] = []  # of the lanes that run
        self.lanes = [Lane(where, name) for where, name in zip(inputs, distinct_names(inputs), strict=True)]
        self._keep_inputs()
        try:
            self._open_all()
            self._raise_first()
            if self.page is not None:
                self.page.boards = {n.name: self.page.boards[n.name] for n in self.lanes if n.name in self.page.boards}
            for lane in self.lanes:
                if lane.error is not None:
                    self._fail(f"{lane.name}: {lane.error}")
        except BaseException:
            self._close()
            raise

    def run(self, on_result: Callable[[str, Result], None] | None = None) -> None:
        """Run all of them to their ends; what each did is in its lane.

        Args:
            on_result: called after each frame with the lane's name, from a thread of that lane.

        Raises:
            RssegError: the page cannot be served.
            KeyboardInterrupt: nothing of open files is published; :meth:`stop` does better.
        """

        def run(lane: Lane) -> None:
            while not lane.opened.wait(timeout=0.1):
                if self._stopped:
                    return
            if lane.job is None:
                self._fail(f"{lane.name}: {lane.error}")
                return
            told = (lambda result: on_result(lane.name, result)) if on_result is not None else None
            try:
                lane.outcome = lane.job.run(told)
                lane.error = lane.outcome.error
            except Exception as error:
                lane.error = error
            if lane.error is not None:
                self._fail(f"{lane.name}: {lane.error}")

        try:
            if self.page is not None:
                self.page.open()
            try:
                self._in_parallel(run)
            finally:
                if self.page is not None:
                    self.page.close()
        except BaseException:
            self._stopped = True
            for lane in self.lanes:
                if lane.job is not None:
                    lane.job.abort()
            for over in self._over:
                over.wait(timeout=6)
            raise
        finally:
            self._close()

    def stop(self) -> None:
        """End all of them after what is on its way; see :meth:`rsseg_edge.pipeline.Pipeline.stop`."""
        self._stopped = True
        for lane in self.lanes:
            if lane.job is not None and lane.outcome is None:
                lane.job.stop()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    @property
    def exit_code(self) -> int:
        """The worst of all: of the errors, then 1 where something was left out; 0 where nothing was."""
        codes = [getattr(lane.error, "exit_code", 1) for lane in self.lanes if lane.error is not None]
        return max([*codes, *(1 for lane in self.lanes if lane.problems), 0])

    def _open_all(self) -> None:
        """Open every lane on a thread of its own; wait for all files, and a moment for live streams."""

        def guarded(lane: Lane) -> None:
            try:
                lane.job = self._open(lane)
                if self._closed:  # nobody waits for it any more
                    lane.job.close()
            except Exception as error:
                lane.error = error
            finally:
                lane.opened.set()

        begin = time.monotonic()
        for lane in self.lanes:
            threading.Thread(target=guarded, args=(lane,), name=f"rsseg-open-{lane.name}", daemon=True).start()
        while waiting := [lane for lane in self.lanes if not lane.opened.is_set()]:
            patient = time.monotonic() - begin < PATIENCE or any(not is_stream(lane.where) for lane in waiting)
            if not patient and any(lane.job is not None for lane in self.lanes):
                break
            waiting[0].opened.wait(timeout=0.1)

    def _open(self, lane: Lane) -> Job:
        request = self._request
        live = is_stream(lane.where) and (lane.where != "-" or request.latest)
        folder = request.out / lane.name
        request = replace(
            request,
            where=lane.where,
            out=folder,
            maps=_within(request.maps, folder),
            max_lag=request.max_lag if live else None,
            latest=request.latest and lane.where == "-",
        )

        def report(line: str) -> None:
            lane.problems.append(line)
            self._report(line)

        return Job(request, report, name=lane.name, model=self.model, page=self.page)

    def _in_parallel(self, work: Callable[[Lane], None]) -> None:
        """Work on every lane that has not failed, each on a thread."""

        def guarded(lane: Lane, over: threading.Event) -> None:
            try:
                work(lane)
            except Exception as error:
                lane.error = error
            except KeyboardInterrupt:
                pass  # of an aborted job: the main thread raises it
            finally:
                over.set()

        lanes = [lane for lane in self.lanes if lane.error is None]
        self._over = [threading.Event() for _ in lanes]
        for lane, over in zip(lanes, self._over, strict=True):
            threading.Thread(target=guarded, args=(lane, over), name=f"rsseg-{lane.name}", daemon=True).start()
        # Events and no joins: a join that Ctrl-C ends takes its thread for finished (Python up to 3.12).
        for over in self._over:
            while not over.wait(timeout=0.2):
                pass

    def _raise_first(self) -> None:
        """A request that cannot be met is refused; what cannot be read is left out while anything else can."""
        errors = [lane.error for lane in self.lanes if lane.error is not None]
        defects = [error for error in errors if isinstance(error, UsageError) or not isinstance(error, RssegError)]
        for error in defects or (errors if len(errors) == len(self.lanes) else []):
            raise error

    def _keep_inputs(self) -> None:
        """No result may replace an input, its own or another's."""
        sources = [Path(lane.where) for lane in self.lanes if Path(lane.where).is_file()]
        for lane in self.lanes:
            target = self._request.out / lane.name / "overlay.mp4"
            if target.exists() and any(target.samefile(source) for source in sources):
                raise UsageError(f"{target} is an input; give another folder with -o")

    def _close(self) -> None:
        self._closed = True
        for lane in self.lanes:
            if lane.job is not None:
                lane.job.close()
        self.model.segmenter.close()


def _check(request: Request, inputs: Sequence[str]) -> None:
    for where in inputs:
        if kind_of(where) is not Kind.video:
            raise UsageError(f"{where} is still images, other inputs are not: give them in runs of their own")
        if not is_stream(where) and not Path(where).exists():
            raise UsageError(f"no such file or folder: {where}")
    for where in inputs:
        if is_stream(where) and list(inputs).count(where) > 1:
            raise UsageError(f"{where} is given twice; a live stream is read once")
    live = [where for where in inputs if is_stream(where) and (where != "-" or request.latest)]
    if request.max_lag is not None and not live:
        raise UsageError("--max-lag is for live streams, and none is given")
    if request.latest and "-" not in inputs:
        raise UsageError("--latest is for standard input, -")
    if any(one.kind is not Place.page for one in request.outputs.destinations()):
        raise UsageError("--to is for one input; each of several has its overlay in OUT/NAME, and --live shows all")
    if request.maps.telemetry is not None:
        raise UsageError("--telemetry belongs to one video; give one input, or videos that carry theirs")
    for option, path in (("--geo", request.maps.geo), ("--mosaic", request.maps.mosaic)):
        if path is not None and path.parent != Path():
            raise UsageError(f"{option} {path}: each of several inputs has the file in its folder; give its name alone")


def _within(maps: MapRequest, folder: Path) -> MapRequest:
    geo, mosaic = (None if path is None else folder / path for path in (maps.geo, maps.mosaic))
    return replace(maps, geo=geo, mosaic=mosaic)

"""From a source through the network into sinks: a thread a stage, bounded queues between them, a clock in each.

Stages end as processes of a shell pipe do. One that runs out of input, or fails, closes its output, so that the stages
after it finish what is on its way; and it closes its input, so that those before it stop. The first error is kept and
raised in the end. Nothing waits for ever, and what was finished is published.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rsseg_edge.event_log import tell
from rsseg_edge.flow import Flow
from rsseg_edge.segmenter import Segmenter
from rsseg_edge.sinks.base import Sink
from rsseg_edge.stages import ClosedError, Link, Moment, StageTimes
from rsseg_edge.types import Frame, Result

LOG = logging.getLogger("rsseg_edge.pipeline")
QUEUE = 3  # frames that wait between two stages: enough to even out a slow frame, few enough to stay in the cache


@dataclass(frozen=True)
class ClassArea:
    """Pixels of a class, and the colour (RGB, 0..255) that it is drawn in."""

    pixels: int
    color: tuple[int, int, int]


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        frames: that went through every stage.
        seconds: from the first frame's decoding to the closing of the sinks.
        stages: by name, in order.
        areas: of all frames together, by the classes' names in the order in which they came up.
        pixels: of all frames.
        stopped: whether :meth:`Pipeline.stop` was called.
        error: what ended it early, if anything did; the frames before are published all the same.
    """

    frames: int
    seconds: float
    stages: dict[str, StageTimes]
    areas: dict[str, ClassArea]
    pixels: int
    stopped: bool
    error: Exception | None


class Pipeline:
    """Runs once.

    Args:
        frames: of a source.
        segmenter: the network.
        sinks: opened, written and closed by the pipeline, in this order.
        flow: which frames go through; None takes all.

    Example:
        >>> outcome = Pipeline(source.frames(), segmenter, [FrameLog(path, counted)]).run()
    """

    def __init__(
        self,
        frames: Iterable[Frame],
        segmenter: Segmenter,
        sinks: Sequence[Sink],
        flow: Flow | None = None,
    ) -> None:
        self._frames, self._segmenter, self._sinks = frames, segmenter, tuple(sinks)
        self._flow = flow or Flow()
        self._on_result: Callable[[Result], None] | None = None
        self._errors: list[Exception] = []
        self._failed_sinks: list[Sink] = []
        self._stop, self._aborted = threading.Event(), False
        self._links = [Link[Any](QUEUE) for _ in range(4)]
        self._done = 0
        self._areas: dict[str, ClassArea] = {}
        self._pixels = 0
        self.stages = {name: StageTimes() for name in ("decode", "prepare", "infer", "finish", "write")}

    def run(self, on_result: Callable[[Result], None] | None = None) -> Outcome:
        """Process every frame.

        Args:
            on_result: called after each frame, from the last stage's thread.

        Returns:
            What was done. Look at ``error``: an error of a stage is given there and not raised, for what was
            finished before it is of use.

        Raises:
            RssegError: a sink cannot be opened.
            KeyboardInterrupt: nothing of open files is published; :meth:`stop` does better.
        """
        self._on_result = on_result
        begin = time.perf_counter()
        opened: list[Sink] = []
        threads: list[threading.Thread] = []
        try:
            for sink in self._sinks:
                opened.append(sink)
                sink.open()
            threads = self._start()
            self._wait(threads)
            self._close()
        except BaseException:
            self._stop.set()
            for thread in threads:
                thread.join(timeout=5)
            for sink in opened:
                sink.discard()
            raise
        seconds = time.perf_counter() - begin
        error = self._errors[0] if self._errors else None
        return Outcome(self._done, seconds, self.stages, self._areas, self._pixels, self._stop.is_set(), error)

    def stop(self) -> None:
        """End the run after the frames that went through the network; for a signal handler or another thread.

        Frames that still wait for the network are dropped: they may be seconds of work.
        """
        self._stop.set()
        for link in self._links[:2]:
            link.refuse()

    def abort(self) -> None:
        """What a second Ctrl-C does, for a run on another thread than the main one: drop what is not published."""
        self._aborted = True
        self.stop()

    def _start(self) -> list[threading.Thread]:
        prepare, infer, finish = self._segmenter.prepare, self._segmenter.infer, self._segmenter.finish

        def finished(item: tuple[Frame, Any]) -> Result:
            frame, raw = item
            segmentation = finish(frame.image, raw)
            return Result(frame, segmentation, segmentation.pixel_counts())

        links = self._links
        ends = [
            lambda: self._decode(links[0]),
            lambda: self._stage("prepare", links[0], links[1], lambda frame: (frame, prepare(frame.image))),
            lambda: self._stage(
                "infer", links[1], links[2], lambda item: (item[0], infer(item[1])), lambda item: item[0]
            ),
            lambda: self._stage("finish", links[2], links[3], finished, lambda item: item[0]),
            lambda: self._write_all(links[3]),
        ]
        threads = [
            threading.Thread(target=run, name=f"rsseg-{name}", daemon=True)
            for run, name in zip(ends, self.stages, strict=True)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _wait(self, threads: list[threading.Thread]) -> None:
        for thread in threads:
            while thread.is_alive():
                thread.join(timeout=0.2)  # a join without one keeps signals from the main thread on some systems
                if self._aborted:
                    raise KeyboardInterrupt
        if self._aborted:
            raise KeyboardInterrupt

    def _close(self) -> None:
        """Publish every sink but one that failed."""
        for sink in self._sinks:
            if sink in self._failed_sinks:
                sink.discard()
                continue
            try:
                sink.close()
            except Exception as error:
                sink.discard()
                self._errors.append(error)

    def _decode(self, out: Link[Frame]) -> None:
        times, source = self.stages["decode"], iter(self._frames)
        try:
            while not self._stop.is_set():
                self._flow.admit(self._stop)
                begin = Moment()
                frame = next(source, None)
                if frame is None:
                    break
                times.add(begin)
                out.put(frame)
        except ClosedError:
            pass
        except Exception as error:
            self._errors.append(error)
            self._tell_failed(logging.INFO, "decode", str(error))
        finally:
            out.end()

    def _stage(
        self,
        name: str,
        given: Link[Any],
        out: Link[Any],
        work: Callable[[Any], Any],
        frame_of: Callable[[Any], Frame] = lambda item: item,
    ) -> None:
        times, flow = self.stages[name], self._flow
        try:
            for item in given:
                if name == "infer" and flow.drops(frame_of(item)):
                    flow.leave()
                    continue
                begin = Moment()
                try:
                    result = work(item)
                except Exception as error:
                    if not flow.survives(frame_of(item)):
                        raise
                    self._tell_failed(logging.WARNING, name, str(error))
                    flow.leave()
                    continue
                times.add(begin)
                out.put(result)
        except ClosedError:
            pass
        except Exception as error:
            self._errors.append(error)
            self._tell_failed(logging.INFO, name, str(error))  # whoever runs this shows it in the end
        finally:
            given.refuse()
            out.end()

    def _tell_failed(self, level: int, stage: str, error: str) -> None:
        name = self._flow.name
        tell(LOG, level, "stage failed", f"{name}: {stage}: {error}", stream=name, stage=stage, error=error)

    def _write_all(self, given: Link[Result]) -> None:
        times = self.stages["write"]
        try:
            for result in given:
                if self._flow.shows(result.frame):
                    begin = Moment()
                    self._write(result)
                    times.add(begin)
                self._flow.leave()
        except Exception as error:
            self._errors.append(error)
            self._tell_failed(logging.INFO, "write", str(error))
        finally:
            given.refuse()

    def _write(self, result: Result) -> None:
        for sink in self._sinks:
            if sink in self._failed_sinks:
                continue
            try:
                sink.write(result)
            except Exception as error:
                self._failed_sinks.append(sink)
                if not self._flow.live or len(self._failed_sinks) == len(self._sinks):
                    raise
                self._errors.append(error)  # the others of a live run go on
                self._tell_failed(logging.WARNING, f"write, {type(sink).__name__}", str(error))
        self._done += 1
        table = result.segmentation.table
        for name, color, pixels in zip(table.names, table.colors, result.pixels.tolist(), strict=True):
            before = self._areas[name].pixels if name in self._areas else 0
            self._areas[name] = ClassArea(before + pixels, color)
        self._pixels += result.segmentation.class_map.size
        if self._on_result is not None:
            self._on_result(result)

"""The whole pipeline on a video, measured as ``rsseg-run`` runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from rsseg_edge.bench.alone import first_frames
from rsseg_edge.bench.contention import Contention
from rsseg_edge.bench.power import Power, PowerMeter
from rsseg_edge.bench.timing import LIMIT, PARTS, STABLE
from rsseg_edge.bundle import open_bundle
from rsseg_edge.engines.choose import EngineName, Say
from rsseg_edge.job import Job, Request
from rsseg_edge.kernels.parts import Part
from rsseg_edge.machine import available_cores
from rsseg_edge.sources.base import Selection, Source
from rsseg_edge.sources.choose import open_source
from rsseg_edge.types import Result
from rsseg_edge.variants import PrecisionName

SENTENCE = "the road"  # that a referring model is asked for
FEWEST = 10
"""Frames that are run in any case; a network that takes seconds for each gets no more than :data:`LIMIT` allows."""


@dataclass(frozen=True)
class Settings:
    """How bundles are measured.

    Attributes:
        video: read up to ``frames`` frames.
        long_side: longest side that the network sees, in pixels; None takes the bundle's own.
        threads: of one inference; None takes all cores but one.
        frames: how many each measurement takes at most.
        engine: what runs the network; see :func:`rsseg_edge.engines.choose.open_engine`.
        power: whether power is read while all stages run.
        compare: whether the graph runs through other runtimes too.
        board: predict the graph's bound there.
    """

    video: Path
    long_side: int | None = None
    threads: int | None = None
    frames: int = 150
    engine: EngineName = "auto"
    power: bool = False
    compare: bool = False
    board: Part | None = None


@dataclass(frozen=True, kw_only=True)
class Whole:
    """All stages together, as ``rsseg-run`` runs them.

    Attributes:
        together: frames a second.
        together_cpu: seconds of all cores a frame.
        timeline: by stage, beginning and length of each frame's work: float64 [frames, 2], seconds.
        load: seconds from the bundle's name to a segmenter.
        first_frame: seconds that its first image took, what is made ready then included.
        memory: bytes that the process grew by, at most, from opening the bundle to the end.
        power: meanwhile; None where it was not asked for.
        frames: of the run.
        others: cores that other processes used meanwhile; None where it is not known.
        undisturbed: frames a second that the processor time allows where nothing else wants the cores, at the most;
            None where they were free.
    """

    together: float
    together_cpu: float
    timeline: dict[str, npt.NDArray[np.float64]]
    load: float
    first_frame: float
    memory: float
    power: Power | None
    frames: int
    others: float | None = None
    undisturbed: float | None = None

    @property
    def together_spread(self) -> float:
        """Frames a second that the rate may be off: half the range of its five parts'.

        Where others kept the cores busy it reaches up to what is left without them; no less than 1 % in any case.
        """
        ends = np.concatenate(([0.0], list(self.timeline.values())[-1].sum(axis=1)))
        marks = np.linspace(0, len(ends) - 1, PARTS + 1).round().astype(int)
        rates = np.diff(marks) / np.maximum(np.diff(ends[marks]), 1e-9)
        waited = 0.0 if self.undisturbed is None else self.undisturbed - self.together
        return max(float(np.ptp(rates[np.diff(marks) > 0])) / 2, STABLE * self.together, waited)


def run_whole(model: str, settings: Settings, precision: PrecisionName | None, say: Say | None) -> Whole:
    """Run the whole pipeline once. What its process has done before lies in its memory, and is in no figure of it.

    Raises:
        UsageError: the video is none.
        RssegError: it or the bundle is damaged.
    """
    (shown,) = first_frames(open_video(settings))[:1]
    with TemporaryDirectory(prefix="rsseg-bench-") as folder:
        request = request_of(model, settings, precision, Path(folder))
        before = _reset_peak()
        begin = time.perf_counter()
        job = Job(request, ignore, say)
        load = time.perf_counter() - begin
        begin = time.perf_counter()
        job.segmenter(shown.image)  # builds an engine where one has to be built: not while the pipeline is timed
        first = time.perf_counter() - begin
        meter = PowerMeter() if settings.power else None
        contention, cpu = Contention(), time.process_time()
        with meter or nullcontext():
            outcome = job.run(_stopping(job))
        cpu, others, crowded = time.process_time() - cpu, contention.cores(), contention.crowded()
        memory = _peak() - before
    if outcome.error is not None:
        raise outcome.error
    start = min(times.begin.values()[0] for times in outcome.stages.values())
    return Whole(
        together=outcome.frames / outcome.seconds,
        together_cpu=cpu / outcome.frames,
        timeline={n: np.column_stack((t.begin.values() - start, t.wall.values())) for n, t in outcome.stages.items()},
        load=load,
        first_frame=first,
        memory=memory,
        power=meter.result if meter else None,
        frames=outcome.frames,
        others=others,
        undisturbed=available_cores() * outcome.frames / cpu if crowded else None,
    )


def _stopping(job: Job) -> Callable[[Result], None]:
    """Told of every frame, it ends the run in order after :data:`LIMIT` seconds, once there are enough."""
    done, end = count(1), time.perf_counter() + LIMIT

    def told(_: Result) -> None:
        if next(done) >= FEWEST and time.perf_counter() > end:
            job.stop()

    return told


def request_of(model: str, settings: Settings, precision: PrecisionName | None, folder: Path) -> Request:
    """What ``rsseg-run`` is asked for such a run."""
    referring = open_bundle(model).manifest.referring is not None
    return Request(
        str(settings.video),
        model,
        folder,
        Selection(max_frames=settings.frames),
        long_side=settings.long_side,
        threads=settings.threads,
        engine=settings.engine,
        precision=precision,
        sentences=(SENTENCE,) if referring else (),
    )


def open_video(settings: Settings) -> Source:
    """The video, from its beginning."""
    return open_source(str(settings.video), Selection(max_frames=settings.frames), threads=1, report=ignore)


def ignore(_: str) -> None:
    """A benchmark reads the same frames however the video ends."""


def _reset_peak() -> float:
    """Bytes resident now, from which :func:`_peak` counts anew; nan where the system does not tell."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM is what is resident now
    return _peak()


def _peak() -> float:
    """Most bytes that were resident since :func:`_reset_peak`."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), float("nan"))

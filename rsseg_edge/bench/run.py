"""How fast the engine is alone, each stage alone, and all of them together on the same video."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from rsseg_edge.bench.alone import first_frames, stages_alone
from rsseg_edge.bench.contention import Contention
from rsseg_edge.bench.contestants import Contest
from rsseg_edge.bench.graph import network_graph
from rsseg_edge.bench.operations import count_operations
from rsseg_edge.bench.power import Power, PowerMeter
from rsseg_edge.bench.roofline import Roofline, predict
from rsseg_edge.bench.timing import PARTS, Timing
from rsseg_edge.bundle import Manifest, open_bundle
from rsseg_edge.engines.choose import EngineName, Say
from rsseg_edge.job import Job, Request, Threads
from rsseg_edge.kernels.parts import Part
from rsseg_edge.machine import available_cores, processor
from rsseg_edge.segmenters.open_vocabulary import Prepared
from rsseg_edge.sources.base import Selection
from rsseg_edge.sources.choose import open_source

SENTENCE = "the road"  # that a referring model is asked for


@dataclass(frozen=True)
class Measured:
    """Result of :func:`measure`.

    Attributes:
        about: machine, versions, precision, sizes.
        alone: by stage; ``infer`` is the engine alone.
        together: frames a second of the whole pipeline.
        together_cpu: seconds of all cores a frame.
        timeline: by stage, beginning and length of each frame's work in the pipeline: float64 [frames, 2], seconds.
        load: seconds from the bundle's name to a segmenter.
        first_frame: seconds that its first image took, what is made ready then included.
        memory: bytes that the process grew by, at most, from opening the bundle to the end of the whole pipeline.
        power: while all stages ran; None where it was not asked for.
        frames: of the whole pipeline.
        contest: the graph through other runtimes; None where it was not asked for.
        roofline: the graph on a board, predicted; None where it was not asked for.
        accuracy: measures on labelled data, in percent; None where none was given.
    """

    about: dict[str, str]
    alone: dict[str, Timing]
    together: float
    together_cpu: float
    timeline: dict[str, npt.NDArray[np.float64]]
    load: float
    first_frame: float
    memory: float
    power: Power | None
    frames: int
    contest: Contest | None = None
    roofline: Roofline | None = None
    accuracy: dict[str, float] | None = None

    @property
    def overlap(self) -> float:
        """Rate of all stages together by the rate of the slowest one alone: 1 where they overlap fully."""
        return self.together / min(timing.rate for timing in self.alone.values())

    @property
    def together_spread(self) -> float:
        """Frames a second that the whole pipeline's rate may be off: half the range of its five parts'."""
        ends = np.concatenate(([0.0], list(self.timeline.values())[-1].sum(axis=1)))
        marks = np.linspace(0, len(ends) - 1, PARTS + 1).round().astype(int)
        rates = np.diff(marks) / np.maximum(np.diff(ends[marks]), 1e-9)
        return float(np.ptp(rates[np.diff(marks) > 0])) / 2


def measure(
    model: str,
    video: Path,
    *,
    long_side: int | None = None,
    threads: int | None = None,
    frames: int = 150,
    engine: EngineName = "auto",
    say: Say | None = None,
    power: bool = False,
    compare: bool = False,
    board: Part | None = None,
) -> Measured:
    """Measure a bundle on a video.

    Args:
        model: a shipped bundle's name or a bundle's folder.
        video: read up to ``frames`` frames.
        long_side: longest side that the network sees, in pixels; None takes the bundle's own.
        threads: of one inference; None takes all cores but one.
        frames: how many each measurement takes at most.
        engine: what runs the network; see :func:`rsseg_edge.engines.choose.open_engine`.
        say: told which engine it is and why.
        power: whether power is read while all stages run.
        compare: whether the graph runs through other runtimes too.
        board: predict its bound there.

    Raises:
        UsageError: the video or the model is not there, or the video is none.
        RssegError: one of them is damaged.
    """
    manifest, contention = open_bundle(model).manifest, Contention()
    kept = first_frames(open_source(str(video), Selection(max_frames=frames), threads=1, report=_ignore))
    with TemporaryDirectory(prefix="rsseg-bench-") as folder:
        request = Request(
            str(video),
            model,
            Path(folder),
            Selection(max_frames=frames),
            long_side=long_side,
            threads=threads,
            engine=engine,
            precision=manifest.precision.name,
            sentences=(SENTENCE,) if manifest.referring else (),
        )
        before = _reset_peak()
        begin = time.perf_counter()
        job = Job(request, _ignore, say)
        load = time.perf_counter() - begin
        begin = time.perf_counter()
        job.segmenter(kept[0].image)  # builds an engine where one has to be built: not while the pipeline is timed
        first = time.perf_counter() - begin
        meter = PowerMeter() if power else None
        cpu = time.process_time()
        with meter or nullcontext():
            outcome = job.run()
        cpu = time.process_time() - cpu
        memory = _peak() - before
        if outcome.error is not None:
            raise outcome.error
        job = Job(request, _ignore)
        prepared = job.segmenter.prepare(kept[0].image)
        graph = network_graph(job.segmenter, model, prepared) if compare or board else None
        alone = stages_alone(job, kept, frames)
    contest = graph.contest(engine, job.threads.inference) if graph and compare else None
    seen = prepared.crops.shape if isinstance(prepared, Prepared) else prepared.shape
    about = _about(manifest, job.threads, kept[0].image.shape, seen)
    if others := contention.describe():
        about["other processes"] = others
    start = min(times.begin.values()[0] for times in outcome.stages.values())
    return Measured(
        about,
        alone,
        outcome.frames / outcome.seconds,
        cpu / outcome.frames,
        {name: np.column_stack((t.begin.values() - start, t.wall.values())) for name, t in outcome.stages.items()},
        load,
        first,
        memory,
        meter.result if meter else None,
        outcome.frames,
        contest,
        predict(count_operations(graph.model, graph.shapes), board) if graph and board else None,
    )


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


def _about(bundle: Manifest, threads: Threads, shown: Sequence[int], seen: Sequence[int]) -> dict[str, str]:
    import av
    import cv2
    import onnxruntime

    windows = f"{seen[0]} windows of " if seen[0] > 1 else ""
    return {
        "model": f"{bundle.name}, {bundle.precision.name}",
        "video": f"{shown[1]}x{shown[0]}",
        "network's input": f"{windows}{seen[2]}x{seen[1]}",
        "machine": f"{processor()}, {available_cores()} cores",
        "threads": f"{threads.inference} inference, {threads.codec} each codec",
        "versions": f"Python {platform.python_version()}, ONNX Runtime {onnxruntime.__version__}, "
        f"PyAV {av.__version__}, OpenCV {cv2.__version__}",
    }


def _ignore(_: str) -> None:
    """A benchmark reads the same frames however the video ends."""

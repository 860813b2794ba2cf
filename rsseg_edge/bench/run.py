"""How fast the engine is alone, each stage alone, and all of them together on the same video."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.bench.contestants import Contest
from rsseg_edge.bench.graph import network_graph
from rsseg_edge.bench.operations import count_operations
from rsseg_edge.bench.power import Power, PowerMeter
from rsseg_edge.bench.roofline import Roofline, predict
from rsseg_edge.bundle import Manifest, open_bundle
from rsseg_edge.engines.base import Pending
from rsseg_edge.engines.choose import EngineName, Say
from rsseg_edge.errors import UsageError
from rsseg_edge.job import Job, Request
from rsseg_edge.kernels.parts import Part
from rsseg_edge.machine import available_cores, processor
from rsseg_edge.segmenters.open_vocabulary import Prepared
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sources.base import Selection
from rsseg_edge.types import Frame, Result

WARM_UP = 5
BLOCK = 10  # frames whose median is compared with that of the next ones
STABLE = 0.02  # the largest relative difference of the last three blocks' medians that counts as none
SENTENCE = "the road"  # that a referring model is asked for
KEPT = 24  # frames that the stages after decoding are measured on, again and again: 100 MB at 1280x720


@dataclass(frozen=True)
class Timing:
    """Seconds a frame.

    Attributes:
        wall: float64 [frames].
        cpu: of all cores together, on average.
    """

    wall: npt.NDArray[np.float64]
    cpu: float

    @property
    def rate(self) -> float:
        """Frames a second."""
        return 1 / float(self.wall.mean())

    def quantile(self, q: float) -> float:
        """Seconds that a share ``q`` of the frames stayed below."""
        return float(np.quantile(self.wall, q))

    @property
    def jitter(self) -> float:
        """Standard deviation of the frames, seconds."""
        return float(self.wall.std())

    @property
    def spread(self) -> float:
        """Seconds that the median may be off: half the range of the medians of five parts, in their order."""
        parts = [np.median(part) for part in np.array_split(self.wall, 5) if len(part)]
        return float(max(parts) - min(parts)) / 2


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
        frames: how many each measurement takes.
        engine: what runs the network; see :func:`rsseg_edge.engines.choose.open_engine`.
        say: told which engine it is and why.
        power: whether power is read while all stages run.
        compare: whether the graph runs through other runtimes too.
        board: predict its bound there.

    Raises:
        UsageError: the video or the model is not there, or the video is none.
        RssegError: one of them is damaged.
    """
    with TemporaryDirectory(prefix="rsseg-bench-") as folder:
        request = Request(
            str(video),
            model,
            Path(folder),
            Selection(max_frames=frames),
            long_side=long_side,
            threads=threads,
            engine=engine,
            precision=open_bundle(model).manifest.precision.name,
            sentences=(SENTENCE,) if open_bundle(model).manifest.referring else (),
        )
        before = _reset_peak()
        begin = time.perf_counter()
        job = Job(request, _ignore, say)
        load = time.perf_counter() - begin
        graph = network_graph(job, model) if compare or board else None
        alone, about, first = _alone(job, open_bundle(model).manifest, frames)
        job = Job(request, _ignore)
        meter = PowerMeter() if power else None
        cpu = time.process_time()
        with meter or nullcontext():
            outcome = job.run()
        cpu = time.process_time() - cpu
        memory = _peak() - before
    if outcome.error is not None:
        raise outcome.error
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
        graph.contest(engine, job.threads.inference) if graph and compare else None,
        predict(count_operations(graph.model, graph.shapes), board) if graph and board else None,
    )


def _alone(job: Job, manifest: Manifest, frames: int) -> tuple[dict[str, Timing], dict[str, str], float]:
    """Each stage by itself, on the frames that the stage before it gave."""
    segmenter, source, sinks = job.segmenter, job.source, job.sinks
    if source.video is None:
        raise UsageError("rsseg-bench takes a video: stages overlap from frame to frame")
    kept: list[Frame] = []
    alone = {"decode": _timed(_keeping(source.frames(), kept), frames)}
    begin = time.perf_counter()
    segmenter(kept[0].image)
    first = time.perf_counter() - begin
    alone["prepare"] = _timed((segmenter.prepare(frame.image) for frame in cycle(kept)), frames)
    prepared = [segmenter.prepare(frame.image) for frame in kept]
    alone["infer"] = _timed((_waited(segmenter.infer(canvas)) for canvas in cycle(prepared)), frames)
    inferred = [(frame, segmenter.infer(canvas)) for frame, canvas in zip(kept, prepared, strict=True)]

    def finish(frame: Frame, raw: Any) -> Result:
        segmentation = segmenter.finish(frame.image, raw)
        return Result(frame, segmentation, segmentation.pixel_counts())

    alone["finish"] = _timed((finish(*item) for item in cycle(inferred)), frames)
    results = [finish(*item) for item in inferred]
    for sink in sinks:
        sink.open()
    alone["write"] = _timed(_written(results, sinks), frames)
    for sink in sinks:
        sink.discard()
    source.close()
    segmenter.close()
    seen = prepared[0].crops.shape if isinstance(prepared[0], Prepared) else prepared[0].shape
    return alone, _about(job, manifest, results[0].frame.image.shape, seen), first


def _waited(raw: Any) -> Any:
    """An engine on a GPU gives back control while it computes; alone, its frame is waited for."""
    return raw.result() if isinstance(raw, Pending) else raw


def _keeping(frames: Iterable[Frame], kept: list[Frame]) -> Iterator[Frame]:
    for frame in frames:
        if len(kept) < KEPT:
            kept.append(frame)
        yield frame


def _written(results: list[Result], sinks: Sequence[Sink]) -> Iterator[None]:
    """Forwards and backwards for ever, so that the encoder sees a steady camera and time that goes on."""
    for index, result in enumerate(cycle([*results, *results[-2:0:-1]])):
        frame = result.frame
        assert frame.time_base is not None, "frames of a video carry time"
        step = frame.duration or round(1 / (25 * frame.time_base))
        moved = replace(result, frame=replace(frame, index=index, pts=index * step))
        for sink in sinks:
            sink.write(moved)
        yield


def _timed(work: Iterator[object], frames: int) -> Timing:
    """Time of each step of an iterator, after some steps of warm-up, until the median is stable or all are done."""
    wall: list[float] = []
    for _ in islice(work, WARM_UP):
        pass
    cpu, begin = time.process_time(), time.perf_counter()
    for _ in islice(work, frames):
        now = time.perf_counter()
        wall.append(now - begin)
        if len(wall) % BLOCK == 0 and _is_stable(wall):
            break
        begin = time.perf_counter()
    if not wall:
        raise UsageError(f"the video is too short to measure on: it takes more than {WARM_UP} frames")
    return Timing(np.asarray(wall), (time.process_time() - cpu) / len(wall))


def _is_stable(wall: Sequence[float]) -> bool:
    """Whether the last three blocks have the same median, all but :data:`STABLE` of it."""
    if len(wall) < 5 * BLOCK:
        return False
    medians = np.median(np.reshape(wall[-3 * BLOCK :], (3, BLOCK)), axis=1)
    return bool(np.ptp(medians) < STABLE * np.median(medians))


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


def _about(job: Job, bundle: Manifest, shown: Sequence[int], seen: Sequence[int]) -> dict[str, str]:
    import av
    import cv2
    import onnxruntime

    return {
        "model": f"{bundle.name}, {bundle.precision.name}",
        "video": f"{shown[1]}x{shown[0]}",
        "network's input": f"{seen[2]}x{seen[1]}",
        "machine": f"{processor()}, {available_cores()} cores",
        "threads": f"{job.threads.inference} inference, {job.threads.codec} each codec",
        "versions": f"Python {platform.python_version()}, ONNX Runtime {onnxruntime.__version__}, "
        f"PyAV {av.__version__}, OpenCV {cv2.__version__}",
    }


def _ignore(_: str) -> None:
    """A benchmark reads the same frames however the video ends."""

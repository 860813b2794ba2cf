"""How fast the engine is alone, each stage alone, and all of them together on the same video."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from rsseg_edge.bench.alone import first_frames, stages_alone
from rsseg_edge.bench.child import in_child
from rsseg_edge.bench.contention import Contention, describe
from rsseg_edge.bench.contestants import Contest
from rsseg_edge.bench.graph import network_graph
from rsseg_edge.bench.operations import count_operations
from rsseg_edge.bench.roofline import Roofline, predict
from rsseg_edge.bench.timing import LIMIT, PARTS, Timing, joined, ratio
from rsseg_edge.bench.whole import Settings, Whole, ignore, open_video, request_of, run_whole
from rsseg_edge.bundle import Manifest
from rsseg_edge.engines.choose import Say
from rsseg_edge.job import Job, Threads
from rsseg_edge.machine import available_cores, processor
from rsseg_edge.segmenter import open_in_precision
from rsseg_edge.segmenters.open_vocabulary import Prepared
from rsseg_edge.variants import PrecisionName, in_float


@dataclass(frozen=True)
class Beside:
    """A precision's ``infer`` beside another's, in turn with it.

    Attributes:
        other: the other precision.
        ratio: of the medians: below 1, this one is faster.
        spread: how far the ratio may be off.
    """

    other: str
    ratio: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class Measured(Whole):
    """Result of :func:`measure`.

    Attributes:
        about: machine, versions, precision, sizes.
        precision: of the graphs.
        alone: by stage; ``infer`` is the engine alone.
        contest: the graph through other runtimes; None where it was not asked for.
        roofline: the graph on a board, predicted; None where it was not asked for.
        accuracy: measures on labelled data, in percent; None where none was given.
        beside: of all precisions of a bundle but the first one, its time by the first one's.
    """

    about: dict[str, str]
    precision: PrecisionName
    alone: dict[str, Timing]
    contest: Contest | None = None
    roofline: Roofline | None = None
    accuracy: dict[str, float] | None = None
    beside: Beside | None = None

    @property
    def overlap(self) -> float:
        """Rate of all stages together by the rate of the slowest one alone: 1 where they overlap fully."""
        return self.together / min(timing.rate for timing in self.alone.values())


def measure(
    model: str, settings: Settings, precisions: Sequence[PrecisionName | None] = (None,), say: Say | None = None
) -> list[Measured]:
    """Measure a bundle on a video, in one precision or in several.

    Each runs as a whole in a process of its own, so that its memory and its first frame are nobody else's. The stages
    of all of them take turns in sittings of a process each: where memory happens to lie moves a process's times by
    some percent.

    Args:
        model: a shipped bundle's name or a bundle's folder.
        settings: how.
        precisions: of the graphs; None takes what ``rsseg-run`` does.
        say: told which engine it is and why; a function of a module.

    Raises:
        UsageError: the video or the model is not there, the video is none, or the bundle has no such precision.
        RssegError: one of them is damaged.
    """
    for precision in precisions:  # before anything takes time
        open_in_precision(model, precision, settings.engine)

    # Sittings lie around all else: a machine's speed changes within minutes, too.
    def sit() -> _Sitting:
        return in_child(_sit, model, settings, precisions)

    sittings = [sit()]
    wholes = [in_child(run_whole, model, settings, precision, say) for precision in precisions]
    sittings.append(sit())
    looks = [in_child(_look, model, settings, precision) for precision in precisions]
    sittings += [sit() for _ in range(PARTS - len(sittings))]
    alone = [joined([sitting.alone[number] for sitting in sittings]) for number in range(len(precisions))]
    others = [sitting.others for sitting in sittings]
    found = []
    for number, (whole, look) in enumerate(zip(wholes, looks, strict=True)):
        about = dict(look.about)
        if told := describe(whole.others, *others, look.contest.others if look.contest else None):
            about["other processes"] = told
        beside = Beside(looks[0].precision, *ratio(alone[number]["infer"], alone[0]["infer"])) if number else None
        seen = vars(look) | {"about": about}
        found.append(Measured(**vars(whole), **seen, alone=alone[number], beside=beside))
    return found


@dataclass(frozen=True)
class _Sitting:
    """Times of the stages of every precision, and cores that others used meanwhile; None where it is not known."""

    alone: list[dict[str, Timing]]
    others: float | None


def _sit(model: str, settings: Settings, precisions: Sequence[PrecisionName | None]) -> _Sitting:
    """One of the :data:`PARTS` sittings in which the stages are timed."""
    kept = first_frames(open_video(settings))
    with TemporaryDirectory(prefix="rsseg-bench-") as folder:
        places = [Path(folder, str(number)) for number in range(len(precisions))]
        requests = [request_of(model, settings, p, place) for p, place in zip(precisions, places, strict=True)]
        jobs = [Job(request, ignore) for request in requests]
        contention = Contention()
        alone = stages_alone(jobs, kept, ceil(settings.frames / PARTS), LIMIT / PARTS)
        return _Sitting(alone, contention.cores())


@dataclass(frozen=True)
class _Look:
    """What there is to tell of a precision beside times: see the attributes of :class:`Measured`."""

    about: dict[str, str]
    precision: PrecisionName
    contest: Contest | None
    roofline: Roofline | None


def _look(model: str, settings: Settings, precision: PrecisionName | None) -> _Look:
    """The graph through other runtimes and on a board, where that is asked for."""
    kept = first_frames(open_video(settings))
    with TemporaryDirectory(prefix="rsseg-bench-") as folder:
        job = Job(request_of(model, settings, precision, Path(folder)), ignore)
        bundle = open_in_precision(model, precision, settings.engine)
        shown = kept[0].image
        canvas = job.segmenter.prepare(shown)
        seen = canvas.crops.shape if isinstance(canvas, Prepared) else canvas.shape
        about = _about(bundle.manifest, job.threads, shown.shape, seen)
        graph = None
        if settings.compare or settings.board:
            graph = network_graph(job.segmenter, bundle, in_float(bundle, model), canvas)
        job.close()
    board = settings.board
    return _Look(
        about,
        bundle.manifest.precision.name,
        graph.contest(settings.engine, job.threads.inference) if graph and settings.compare else None,
        predict(count_operations(graph.model, graph.shapes), board) if graph and board else None,
    )


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

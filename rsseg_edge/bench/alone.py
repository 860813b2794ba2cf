"""Each stage of the pipeline by itself, on the frames that the stage before it gave."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

from rsseg_edge.bench.timing import WARM_UP, Timing, take_turns
from rsseg_edge.engines.base import Pending
from rsseg_edge.errors import UsageError
from rsseg_edge.job import Job
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sources.base import Source
from rsseg_edge.types import Frame, Result

KEPT = 24
"""Frames that the stages after decoding are measured on, again and again: 100 MB at 1280x720."""
_INFERRED = 5.0
"""Seconds that inferring them for the stages after it may take."""


def first_frames(source: Source) -> list[Frame]:
    """The frames of :data:`KEPT`.

    Raises:
        UsageError: it is no video, or so short that nothing can be measured.
    """
    if source.video is None:
        raise UsageError("rsseg-bench takes a video: stages overlap from frame to frame")
    kept = list(islice(source.frames(), KEPT))
    source.close()
    if len(kept) <= WARM_UP + 1:
        raise UsageError(f"the video is too short to measure on: it takes more than {WARM_UP + 1} frames")
    return kept


def stages_alone(jobs: Sequence[Job], kept: Sequence[Frame], frames: int, limit: float) -> list[dict[str, Timing]]:
    """Time every stage of every job in one sitting, all of them in turn.

    Args:
        jobs: of one video; none of them was run, and all are closed afterwards.
        kept: some of its frames.
        frames: steps of every stage at most.
        limit: seconds; see :func:`rsseg_edge.bench.timing.take_turns`.
    """
    stages: dict[tuple[int, str], Iterator[object]] = {}
    try:
        for number, job in enumerate(jobs):
            for sink in job.sinks:
                sink.open()
            stages |= {(number, name): steps for name, steps in _stages(job, kept).items()}
        timings = take_turns(stages, frames, limit)
    finally:
        for job in jobs:
            for sink in job.sinks:
                sink.discard()
            job.close()
    return [{name: timing for (of, name), timing in timings.items() if of == number} for number in range(len(jobs))]


def _stages(job: Job, kept: Sequence[Frame]) -> dict[str, Iterator[object]]:
    """Steps of every stage of a job whose sinks are open."""
    segmenter = job.segmenter
    prepared = [segmenter.prepare(frame.image) for frame in kept]
    inferred: list[tuple[Frame, Any]] = []
    end = time.perf_counter() + _INFERRED
    for frame, canvas in zip(kept, prepared, strict=True):
        inferred.append((frame, segmenter.infer(canvas)))
        if time.perf_counter() > end and len(inferred) >= 2:
            break

    def finish(frame: Frame, raw: Any) -> Result:
        segmentation = segmenter.finish(frame.image, raw)
        return Result(frame, segmentation, segmentation.pixel_counts())

    results = [finish(*item) for item in inferred]
    return {
        "decode": iter(job.source.frames()),
        "prepare": (segmenter.prepare(frame.image) for frame in cycle(kept)),
        "infer": (_waited(segmenter.infer(canvas)) for canvas in cycle(prepared)),
        "finish": (finish(*item) for item in cycle(inferred)),
        "write": _written(results, job.sinks),
    }


def _waited(raw: Any) -> Any:
    """An engine on a GPU gives back control while it computes; alone, its frame is waited for."""
    return raw.result() if isinstance(raw, Pending) else raw


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

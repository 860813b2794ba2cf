"""One run from an INPUT to a folder of results: chooses the source, the model's size, the sinks and the threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from rsseg_edge.asked_model import AskedModel, Question, Vocabulary, open_model
from rsseg_edge.engines.choose import EngineName, Say
from rsseg_edge.engines.shared import BatchCounts
from rsseg_edge.errors import UsageError
from rsseg_edge.event_log import tell
from rsseg_edge.flow import IN_FLIGHT, SHARED, Flow
from rsseg_edge.live.address import parse_address
from rsseg_edge.live.ask import board_of
from rsseg_edge.live.sink import LivePage, LiveView
from rsseg_edge.machine import available_cores
from rsseg_edge.maps import MapRequest, map_sinks, open_locator
from rsseg_edge.monitor import StreamMonitor
from rsseg_edge.outputs import Outputs, overlay_sinks
from rsseg_edge.pipeline import Outcome, Pipeline
from rsseg_edge.postprocess.drawing import Drawing
from rsseg_edge.segmenter import Segmenter
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.coco import CocoMasks
from rsseg_edge.sinks.frame_log import FrameLog
from rsseg_edge.sinks.images import ClassMaps, OverlayImages
from rsseg_edge.sinks.push import OverlayPush
from rsseg_edge.sources.base import Selection, Source
from rsseg_edge.sources.choose import open_source
from rsseg_edge.sources.names import stream_name
from rsseg_edge.temporal.flicker import Flicker
from rsseg_edge.temporal.segmenter import GridSegmenter, Steadiness, TemporalSegmenter
from rsseg_edge.types import Report, Result
from rsseg_edge.variants import PrecisionName

LOG = logging.getLogger("rsseg_edge.job")


@dataclass(frozen=True)
class Threads:
    """Who gets which cores.

    Attributes:
        inference: threads of one inference.
        codec: threads of the decoder, and as many of the encoder.
    """

    inference: int
    codec: int

    @classmethod
    def share(cls, cores: int, inference: int | None = None) -> Threads:
        """All cores but one for the network, unless told otherwise; the rest of the pipeline lives on that one.

        Decoding, drawing and encoding cost less than an inference and must run beside it, not in turn with it: with
        every core in the network's hands its threads wait for each other whenever a codec needs one of them. Codecs
        get more threads where there are cores for large videos.
        """
        return cls(inference or max(1, cores - 1), max(1, cores // 4))


@dataclass(frozen=True)
class Request:
    """What is to be done.

    Attributes:
        where: a video file, an image, a folder of images, a glob, or a live stream.
        model: a shipped bundle's name or a bundle's folder.
        out: the folder of the results.
        selection: which frames.
        classes_only: the classes that are drawn and counted; None takes all.
        alpha: weight of the classes' colours, 0..1.
        class_maps: whether class maps are written.
        long_side: the longest side that the network sees, in pixels; None takes the bundle's own, for video or images.
        threads: of one inference; None takes all cores but one.
        vocabulary: of an open-vocabulary model; None takes the bundle's own.
        fast: see :class:`rsseg_edge.segmenters.open_vocabulary.OpenVocabularySegmenter`.
        sentences: what a referring model segments.
        maps: what is put on the map.
        engine: what runs the network; see :func:`rsseg_edge.engines.choose.open_engine`.
        precision: of the network; None takes the faster one that the bundle has.
        steadiness: what earlier frames of a video are for.
        flicker: whether the flicker of what is shown is measured.
        max_lag: frames of a live stream that are older are not shown, seconds since their arrival; None shows all.
        transport: of RTSP, "tcp" or "udp".
        live_page: where the web page of the run is served, ``[HOST:]PORT``; None serves none.
        token: what a browser has to know to see it; needed where it is served beyond this machine.
        also: more still images, folders or globs of the same run.
        latest: of standard input, its newest frame alone is taken.
        outputs: where the overlay of a video goes, and what is written beside it.
    """

    where: str
    model: str = "segclip-tiny"
    out: Path = Path("out")
    selection: Selection = field(default_factory=Selection)
    classes_only: Sequence[str] | None = None
    alpha: float = 0.45
    class_maps: bool = False
    long_side: int | None = None
    threads: int | None = None
    vocabulary: Vocabulary | None = None
    fast: bool = False
    sentences: Sequence[str] = ()
    maps: MapRequest = field(default_factory=MapRequest)
    engine: EngineName = "auto"
    precision: PrecisionName | None = None
    steadiness: Steadiness = field(default_factory=Steadiness)
    flicker: bool = False
    max_lag: float | None = None
    transport: str = "tcp"
    live_page: str | None = None
    token: str | None = None
    outputs: Outputs = field(default_factory=Outputs)
    also: Sequence[str] = ()
    latest: bool = False

    def open_model(self, say: Say | None = None, shared: BatchCounts | None = None) -> AskedModel:
        """The model, told what to look for; see :func:`rsseg_edge.asked_model.open_model`."""
        question = Question(self.model, self.vocabulary, self.fast, self.sentences, self.classes_only)
        threads = Threads.share(available_cores(), self.threads).inference
        return open_model(
            question, long_side=self.long_side, threads=threads, engine=self.engine, precision=self.precision, say=say,
            shared=shared,
        )  # fmt: skip


class Job:
    """A request with everything opened that it names, ready to run once.

    Args:
        request: what is to be done.
        report: told about what is left out on the way.
        say: told which engine runs and why; None writes it to the log ``rsseg_edge``.
        name: of the input, where there are several.
        model: shared with other jobs, whose page is ``page``, and not closed by this one; None opens the request's.
        page: the web page of all of them.

    Attributes:
        name: of the input.
        out: the folder of the results.
        model: what segments.
        temporal: what makes a video steady; None where it was not asked for.
        flicker: the sink that measures it; None where it was not asked for.
        stream: what is known of a live input; None of others.
        page: the web page of the run; None where it was not asked for.
        pushes: the sinks that send the overlay to somebody.

    Raises:
        UsageError: the request cannot be met.
        RssegError: the input or the bundle is damaged.
    """

    def __init__(
        self,
        request: Request,
        report: Report,
        say: Say | None = None,
        *,
        name: str | None = None,
        model: AskedModel | None = None,
        page: LivePage | None = None,
    ) -> None:
        self.page = page if model is not None else open_page(request, say or report)
        self.name = name or stream_name(request.where)
        self.threads = threads = Threads.share(available_cores(), request.threads)
        self._closes = model is None
        self.model = model or request.open_model(say)
        self.segmenter = self.model.segmenter
        self._only, self.out = request.classes_only, request.out
        self.source: Source = open_source(
            request.where, request.selection, threads=threads.codec, report=report, transport=request.transport,
            also=request.also, latest=request.latest,
        )  # fmt: skip
        self.stream: StreamMonitor | None = getattr(self.source, "monitor", None)
        if self.stream is None and request.max_lag is not None:
            way = "; --latest takes the newest" if request.where == "-" else ""
            raise UsageError(f"--max-lag is for live streams: of {request.where} every frame is shown{way}")
        if self.source.video is not None and request.long_side is None:
            self.segmenter.long_side = self.segmenter.spec.video_long_side
        self._locator = open_locator(self.source.video, request.maps, report)
        self.sinks = _sinks(self.source, request, threads.codec, report, say or report)
        self.pushes = [sink for sink in self.sinks if isinstance(sink, OverlayPush)]
        if self._locator is not None:
            self.sinks += map_sinks(self._locator, request.maps, request.classes_only)
        self.flicker = Flicker() if request.flicker else None
        if self.flicker is not None:
            self.sinks.append(self.flicker)
        self.temporal = _temporal(self.segmenter, self.source, request)
        board = None if self.page is None else board_of(self.segmenter, self.stream, request.alpha)
        if self.page is not None and board is not None:
            self.sinks.append(LiveView(self.page, self.name, board))
        live = self.stream is not None
        self._known = self.stream.name if self.stream else self.name
        flow = Flow(
            (self.stream,) if self.stream else (), live=live, max_lag=request.max_lag, name=self._known,
            in_flight=IN_FLIGHT if model is None else SHARED,
        )  # fmt: skip
        self._pipeline = Pipeline(self.source.frames(), self.temporal or self.segmenter, self.sinks, flow)
        if board is not None:
            board.stages = self._pipeline.stages
            board.pushes = [push.monitor for push in self.pushes]

    def run(self, on_result: Callable[[Result], None] | None = None) -> Outcome:
        """See :meth:`rsseg_edge.pipeline.Pipeline.run`."""
        tell(LOG, logging.INFO, "started", f"{self._known}: started", stream=self._known, out=str(self.out))
        try:
            outcome = self._pipeline.run(on_result)
        finally:
            self.close()
            if self._locator is not None:
                self._locator.summary()
        self._tell_finished(outcome)
        return outcome

    def _tell_finished(self, outcome: Outcome) -> None:
        numbers: dict[str, object] = {"frames": outcome.frames, "seconds": round(outcome.seconds, 3)}
        if self.stream is not None:
            status, ages = self.stream.status(), self.stream.ages
            numbers |= {"received": status.received, "dropped": dict(status.dropped), "connections": status.connections}
            numbers |= {"age_median": round(ages.quantile(0.5), 3), "age_largest": round(ages.largest, 3)}
        if outcome.error is not None:
            numbers["error"] = str(outcome.error)
        text = f"{self._known}: {outcome.frames} frames in {outcome.seconds:.1f} s"
        tell(LOG, logging.INFO, "finished", text, stream=self._known, stopped=outcome.stopped, **numbers)

    def close(self) -> None:
        """Release what was opened; for a job that is not run, too."""
        self.source.close()
        if self._closes:
            self.segmenter.close()

    def counted(self, outcome: Outcome) -> list[str]:
        """Names of the classes to tell of: all that occurred but the background, or those that were asked for."""
        table = self.segmenter.table
        silent = {table.names[table.background]} if table.background is not None and self._only is None else set()
        return [name for name in outcome.areas if name not in silent and (self._only is None or name in self._only)]

    def abort(self) -> None:
        """See :meth:`rsseg_edge.pipeline.Pipeline.abort`."""
        self._pipeline.abort()
        self.stop()

    def stop(self) -> None:
        """See :meth:`rsseg_edge.pipeline.Pipeline.stop`."""
        self._pipeline.stop()
        self.source.stop()


def open_page(request: Request, say: Report) -> LivePage | None:
    """The web page of a request, not served yet: its address is known to be good before anything is opened."""
    where = request.live_page if request.live_page is not None else request.outputs.page
    if where is not None:
        if request.live_page is not None and request.outputs.page is not None:
            raise UsageError("--live and --to live:// are one page: give one of them")
        return LivePage(parse_address(where, request.token), say)
    if request.token is not None:
        raise UsageError("--token goes with --live [HOST:]PORT")
    return None


def _temporal(segmenter: Segmenter, source: Source, request: Request) -> TemporalSegmenter | None:
    wanted = request.steadiness.wanted
    if source.video is None and (wanted or request.flicker):
        raise UsageError("--smooth, --keyframes and --flicker are for videos: still images have no order in time")
    return TemporalSegmenter(cast(GridSegmenter, segmenter), request.steadiness) if wanted else None


def _sinks(source: Source, request: Request, threads: int, report: Report, say: Say) -> list[Sink]:
    drawing = Drawing(request.classes_only, request.alpha)
    out, where = request.out, Path(request.where)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; -o takes a folder")
    sinks: list[Sink]
    if source.video is not None:
        sinks = overlay_sinks(
            request.outputs, drawing, source.video, where, out,
            threads=threads, report=report, say=say, transport=request.transport, klv=getattr(source, "klv", None),
        )  # fmt: skip
        if request.class_maps:
            sinks.append(ClassMaps(lambda frame: out / "class_maps" / f"{frame.index:06d}.png", sync=False))
    else:
        request.outputs.refuse_images(request.where)
        if any(
            Path(given).is_dir() and out.is_dir() and out.samefile(given) for given in (request.where, *request.also)
        ):
            raise UsageError(f"{out} is the input folder: the next run would take the results for input; use -o")
        sinks = [OverlayImages(out, drawing.draw)]
        if request.class_maps:
            sinks.append(ClassMaps(lambda frame: out / f"{frame.name}.classes.png"))
    if request.outputs.coco:
        sinks.append(CocoMasks(out / "classes.coco.json", request.classes_only))
    return [*sinks, FrameLog(out / "frames.jsonl", request.classes_only)]

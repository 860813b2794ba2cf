"""One run from an INPUT to a folder of results: chooses the source, the model's size, the sinks and the threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from rsseg_edge.engines.choose import EngineName, Say
from rsseg_edge.errors import UsageError
from rsseg_edge.flow import Flow
from rsseg_edge.live.address import Address, parse_address
from rsseg_edge.live.board import Board
from rsseg_edge.live.sink import LivePage
from rsseg_edge.machine import available_cores
from rsseg_edge.maps import MapRequest, map_sinks, open_locator
from rsseg_edge.monitor import StreamMonitor
from rsseg_edge.outputs import Outputs, overlay_sinks
from rsseg_edge.pipeline import Outcome, Pipeline
from rsseg_edge.postprocess.drawing import Drawing
from rsseg_edge.prompts.vocabulary import split_classes
from rsseg_edge.segmenter import Segmenter, load
from rsseg_edge.segmenters.open_vocabulary import Change, OpenVocabularySegmenter
from rsseg_edge.segmenters.referring import ReferringSegmenter
from rsseg_edge.sinks.base import Sink
from rsseg_edge.sinks.coco import CocoMasks
from rsseg_edge.sinks.frame_log import FrameLog
from rsseg_edge.sinks.images import ClassMaps, OverlayImages
from rsseg_edge.sinks.push import OverlayPush
from rsseg_edge.sources.base import Selection, Source
from rsseg_edge.sources.choose import open_source
from rsseg_edge.temporal.flicker import Flicker
from rsseg_edge.temporal.segmenter import GridSegmenter, Steadiness, TemporalSegmenter
from rsseg_edge.types import Report, Result


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
class Vocabulary:
    """The classes that an open-vocabulary model segments into.

    Attributes:
        classes: each a string of comma-separated synonyms.
        background: synonyms of what is none of them.
        threshold: least probability of a class, 0..1; None takes the bundle's.
    """

    classes: Sequence[str]
    background: str | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Request:
    """What is to be done.

    Attributes:
        where: a video file, an image, a folder of images or a glob.
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
        steadiness: what earlier frames of a video are for.
        flicker: whether the flicker of what is shown is measured.
        max_lag: frames of a live stream that are older are not shown, seconds since their arrival; None shows all.
        transport: of RTSP, "tcp" or "udp".
        live_page: where the web page of the run is served, ``[HOST:]PORT``; None serves none.
        token: what a browser has to know to see it; needed where it is served beyond this machine.
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
    steadiness: Steadiness = field(default_factory=Steadiness)
    flicker: bool = False
    max_lag: float | None = None
    transport: str = "tcp"
    live_page: str | None = None
    token: str | None = None
    outputs: Outputs = field(default_factory=Outputs)


class Job:
    """A request with everything opened that it names, ready to run once.

    Args:
        request: what is to be done.
        report: told about what is left out on the way.
        say: told which engine runs and why; None writes it to the log ``rsseg_edge``.

    Attributes:
        notes: a line for each sentence that was cut.
        change: what it took to set the vocabulary; None where none was asked for.
        temporal: what makes a video steady; None where it was not asked for.
        flicker: the sink that measures it; None where it was not asked for.
        stream: what is known of a live input; None of others.
        page: the web page of the run; None where it was not asked for.
        pushes: the sinks that send the overlay to somebody.

    Raises:
        UsageError: the request cannot be met.
        RssegError: the input or the bundle is damaged.
    """

    def __init__(self, request: Request, report: Report, say: Say | None = None) -> None:
        address = _page_address(request)
        self.threads = threads = Threads.share(available_cores(), request.threads)
        self.segmenter: Segmenter = load(
            request.model, long_side=request.long_side, threads=threads.inference, engine=request.engine, say=say
        )
        self.notes = _refer(self.segmenter, request)
        self.change = set_vocabulary(self.segmenter, request)
        for name in request.classes_only or ():
            self.segmenter.table.index(name)
        self._only = request.classes_only
        self.source: Source = open_source(
            request.where, request.selection, threads=threads.codec, report=report, transport=request.transport
        )
        self.stream: StreamMonitor | None = getattr(self.source, "monitor", None)
        if self.stream is None and request.max_lag is not None:
            raise UsageError(f"--max-lag is for live streams: of {request.where} every frame is shown")
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
        self.page: LivePage | None = None
        if address is not None:
            self.page = LivePage(address, _board(self.segmenter, self.stream, request.alpha), say or report)
            self.sinks.append(self.page)
        flow = Flow((self.stream,), live=True, max_lag=request.max_lag) if self.stream else None
        self._pipeline = Pipeline(self.source.frames(), self.temporal or self.segmenter, self.sinks, flow)
        if self.page is not None:
            self.page.board.stages = self._pipeline.stages

    def run(self, on_result: Callable[[Result], None] | None = None) -> Outcome:
        """See :meth:`rsseg_edge.pipeline.Pipeline.run`."""
        try:
            return self._pipeline.run(on_result)
        finally:
            self.source.close()
            self.segmenter.close()
            if self._locator is not None:
                self._locator.summary()

    def counted(self, outcome: Outcome) -> list[str]:
        """Names of the classes to tell of: all that occurred but the background, or those that were asked for."""
        table = self.segmenter.table
        silent = {table.names[table.background]} if table.background is not None and self._only is None else set()
        return [name for name in outcome.areas if name not in silent and (self._only is None or name in self._only)]

    def stop(self) -> None:
        """See :meth:`rsseg_edge.pipeline.Pipeline.stop`."""
        self._pipeline.stop()
        if self.stream is not None:
            self.source.close()  # it may be waiting for a frame that never comes


def _page_address(request: Request) -> Address | None:
    """Where the web page is served: known to be good before anything is opened."""
    where = request.live_page if request.live_page is not None else request.outputs.page
    if where is not None:
        if request.live_page is not None and request.outputs.page is not None:
            raise UsageError("--live and --to live:// are one page: give one of them")
        return parse_address(where, request.token)
    if request.token is not None:
        raise UsageError("--token goes with --live [HOST:]PORT")
    return None


def _board(segmenter: Segmenter, stream: StreamMonitor | None, alpha: float) -> Board:
    """What the page shows, with a box for what the model can be asked."""
    if isinstance(segmenter, OpenVocabularySegmenter):
        return Board("classes", partial(_ask_classes, segmenter), stream, alpha)
    if isinstance(segmenter, ReferringSegmenter):
        return Board("sentences", partial(_ask_sentences, segmenter), stream, alpha)
    return Board(None, _ask_nothing, stream, alpha)


def _ask_nothing(text: str) -> Sequence[str]:
    raise UsageError("this model has classes of its own")


def _ask_classes(segmenter: OpenVocabularySegmenter, text: str) -> Sequence[str]:
    change = segmenter.set_classes(split_classes(text))
    return [f"{change.encoded} new words encoded in {change.seconds:.1f} s"] if change.encoded else []


def _ask_sentences(segmenter: ReferringSegmenter, text: str) -> Sequence[str]:
    return segmenter.refer([sentence.strip() for sentence in text.split(";") if sentence.strip()])


def _refer(segmenter: Segmenter, request: Request) -> tuple[str, ...]:
    """Ask for the sentences; what was cut of them, a line each."""
    if isinstance(segmenter, ReferringSegmenter):
        return segmenter.refer(request.sentences)
    if request.sentences:
        raise UsageError(f"model {request.model} reads no sentences: --refer is for referring models such as cris")
    return ()


def _temporal(segmenter: Segmenter, source: Source, request: Request) -> TemporalSegmenter | None:
    wanted = request.steadiness.wanted
    if source.video is None and (wanted or request.flicker):
        raise UsageError("--smooth, --keyframes and --flicker are for videos: still images have no order in time")
    return TemporalSegmenter(cast(GridSegmenter, segmenter), request.steadiness) if wanted else None


def set_vocabulary(segmenter: Segmenter, request: Request) -> Change | None:
    """Set the classes that a request names; what that took.

    Raises:
        UsageError: it names some for a model that has its own, or none where the bundle has none either.
    """
    vocabulary = request.vocabulary
    if not isinstance(segmenter, OpenVocabularySegmenter):
        if vocabulary is not None or request.fast:
            raise UsageError(
                f"model {request.model} has classes of its own ({', '.join(segmenter.classes)}): "
                f"--classes, --background, --threshold and --fast are for open-vocabulary models such as segearth-ov"
            )
        return None
    segmenter.fast = request.fast
    if vocabulary is None:
        segmenter.table  # noqa: B018 (raises where there are no classes)
        return None
    return segmenter.set_classes(vocabulary.classes, background=vocabulary.background, threshold=vocabulary.threshold)


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
        if where.is_dir() and out.is_dir() and out.samefile(where):
            raise UsageError(f"{out} is the input folder: the next run would take the results for input; use -o")
        sinks = [OverlayImages(out, drawing.draw)]
        if request.class_maps:
            sinks.append(ClassMaps(lambda frame: out / f"{frame.name}.classes.png"))
    if request.outputs.coco:
        sinks.append(CocoMasks(out / "classes.coco.json", request.classes_only))
    return [*sinks, FrameLog(out / "frames.jsonl", request.classes_only)]

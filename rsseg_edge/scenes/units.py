"""A scene's work in units that any process can do: consecutive bands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rsseg_edge.asked_model import Question, set_vocabulary
from rsseg_edge.engines.choose import Say
from rsseg_edge.errors import UsageError
from rsseg_edge.scenes.gdal import environment
from rsseg_edge.scenes.layers import Layers, layer_names
from rsseg_edge.scenes.scene import Scene
from rsseg_edge.scenes.segment import BandRun, Rows
from rsseg_edge.scenes.settings import SceneRequest
from rsseg_edge.scenes.stretch import Stretch
from rsseg_edge.scenes.windows import Plan
from rsseg_edge.scenes.work import BandDone, Journal
from rsseg_edge.segmenter import ScoringSegmenter, Segmenter, load
from rsseg_edge.segmenters.open_vocabulary import Change
from rsseg_edge.segmenters.scene_queries import SceneQueries
from rsseg_edge.types import ClassTable

AT_ONCE = {"int8": 2}
"""Windows that the network sees at the same time, by its precision. A second one takes 0.3 GB in int8, for 15 % of the
time; in float32 0.5 GB, for 4 %."""
SEVERAL = 4
"""Windows of a scene that are worth it: fewer wait for the last one, which then has half of the cores."""


class ScoringModel(Segmenter, ScoringSegmenter, Protocol):
    """A segmenter whose scores can be blended."""


@dataclass(frozen=True)
class Task:
    """A scene as its workers are told of it.

    Attributes:
        scene: path or URL, as GDAL takes it.
        request: what is to be done.
        stretch: of the scene.
        plan: its windows.
        queries: that its windows share; None leaves each its own.
        folder: where the layers lie; every worker sees it.
    """

    scene: str
    request: SceneRequest
    stretch: Stretch | None
    plan: Plan
    queries: SceneQueries | None
    folder: str


class Pool(Protocol):
    """Processes that share the work of a scene."""

    def bands(self, task: Task, missing: Sequence[range]) -> Iterator[BandDone]:
        """Bands as they are finished, in any order; their pixels and journals are on the disk by then.

        Raises:
            RssegError: a unit failed.
        """


def open_model(request: SceneRequest, threads: int, say: Say | None = None) -> tuple[ScoringModel, Change | None]:
    """The model of a request with its vocabulary set, and what that took.

    Args:
        request: names it.
        threads: cores of the network.
        say: told which engine runs and why; None writes it to the log ``rsseg_edge``.

    Raises:
        UsageError: there is none, or it gives no scores.
        RssegError: the bundle is damaged.
    """
    segmenter: Segmenter = load(
        request.model, threads=threads, engine=request.engine, precision=request.precision, say=say
    )
    if not isinstance(segmenter, ScoringSegmenter):
        raise UsageError(f"model {request.model} has no class scores to blend: scenes take semantic models")
    change = set_vocabulary(segmenter, Question(request.model, request.vocabulary, request.fast))
    return segmenter, change  # type: ignore[return-value]  # it is both protocols


def windows_at_once(request: SceneRequest, plan: Plan, threads: int) -> int:
    """How many windows of a scene the network is to see at the same time on so many cores."""
    windows = len(plan.rows.starts) * len(plan.columns.starts)
    return 1 if windows < SEVERAL else min(threads, AT_ONCE.get(request.precision or "", 1))


def layers_of(request: SceneRequest, table: ClassTable) -> tuple[str, ...]:
    """Names of the layers that a request asks for."""
    return layer_names(len(table) if request.probabilities else 0)


class BandStore:
    """Writes bands, row by row.

    Args:
        layers: that they are written to.
        on_band: given each band that is on the disk, as a line for a journal.
    """

    def __init__(self, layers: Layers, on_band: Callable[[BandDone], None]) -> None:
        self._layers, self._on_band = layers, on_band
        self._sums: tuple[int, ...] = ()

    def add(self, rows: Rows) -> None:
        """The next rows.

        Raises:
            RssegError: the file system refuses.
        """
        self._sums = self._layers.write(rows.top, (rows.class_map, rows.confidence, *rows.probabilities), self._sums)
        if rows.last:
            self._layers.sync()
            done, self._sums = BandDone(rows.band, self._sums, rows.failures), ()
            self._on_band(done)


def do_unit(task: Task, segmenter: ScoringModel, bands: range) -> list[BandDone]:
    """Segment and store consecutive bands. They have a journal of their own, so that none is lost with this process.

    Raises:
        RssegError: see :meth:`rsseg_edge.scenes.segment.BandRun.run`.
    """
    folder = Path(task.folder)
    layers = Layers(folder, task.plan.height, task.plan.width, layers_of(task.request, segmenter.table))
    journal = Journal(folder / f"journal.{bands.start}")
    made: list[BandDone] = []

    def on_band(done: BandDone) -> None:
        made.append(done)
        journal.add(done)

    try:
        with environment(), Scene(task.scene, task.request.options) as scene:
            scene.stretch = task.stretch
            classes = len(segmenter.table) if task.request.probabilities else 0
            rows = BandStore(layers, on_band)
            BandRun(scene, segmenter, task.plan, task.queries, rows.add, classes=classes).run(bands)
    finally:
        journal.close()
    return made


def consecutive(bands: Sequence[int]) -> Iterator[range]:
    """Bands that follow each other, as ranges.

    >>> list(consecutive([0, 1, 4]))
    [range(0, 2), range(4, 5)]
    """
    begin = 0
    for i in range(1, len(bands) + 1):
        if i == len(bands) or bands[i] != bands[i - 1] + 1:
            yield range(bands[begin], bands[i - 1] + 1)
            begin = i


def split(missing: Sequence[range], size: int) -> list[range]:
    """Units of at most ``size`` bands."""
    return [
        range(start, min(start + size, part.stop)) for part in missing for start in range(part.start, part.stop, size)
    ]

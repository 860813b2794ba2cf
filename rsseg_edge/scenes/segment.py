"""Bands of a scene: reading, inference, blending and writing at the same time, each on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rsseg_edge.machine import step_back
from rsseg_edge.scenes.blend import Blender, Cells, decide_rows
from rsseg_edge.scenes.clock import Clock
from rsseg_edge.scenes.gdal import environment
from rsseg_edge.scenes.probabilities import probabilities_of_rows
from rsseg_edge.scenes.reading import Failure
from rsseg_edge.scenes.scene import Scene
from rsseg_edge.scenes.survey import window_image
from rsseg_edge.scenes.windows import Plan
from rsseg_edge.segmenter import ScoringSegmenter
from rsseg_edge.segmenters.scene_queries import SceneQueries
from rsseg_edge.stages import ClosedError, Link
from rsseg_edge.types import NO_DATA, UInt8Array

AHEAD = 2  # windows that are read before they are needed
ROWS = 256  # of the scene, that are decided on and written at once

Scores = Callable[[], npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Rows:
    """Some finished rows of a band.

    Attributes:
        band: its index in the plan.
        top: the first of them, in the scene.
        class_map: uint8 [rows, width]; ``NO_DATA`` where the scene has none.
        confidence: uint8 [rows, width], 1..255; 0 there.
        last: whether the band ends with them.
        failures: all that could not be read of the scene so far.
        probabilities: of each class, as :mod:`rsseg_edge.scenes.probabilities` has them; empty where nobody asked.
    """

    band: int
    top: int
    class_map: UInt8Array
    confidence: UInt8Array
    last: bool
    failures: tuple[Failure, ...]
    probabilities: tuple[UInt8Array, ...] = ()


@dataclass(frozen=True, eq=False)
class _Read:
    """From the reader: a window, None where it has no valid pixel; or, after a row of them, a band's valid pixels."""

    row: int
    column: int | None
    image: UInt8Array | None = None
    valid: npt.NDArray[np.bool_] | None = None
    failures: tuple[Failure, ...] = ()


@contextmanager
def _alone() -> Iterator[None]:
    """OpenCV works on the threads that ask: its own would take the network's cores."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _behind(work: Callable[[list[BaseException]], None], errors: list[BaseException]) -> None:
    """On a thread that leaves the cores to the network."""
    step_back()
    work(errors)


@dataclass(eq=False)
class BandRun:
    """Segments consecutive bands of a scene.

    The result does not depend on where a run begins: bands are the same whether made in one run or in many.

    Attributes:
        scene: opened, and used by this run alone.
        segmenter: likewise.
        plan: the windows.
        queries: that the windows share; None leaves each its own.
        on_rows: takes each band's rows, in order, on a thread of its own.
        on_window: called after each window with the row and column of windows.
        clock: where the time went.
        classes: how many have their probabilities made, all or none.
    """

    scene: Scene
    segmenter: ScoringSegmenter
    plan: Plan
    queries: SceneQueries | None
    on_rows: Callable[[Rows], None]
    on_window: Callable[[int, int], None] = lambda row, column: None
    clock: Clock = field(default_factory=Clock)
    classes: int = 0

    def run(self, bands: range) -> None:
        """Segment bands.

        Raises:
            RssegError: the scene cannot be read any more, the engine failed, or ``on_rows`` raised it.
        """
        read: Link[_Read] = Link(AHEAD)
        # The blender waits for the first of several windows, one is put behind it, and one is where that comes from.
        seen: Link[tuple[Scores | None, _Read]] = Link(max(1, self.segmenter.at_once - 1))
        made: Link[Rows] = Link(1)
        errors: list[BaseException] = []
        threads = [
            threading.Thread(target=_behind, args=(work, errors), name=f"rsseg-{name}", daemon=True)
            for name, work in (
                ("read", lambda errors: self._read_all(bands, read, errors)),
                ("blend", lambda errors: self._blend_all(bands, seen, made, errors)),
                ("write", lambda errors: self._write_all(made, errors)),
            )
        ]
        for thread in threads:
            thread.start()
        try:
            with _alone():
                self._infer(read, seen)
        except ClosedError:
            pass  # a thread behind failed, and its error is told below
        finally:
            read.refuse()
            seen.end()
            for thread in threads:
                while thread.is_alive():
                    thread.join(timeout=0.2)
        if errors:
            raise errors[0]

    def _infer(self, read: Link[_Read], seen: Link[tuple[Scores | None, _Read]]) -> None:
        with ThreadPoolExecutor(self.segmenter.at_once, "rsseg-infer") as several:
            for item in read:
                scores: Scores | None = None
                if item.image is not None:
                    if self.segmenter.at_once > 1:
                        scores = several.submit(self._scores, item.image).result
                    else:
                        seen.settle()  # what the network gives is large: one is blended while the next is made
                        with self.clock.window(item.image):
                            scores = self.segmenter.start_scores(item.image, self.queries)
                seen.put((scores, item))
                del scores  # holds what the network gave, which is the blender's now
                if item.column is not None:
                    self.on_window(item.row, item.column)

    def _scores(self, image: UInt8Array) -> npt.NDArray[np.float32]:
        """Of one window of several: all at once, so that no more is kept of it."""
        with self.clock.window(image):
            return self.segmenter.start_scores(image, self.queries)()

    def _blend_all(
        self,
        bands: range,
        given: Link[tuple[Scores | None, _Read]],
        out: Link[Rows],
        errors: list[BaseException],
    ) -> None:
        blender = Blender(self.plan, bands.start)
        try:
            for scores, item in given:
                if item.column is None:
                    for rows in self._rows(blender.finish(item.row), item):
                        out.put(rows)
                        del rows
                elif scores is not None:
                    blender.add(item.row, item.column, scores())
                del scores, item  # before the next is waited for
        except ClosedError:
            pass
        except BaseException as error:
            errors.append(error)
        finally:
            given.refuse()
            out.end()

    def _read_all(self, bands: range, out: Link[_Read], errors: list[BaseException]) -> None:
        try:
            with environment():
                for item in self._items(bands):
                    out.put(item)
        except ClosedError:
            pass
        except BaseException as error:
            errors.append(error)
        finally:
            out.end()

    def _items(self, bands: range) -> Iterator[_Read]:
        plan = self.plan
        reader = self.scene.reader
        for row in range(plan.first_window(bands.start), bands.stop):
            for column in range(len(plan.columns.starts)):
                top, left = plan.rows.starts[row], plan.columns.starts[column]
                image = window_image(self.scene, plan, top, left, (plan.rows.tile, plan.columns.tile))
                yield _Read(row, column, image)
            if row >= bands.start:
                top, bottom = plan.bounds[row : row + 2]
                valid = reader.valid(top, bottom - top) if bottom > top else None
                yield _Read(row, None, None, valid, tuple(reader.failures.values()))

    def _write_all(self, given: Link[Rows], errors: list[BaseException]) -> None:
        try:
            for rows in given:
                self.on_rows(rows)
                del rows  # before the next is waited for
        except BaseException as error:
            errors.append(error)
        finally:
            given.refuse()

    def _rows(self, cells: Cells | None, end: _Read) -> Iterator[Rows]:
        """A band piece by piece: as a whole it is the largest that is kept of a wide scene."""
        top, bottom = self.plan.bounds[end.row : end.row + 2]
        for first in range(top, bottom, ROWS) or (top,):  # a band may be empty, and is finished all the same
            rows = range(first, min(first + ROWS, bottom))
            last = rows.stop == bottom
            if cells is None:
                none = np.full((len(rows), self.plan.width), NO_DATA, np.uint8)
                yield Rows(end.row, first, none, np.zeros_like(none), last, end.failures, (none,) * self.classes)
                continue
            class_map, confidence = decide_rows(cells, rows, self.plan, self.segmenter)
            np.maximum(confidence, 1, out=confidence)  # 0 is no-data
            probabilities = probabilities_of_rows(cells, rows, self.plan, self.segmenter, self.classes)
            if end.valid is not None:
                valid = end.valid[first - top : rows.stop - top]
                class_map[~valid], confidence[~valid] = NO_DATA, 0
                for plane in probabilities:
                    plane[~valid] = NO_DATA
            yield Rows(end.row, first, class_map, confidence, last, end.failures, tuple(probabilities))

"""Area table, overviews and polygons of the rows that are finished, made while those below are still at work."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from types import TracebackType

from rsseg_edge.machine import step_back
from rsseg_edge.polygons.polygonize import band_rows, find_runs, regions
from rsseg_edge.polygons.regions import Runs
from rsseg_edge.scenes.areas import AreaCounter
from rsseg_edge.scenes.gdal import environment
from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.scenes.layers import Layers
from rsseg_edge.scenes.overviews import Overviews
from rsseg_edge.scenes.polygon_files import append_polygons
from rsseg_edge.scenes.raster import BLOCK
from rsseg_edge.scenes.work import Work
from rsseg_edge.types import ClassTable, UInt8Array


class _StoppedError(Exception):
    """Nobody wants the rest."""


class Follower:
    """Goes through a scene's class map from the top down on a thread of its own, behind those who write it.

    A run that goes on after a kill begins at the top again: that takes a twentieth of the time that the rows took.

    Args:
        work: what is finished.
        geo: the scene's grid.
        table: the classes.
        simplify: tolerance of the polygons in pixels; None makes none.

    Attributes:
        areas: of the rows that :meth:`see_all` waits for.
        polygons: how many are in the file so far.
    """

    def __init__(self, work: Work, geo: GeoReference, table: ClassTable, simplify: float | None) -> None:
        self.areas = AreaCounter(geo.pixel_areas())
        self._overviews = Overviews(work.layers, "classes", BLOCK)
        self.polygons = 0
        self._work, self._geo, self._table, self._simplify = work, geo, table, simplify
        self._ready = self._seen = 0
        self._stopped = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="rsseg-follow", daemon=True)

    def __enter__(self) -> Follower:
        self.go_on()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def go_on(self) -> None:
        """More of the work is finished.

        Raises:
            RssegError: the file system refused what was made so far.
        """
        with self._changed:
            if self._error is not None:
                raise self._error
            self._ready = self._work.rows
            self._changed.notify_all()

    def see_all(self) -> Sequence[Layers]:
        """Wait until every row is in the areas and in the overviews, which it gives; polygons may still be made.

        Raises:
            RssegError: the file system refuses.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._seen == self._work.layers.height or self._error is not None)
            if self._error is not None:
                raise self._error
        return self._overviews.levels

    def finish(self) -> None:
        """Wait for the last polygon.

        Raises:
            RssegError: the file system refuses.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        step_back()
        try:
            with environment():
                if self._simplify is None:
                    for _ in self._rows():
                        pass
                else:
                    made = regions(self._rows(), self._geo.pixel_areas(), self._geo.width, self._simplify)
                    for count in append_polygons(made, self._geo, self._table, self._work.folder):
                        self.polygons += count
        except _StoppedError:
            pass
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _rows(self) -> Iterator[tuple[UInt8Array, Runs]]:
        layers = self._work.layers
        for top, bottom in _strips(0, layers.height, layers.width):
            with self._changed:
                self._changed.wait_for(lambda bottom=bottom: self._ready >= bottom or self._stopped)  # type: ignore[misc]
                if self._stopped:
                    raise _StoppedError
                ready = self._ready
            # All that are there, before polygons are made of the first of them: the last band's are waited for.
            for first, end in _strips(self._seen, ready, layers.width):
                class_map, runs = self._read(first, end)
                self.areas.add(runs, end - first)
                self._overviews.add(class_map)
                with self._changed:
                    self._seen = end
                    self._changed.notify_all()
            if self._simplify is not None:
                yield self._read(top, bottom)

    def _read(self, top: int, bottom: int) -> tuple[UInt8Array, Runs]:
        layers = self._work.layers
        class_map = layers.read("classes", top, bottom)
        return class_map, find_runs(class_map, layers.read("confidence", top, bottom))


def _strips(top: int, bottom: int, width: int) -> Iterator[tuple[int, int]]:
    """Rows from top to bottom, as many at a time as are made into polygons at once."""
    for first in range(top, bottom, band_rows(width)):
        yield first, min(first + band_rows(width), bottom)

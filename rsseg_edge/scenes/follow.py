"""Area table and polygons of the rows that are finished, made while those below are still at work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType

from rsseg_edge.polygons.polygonize import band_rows, find_runs, regions
from rsseg_edge.polygons.regions import Runs
from rsseg_edge.scenes.areas import AreaCounter
from rsseg_edge.scenes.gdal import environment
from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.scenes.polygon_files import append_polygons
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
        areas: of the rows so far.
        polygons: how many are in the file so far.
    """

    def __init__(self, work: Work, geo: GeoReference, table: ClassTable, simplify: float | None) -> None:
        self.areas = AreaCounter(geo.pixel_areas())
        self.polygons = 0
        self._work, self._geo, self._table, self._simplify = work, geo, table, simplify
        self._ready = 0
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

    def finish(self) -> None:
        """Wait for the last row.

        Raises:
            RssegError: the file system refuses.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
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

    def _rows(self) -> Iterator[tuple[UInt8Array, Runs]]:
        layers = self._work.layers
        for top in range(0, layers.height, band_rows(layers.width)):
            bottom = min(top + band_rows(layers.width), layers.height)
            with self._changed:
                self._changed.wait_for(lambda bottom=bottom: self._ready >= bottom or self._stopped)  # type: ignore[misc]
                if self._stopped:
                    raise _StoppedError
            class_map = layers.read("classes", top, bottom)
            runs = find_runs(class_map, layers.read("confidence", top, bottom))
            self.areas.add(runs, bottom - top)
            yield class_map, runs

"""Classes on the map: a GeoPackage of polygons in WGS 84, frame by frame or merged over time."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.sinks.map_polygons import ground_sampling_distance, square_metres, to_map, visible_area
from rsseg_edge.sinks.map_sink import Locate, MapSink
from rsseg_edge.sinks.merged_polygons import MergedPolygons, Observation
from rsseg_edge.sinks.part_path import PartPath
from rsseg_edge.sinks.regions import regions
from rsseg_edge.types import Result

BATCH = 2000  # features between two visits to the file
LIBRARIES = {
    "--geo": ("pyogrio", "shapely"),
    "--mosaic": ("rasterio", "shapely"),
    "a georeferenced scene": ("pyogrio", "rasterio", "shapely"),
}
"""What is not in the smallest install, by what needs it."""


def require_geo(option: str) -> None:
    """Refuse an option whose libraries are not installed.

    Args:
        option: of ``LIBRARIES``.

    Raises:
        UsageError: with the command that installs them.
    """
    for library in LIBRARIES[option]:
        if importlib.util.find_spec(library) is None:
            raise UsageError(f"{option} needs {library}: pip install 'rsseg-edge[geo]'")


class GeoPackage(MapSink):
    """A GeoPackage with the layers ``classes`` and ``footprints``.

    ``classes`` has for each region ``class``, ``area_m2``, ``confidence`` (mean, 0..1) and, frame by frame, ``frame``,
    ``time`` (seconds of the video), ``utc`` and ``ce90_m`` (radius that holds the true place with a probability of
    90 %, where the telemetry tells its errors); merged, ``first`` and ``last`` (seconds), ``utc_first``, ``utc_last``
    and ``observations``. Merged polygons of one class do not overlap; those of two may, where frames disagree.

    Args:
        path: the file.
        locate: where a frame lies.
        only: names of the classes that are written; None takes all but the background.
        merge: polygons of all frames become one map.
    """

    def __init__(self, path: Path, locate: Locate, only: Sequence[str] | None = None, *, merge: bool) -> None:
        require_geo("--geo")
        super().__init__(path, locate)
        self._only = only
        self._merged: MergedPolygons | None = MergedPolygons() if merge else None
        self._layers = {"classes": _Layer("classes"), "footprints": _Layer("footprints")}

    def write(self, result: Result) -> None:
        """Add what a frame shows.

        Raises:
            RssegError: the file system refuses.
        """
        located = self._locate(result.frame)
        if located is None:
            return
        record, place = located
        visible = visible_area(place)
        when = {"time": result.frame.time, "utc": _utc(record.unix)}
        for _, polygon in to_map([visible], place, visible):
            row = {
                "frame": result.frame.index,
                **when,
                "method": place.method,
                "ce90_m": place.ce90,
                "gsd_m": ground_sampling_distance(place),
                "camera_latitude": record.latitude,
                "camera_longitude": record.longitude,
                "camera_altitude": record.altitude if record.altitude is not None else record.height,
            }
            self._add("footprints", polygon, row)
        table = result.segmentation.table
        found = list(regions(result.segmentation, table.selected(self._only)))
        placed = to_map([region.polygon for region in found], place, visible) if found else []
        if self._merged is not None:
            for at, polygon in placed:
                seen = Observation(polygon, found[at].confidence, result.frame.time or 0.0, record.unix)
                self._merged.add(table.names[found[at].index], seen)
            return
        areas = square_metres([polygon for _, polygon in placed])
        for (at, polygon), area in zip(placed, areas, strict=True):
            row = {"frame": result.frame.index, **when, "class": table.names[found[at].index], "area_m2": area}
            self._add("classes", polygon, {**row, "confidence": found[at].confidence, "ce90_m": place.ce90})

    def close(self) -> None:
        """Publish the file.

        Raises:
            RssegError: no frame could be located, or the file system refuses.
        """
        if self._part is None:
            return
        try:
            if self._merged is not None:
                for name, merged in self._merged.finish():
                    row = {
                        "class": name,
                        "area_m2": square_metres([merged.polygon])[0],
                        "confidence": merged.confidence,
                        "first": merged.first,
                        "last": merged.last,
                        "utc_first": _utc(merged.unix_first),
                        "utc_last": _utc(merged.unix_last),
                        "observations": merged.observations,
                    }
                    self._add("classes", merged.polygon, row)
            for layer in self._layers.values():
                layer.flush(self._part)
        except BaseException:
            self.discard()
            raise
        self._publish()

    def _add(self, name: str, polygon: Any, row: dict[str, Any]) -> None:
        layer = self._layers[name]
        layer.rows.append((polygon, row))
        if len(layer.rows) >= BATCH:
            layer.flush(self._opened)


class _Layer:
    """Features on their way into a layer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[tuple[Any, dict[str, Any]]] = []
        self._begun = False

    def flush(self, part: PartPath) -> None:
        import pyogrio
        import shapely

        if not self.rows:
            return
        names = list(self.rows[0][1])
        columns = [_column(name, [row[name] for _, row in self.rows]) for name in names]
        zones = {name: np.full(len(self.rows), 100, np.uint8) for name in names if name.startswith("utc")}  # 100: UTC
        try:
            pyogrio.raw.write(
                part.part,
                shapely.to_wkb(np.array([polygon for polygon, _ in self.rows], dtype=object)),
                columns,
                names,
                layer=self.name,
                driver="GPKG",
                geometry_type="Polygon",
                crs="EPSG:4326",
                gdal_tz_offsets=zones,
                append=self._begun,
            )
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError) as error:
            raise RssegError(f"cannot write {part.path}: {error}") from None
        self.rows, self._begun = [], True


def _column(name: str, values: list[Any]) -> Any:
    if name.startswith("utc"):
        return np.array([np.datetime64("NaT") if v is None else v for v in values], dtype="datetime64[ms]")
    if name in ("class", "method"):
        return np.array(values, dtype=object)
    if name in ("frame", "observations"):
        return np.array(values, dtype=np.int32)
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _utc(unix: float | None) -> np.datetime64 | None:
    if unix is None or not 0 <= unix < 253402300800:  # the year 10000
        return None
    return np.datetime64(round(unix * 1000), "ms")

"""Regions as GeoPackage, FlatGeobuf and GeoJSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import UsageError
from rsseg_edge.polygons.polygonize import wkb
from rsseg_edge.polygons.regions import Regions
from rsseg_edge.scenes.gdal import refusal
from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.scenes.raster import publish
from rsseg_edge.types import ClassTable

FORMATS = {"gpkg": "GPKG", "fgb": "FlatGeobuf", "geojson": "GeoJSON"}
LAYER = "polygons"
BATCH = 8192
"""Polygons that are appended at once: to open a GeoPackage and close it again takes as long as to write a thousand."""

_Columns = list[npt.NDArray[Any]]  # the polygons as WKB, then their attributes


def parse_formats(text: str) -> tuple[str, ...]:
    """``"gpkg,geojson"`` as format names; ``"none"`` as none.

    Raises:
        UsageError: a name that is no format.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if names == ("none",):
        return ()
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"--polygons {text}: of {', '.join(FORMATS)}, with commas between; or none")
    return names


def append_polygons(regions: Iterable[Regions], geo: GeoReference, table: ClassTable, folder: Path) -> Iterator[int]:
    """Write regions into a file for :func:`publish_polygons` as they come; at most a few thousand are in memory.

    Attributes of each: ``class``, ``class_index``, ``area_m2`` (of its pixels) and ``confidence`` (mean, 0..1).

    Args:
        regions: batches of them.
        geo: the scene's grid.
        table: names of the classes.
        folder: for files that are being written.

    Yields:
        How many are in each batch.

    Raises:
        RssegError: the file system refuses.
    """
    # One file is appended to; the others are copied from it as a stream: FlatGeobuf is written in one go.
    first = folder / f"{LAYER}.gpkg"
    with _named(first), _unsynced():
        first.unlink(missing_ok=True)
        _append(first, [_columns(Regions.none(), geo, table)], geo)
        waiting: list[_Columns] = []
        count = 0
        for batch in regions:
            found = len(batch)
            if found:
                waiting.append(_columns(batch, geo, table))
                count += found
            del batch  # its points are in the columns now; the last one's are many
            if count >= BATCH:
                _append(first, waiting, geo)
                waiting, count = [], 0
            yield found
        if waiting:
            _append(first, waiting, geo)


def publish_polygons(count: int, folder: Path, path: Path, formats: Sequence[str]) -> None:
    """Give finished polygons their names. GeoPackage and FlatGeobuf are in the scene's CRS, GeoJSON in longitude and
    latitude (RFC 7946).

    Args:
        count: how many there are.
        folder: see :func:`append_polygons`.
        path: of the results, without a suffix.
        formats: names from ``FORMATS``.

    Raises:
        RssegError: the file system refuses.
    """
    first = folder / f"{LAYER}.gpkg"
    for name in formats:
        target = path.with_name(f"{path.name}.{name}")
        if name == "gpkg":
            continue
        made = folder / f"{LAYER}.{name}"
        with _named(target):
            _copy(first, made, FORMATS[name], count)
        publish(made, target)
    if "gpkg" in formats:
        publish(first, path.with_name(f"{path.name}.gpkg"))
    else:
        first.unlink()


def _columns(batch: Regions, geo: GeoReference, table: ClassTable) -> _Columns:
    a, _, c, _, e, f = geo.transform
    return [
        wkb(batch, (a, e), (c, f)),
        np.array(table.names, dtype=object)[batch.class_index],
        batch.class_index.astype(np.int32),
        batch.area.round(3),
        batch.confidence.round(4),
    ]


def _append(path: Path, batches: Sequence[_Columns], geo: GeoReference) -> None:
    import pyogrio.raw

    polygons, *attributes = (np.concatenate(column) for column in zip(*batches, strict=True))
    pyogrio.raw.write(
        path,
        polygons,
        field_data=attributes,
        fields=["class", "class_index", "area_m2", "confidence"],
        layer=LAYER,
        driver="GPKG",
        geometry_type="Polygon",
        crs=geo.wkt,
        append=path.exists(),
    )


def _copy(source: Path, made: Path, driver: str, count: int) -> None:
    import pyogrio
    import pyogrio.raw

    made.unlink(missing_ok=True)
    options: dict[str, Any] = {"RFC7946": "YES"} if driver == "GeoJSON" else {}
    with pyogrio.raw.open_arrow(source, use_pyarrow=False, batch_size=4096) as (meta, stream):
        pyogrio.raw.write_arrow(
            stream,
            made,
            layer=LAYER,
            driver=driver,
            geometry_name=meta["geometry_name"],
            geometry_type="Polygon",
            crs=meta["crs"],
            **options,
        )
    found = pyogrio.read_info(made, force_feature_count=True)["features"]
    if found != count:
        raise OSError(f"{found} of {count} polygons arrived; is the disk full?")


@contextmanager
def _unsynced() -> Iterator[None]:
    """SQLite waits for the disk at no append: a file that is cut short by a kill is made anew, and
    :func:`~rsseg_edge.scenes.raster.publish` waits once."""
    import pyogrio

    name = "OGR_SQLITE_SYNCHRONOUS"
    before = pyogrio.get_gdal_config_option(name)
    pyogrio.set_gdal_config_options({name: "OFF"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({name: before})


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what GDAL, pyogrio and the file system raise into one line that names the file."""
    from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

    try:
        yield
    except (OSError, DataSourceError, DataLayerError, FeatureError, FieldError, GeometryError) as error:
        raise refusal(path, error) from None

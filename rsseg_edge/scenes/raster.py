"""Class map, confidence and probabilities as cloud-optimised GeoTIFF."""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

from rsseg_edge.errors import RssegError
from rsseg_edge.machine import available_cores
from rsseg_edge.scenes.gdal import refusal
from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.scenes.layers import LAYERS, Layers, layer_names
from rsseg_edge.scenes.probabilities import SCALE
from rsseg_edge.sinks.part_file import named_errors, write_file
from rsseg_edge.types import NO_DATA, ClassTable

BLOCK = 512
LEVEL = 5
"""Of the compression: 6, which is usual, makes class maps a ninth smaller in twice the time."""


def write_class_cog(
    layers: Layers, overviews: Sequence[Layers], geo: GeoReference, table: ClassTable, path: Path
) -> None:
    """The class map: indices into the class table, with its colours and names, and no-data.

    Names are in the file's tag CLASSES, as a JSON list, and as GDAL's category names in ``path``.aux.xml.

    Args:
        layers: the scene's.
        overviews: levels of :class:`rsseg_edge.scenes.overviews.Overviews`, all of their rows written.
        geo: the scene's grid.
        table: the classes.
        path: of the file.

    Raises:
        RssegError: the file system refuses.
    """
    colors = [f'<Entry c1="{r}" c2="{g}" c3="{b}" c4="255"/>' for r, g, b in table.colors]
    colors += ['<Entry c1="0" c2="0" c3="0" c4="255"/>'] * (NO_DATA - len(colors))
    names = "".join(f"<Category>{escape(name)}</Category>" for name in table.names)
    band = (
        f"<NoDataValue>{NO_DATA}</NoDataValue><ColorInterp>Palette</ColorInterp>"
        f'<ColorTable>{"".join(colors)}<Entry c1="0" c2="0" c3="0" c4="0"/></ColorTable>'
        f"<CategoryNames>{names}</CategoryNames>"
    )
    for level in overviews:
        (name,) = level.names
        reduced = replace(geo, height=level.height, width=level.width)
        write_file(level.path(name).with_suffix(".vrt"), _raw_vrt({name: ""}, reduced, {}).encode())
        source = f'<SourceFilename relativeToVRT="1">{name}.vrt</SourceFilename><SourceBand>1</SourceBand>'
        band += f"<Overview>{source}</Overview>"
    tags = {"CLASSES": json.dumps(list(table.names), ensure_ascii=False), "AREA_OR_POINT": "Area"}
    _write_cog(layers, {"classes": band}, geo, tags, "MODE", path)


def write_confidence_cog(layers: Layers, geo: GeoReference, path: Path) -> None:
    """The best class's share, 1..255; 0 is no-data.

    Raises:
        RssegError: the file system refuses.
    """
    band = "<NoDataValue>0</NoDataValue><ColorInterp>Gray</ColorInterp><Description>confidence, 1/255</Description>"
    _write_cog(layers, {"confidence": band}, geo, {"AREA_OR_POINT": "Area"}, "AVERAGE", path)


def write_probability_cog(layers: Layers, geo: GeoReference, table: ClassTable, path: Path) -> None:
    """A band a class, named as it is: its probability, with GDAL's scale of 1 / 254; 255 is no-data.

    Raises:
        RssegError: the file system refuses.
    """
    band = f"<NoDataValue>{NO_DATA}</NoDataValue><ColorInterp>Undefined</ColorInterp><Scale>{1 / SCALE!r}</Scale>"
    bands = {
        layer: f"{band}<Description>{escape(name)}</Description>"
        for layer, name in zip(layer_names(len(table))[len(LAYERS) :], table.names, strict=True)
    }
    _write_cog(layers, bands, geo, {"AREA_OR_POINT": "Area"}, "AVERAGE", path)


def publish(made: Path, path: Path) -> None:
    """Give a finished file its name, once its bytes are on the disk.

    Raises:
        RssegError: the file system refuses.
    """
    with named_errors(path):
        with made.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(made, path)


def _write_cog(
    layers: Layers,
    bands: Mapping[str, str],
    geo: GeoReference,
    tags: dict[str, str],
    resampling: str,
    path: Path,
) -> None:
    """``bands`` are layers, each with what the VRT says of it."""
    import rasterio.shutil

    made = layers.folder / path.name
    source = made.with_suffix(".vrt")
    write_file(source, _raw_vrt(bands, geo, tags).encode())
    try:
        with _silent():
            rasterio.shutil.copy(
                source, made, driver="COG", BLOCKSIZE=BLOCK, COMPRESS="DEFLATE", LEVEL=LEVEL, BIGTIFF="IF_SAFER",
                OVERVIEW_RESAMPLING=resampling, RESAMPLING=resampling, NUM_THREADS=available_cores(),
            )  # fmt: skip
    except Exception as error:  # GDAL's errors come as classes of their own here, which derive from Exception directly
        refused = refusal(path, error)
        made.unlink(missing_ok=True)
        raise refused from None
    _verify(layers, list(bands), made, path)
    categories = made.with_name(f"{made.name}.aux.xml")
    if categories.exists():
        publish(categories, path.with_name(f"{path.name}.aux.xml"))
    publish(made, path)


@contextmanager
def _silent() -> Iterator[None]:
    """Without what libtiff prints to stderr of a full disk, line by line and past GDAL; the error tells it."""
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _verify(layers: Layers, names: Sequence[str], made: Path, path: Path) -> None:
    """Read back what GDAL wrote: on a full disk it may say nothing."""
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    try:
        with rasterio.open(made) as dataset:
            for top in range(0, layers.height, BLOCK):
                rows = min(BLOCK, layers.height - top)
                for band, layer in enumerate(names, 1):
                    found = dataset.read(band, window=Window(0, top, layers.width, rows))
                    if zlib.crc32(found.data) != zlib.crc32(layers.read(layer, top, top + rows).data):
                        raise RssegError(f"cannot write {path}: it does not read back as written; is the disk full?")
    except RasterioError as error:
        raise refusal(path, error, ", so that it does not read back; is the disk full?") from None


def _raw_vrt(bands: Mapping[str, str], geo: GeoReference, tags: dict[str, str]) -> str:
    """A VRT over the bare bytes of layers (GDAL, VRTRawRasterBand)."""
    a, b, c, d, e, f = geo.transform
    metadata = "".join(f'<MDI key="{key}">{escape(value)}</MDI>' for key, value in tags.items())
    rasters = "".join(
        f'<VRTRasterBand dataType="Byte" band="{number}" subClass="VRTRawRasterBand">{band}'
        f'<SourceFilename relativeToVRT="1">{layer}.u8</SourceFilename><ImageOffset>0</ImageOffset>'
        f"<PixelOffset>1</PixelOffset><LineOffset>{geo.width}</LineOffset></VRTRasterBand>"
        for number, (layer, band) in enumerate(bands.items(), 1)
    )
    return (
        f'<VRTDataset rasterXSize="{geo.width}" rasterYSize="{geo.height}"><SRS>{escape(geo.wkt)}</SRS>'
        f"<GeoTransform>{c!r},{a!r},{b!r},{f!r},{d!r},{e!r}</GeoTransform><Metadata>{metadata}</Metadata>"
        f"{rasters}</VRTDataset>"
    )

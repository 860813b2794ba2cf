from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from rsseg_edge.errors import RssegError
from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.scenes.layers import Layers
from rsseg_edge.scenes.raster import write_class_cog
from rsseg_edge.types import ClassTable

TABLE = ClassTable(("dark & deep", "bright"), ((1, 2, 3), (200, 100, 0)))


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    (tmp_path / "work").mkdir()
    layers = Layers(tmp_path / "work", 700, 610)
    layers.create()
    class_map = np.random.default_rng(0).integers(0, 2, (700, 610), np.uint8)
    layers.write(0, (class_map, class_map))
    return layers


@pytest.fixture
def geo() -> GeoReference:
    wkt = rasterio.crs.CRS.from_epsg(32633).to_wkt()
    return GeoReference(wkt, (0.1, 0.0, 500000.123456789, 0.0, -0.1, 5400000.0), 700, 610)


def test_what_is_written_is_what_was_made(layers: Layers, geo: GeoReference, tmp_path: Path) -> None:
    write_class_cog(layers, (), geo, TABLE, tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert np.array_equal(dataset.read(1), layers.read("classes", 0, 700))
        assert dataset.overviews(1) == [2]
        assert tuple(dataset.transform)[:6] == geo.transform
    assert "<Category>dark &amp; deep</Category>" in (tmp_path / "a.tif.aux.xml").read_text()


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_file_that_was_cut_short_unnoticed_is_not_published(
    layers: Layers, geo: GeoReference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: float
) -> None:
    copy = rasterio.shutil.copy

    def cut(source: Path, made: Path, **options: Any) -> None:
        copy(source, made, **options)
        data = made.read_bytes()
        made.write_bytes(data[: int(kept * len(data))])

    monkeypatch.setattr(rasterio.shutil, "copy", cut)
    with pytest.raises(RssegError, match=r"cannot write .*a\.tif.*is the disk full"):
        write_class_cog(layers, (), geo, TABLE, tmp_path / "a.tif")
    assert not (tmp_path / "a.tif").exists()


def test_what_gdal_refuses_is_one_line(
    layers: Layers, geo: GeoReference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, made: Path, **options: Any) -> None:
        raise RuntimeError("TIFFAppendToStrip: Write error\nand more")

    monkeypatch.setattr(rasterio.shutil, "copy", refuse)
    with pytest.raises(RssegError, match=r"cannot write .*a\.tif: TIFFAppendToStrip: Write error$"):
        write_class_cog(layers, (), geo, TABLE, tmp_path / "a.tif")

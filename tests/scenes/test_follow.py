from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.crs import CRS

from rsseg_edge.errors import RssegError
from rsseg_edge.scenes import follow
from rsseg_edge.scenes.follow import Follower
from rsseg_edge.scenes.georeference import GeoReference
from rsseg_edge.scenes.polygon_files import LAYER
from rsseg_edge.scenes.work import BandDone, Work
from rsseg_edge.types import ClassTable

from .conftest import blobs

HEIGHT, WIDTH = 150, 131
BOUNDS = (0, 40, 41, 90, 150)
GEO = GeoReference(CRS.from_epsg(32633).to_wkt(), (0.5, 0, 500000, 0, -0.5, 5400000), HEIGHT, WIDTH)
TABLE = ClassTable(("a", "b", "c", "d"), ((0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3)))
CLASSES = (blobs(HEIGHT, WIDTH, 0, 9)[0] // 64).astype(np.uint8)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.setattr(follow, "band_rows", lambda width: 32)
    return Work(tmp_path / ".work", {}, BOUNDS, WIDTH)


def finish_band(work: Work, band: int) -> None:
    top, bottom = BOUNDS[band : band + 2]
    rows = CLASSES[top:bottom]
    work.add(BandDone(band, work.layers.write(top, (rows, np.full_like(rows, 51)))))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_all_rows_are_gone_through_in_order_whenever_they_are_finished(work: Work, order: tuple[int, ...]) -> None:
    finish_band(work, order[0])  # by an earlier run
    with Follower(work, GEO, TABLE, 1.0) as follower:
        for band in order[1:]:
            finish_band(work, band)
            follower.go_on()
        follower.finish()
    counts = np.bincount(CLASSES.ravel(), minlength=4)
    areas = follower.areas.classes(TABLE)
    assert [area.pixels for area in areas] == counts.tolist()
    assert [area.area_m2 for area in areas] == pytest.approx((counts / 4).tolist())
    assert [area.confidence for area in areas] == pytest.approx([0.2] * 4)
    _, _, wkb, fields = pyogrio.raw.read(work.folder / f"{LAYER}.gpkg")
    assert len(wkb) == follower.polygons > 20
    found = np.bincount(fields[1], shapely.area(shapely.from_wkb(wkb)), 4)
    assert found == pytest.approx(counts / 4)


def test_rows_that_are_not_finished_are_waited_for(work: Work) -> None:
    with Follower(work, GEO, TABLE, 1.0) as follower:
        for band in (0, 1, 3):
            finish_band(work, band)
            follower.go_on()
        follower._thread.join(timeout=0.3)
        assert follower._thread.is_alive()
        assert follower.areas.classes(TABLE)[0].pixels <= (CLASSES[:41] == 0).sum()
    assert not follower._thread.is_alive(), "it is given up with the run"


def test_a_file_that_cannot_be_written_ends_the_run(work: Work) -> None:
    (work.folder / f"{LAYER}.gpkg").mkdir()
    finish_band(work, 0)
    with Follower(work, GEO, TABLE, 1.0) as follower:
        follower._thread.join(timeout=10)
        with pytest.raises(RssegError, match="cannot write"):
            follower.go_on()
        with pytest.raises(RssegError, match="cannot write"):
            follower.finish()


def test_areas_alone(work: Work) -> None:
    with Follower(work, GEO, TABLE, None) as follower:
        for band in range(4):
            finish_band(work, band)
        follower.go_on()
        follower.finish()
    assert follower.polygons == 0
    assert sum(area.pixels for area in follower.areas.classes(TABLE)) == HEIGHT * WIDTH
    assert not (work.folder / f"{LAYER}.gpkg").exists()

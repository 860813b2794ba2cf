"""Classes on the map: polygons, mosaic, and KLV beside the overlay, from videos whose telemetry the tests write."""

import importlib.util
import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.job import Job, Request
from rsseg_edge.maps import MapRequest
from rsseg_edge.sinks.geo_package import GeoPackage
from rsseg_edge.sinks.klv_transport import KlvTransport
from rsseg_edge.sinks.map_polygons import square_metres, to_map, visible_area
from rsseg_edge.sinks.merged_polygons import MergedPolygons, Observation
from rsseg_edge.sinks.mosaic import Mosaic
from rsseg_edge.sinks.votes import TILE, TileVotes
from rsseg_edge.telemetry.geodesy import metres_per_degree
from rsseg_edge.telemetry.georeference import Assumed, Georeference, locate
from rsseg_edge.telemetry.ground import LevelGround
from rsseg_edge.telemetry.klv_stream import read_klv
from rsseg_edge.telemetry.record import TelemetryRecord
from rsseg_edge.types import ClassTable, Frame, Result, Segmentation

pyogrio, rasterio, shapely = (pytest.importorskip(name) for name in ("pyogrio", "rasterio", "shapely"))

TABLE = ClassTable(("land", "house", "water"), ((9, 9, 9), (200, 0, 0), (0, 0, 200)), background=0)
WIDTH, HEIGHT = 120, 80
FLAT = Assumed(ground=LevelGround(0.0))
NORTH, EAST = (float(v) for v in metres_per_degree(47.0))


@pytest.fixture(scope="module")
def encoder() -> ModuleType:
    path = Path(__file__).parents[1] / "telemetry" / "encoder.py"
    spec = importlib.util.spec_from_file_location("klv_encoder", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def over(east: float, **changes: Any) -> TelemetryRecord:
    """Straight down from 60 m with 90 degrees: a pixel is a metre."""
    said = {"heading": 0.0, "elevation": -90.0, "fov": 90.0, "unix": 1.7e9} | changes
    return TelemetryRecord(0.0, latitude=47.0, longitude=8.0 + east / EAST, altitude=60.0, **said)


def located(**changes: Any) -> Callable[[Frame], tuple[TelemetryRecord, Georeference]]:
    """Frame k is k * 20 m further east."""

    def find(frame: Frame) -> tuple[TelemetryRecord, Georeference]:
        record = over(20.0 * frame.index, **changes)
        return record, locate(record, (WIDTH, HEIGHT), FLAT)

    return find


def house(index: int, *, east: float = 10.0, confidence: int = 204) -> Result:
    """A frame with a house of 20 x 10 m whose middle lies a distance east of 8 degrees, 5 m north of 47."""
    class_map = np.zeros((HEIGHT, WIDTH), np.uint8)
    left = round(WIDTH / 2 + east - 10 - 20 * index)
    class_map[HEIGHT // 2 - 10 : HEIGHT // 2, max(0, left) : max(0, left + 20)] = 1
    segmentation = Segmentation(class_map, np.full_like(class_map, confidence), TABLE)
    frame = Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), index, "clip", 90000 + 9000 * index, Fraction(1, 90000))
    return Result(frame, segmentation, segmentation.pixel_counts())


def layer(path: Path, name: str) -> tuple[list[dict[str, Any]], list[Any]]:
    meta, _, geometry, columns = pyogrio.raw.read(path, layer=name)
    assert meta["crs"] == "EPSG:4326"
    rows = [dict(zip(meta["fields"], row, strict=True)) for row in zip(*columns, strict=True)]
    return rows, list(shapely.from_wkb(geometry))


def test_a_house_lands_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "out.gpkg"
    with GeoPackage(path, located(ce90=3.0), merge=False) as sink:
        for index in range(2):
            sink.write(house(index))
    rows, polygons = layer(path, "classes")
    assert [row["frame"] for row in rows] == [0, 1]
    for row, polygon in zip(rows, polygons, strict=True):
        assert row["class"] == "house"
        assert row["area_m2"] == pytest.approx(200, rel=0.01)
        assert row["confidence"] == pytest.approx(0.8)
        assert row["ce90_m"] == 3.0
        middle = polygon.centroid
        assert (middle.x - 8.0) * EAST == pytest.approx(10, abs=0.1)
        assert (middle.y - 47.0) * NORTH == pytest.approx(5, abs=0.1)
    assert rows[1]["time"] == pytest.approx(1.1)
    assert str(rows[0]["utc"]).startswith("2023-11-14T22:13:20")
    footprints, outlines = layer(path, "footprints")
    assert [row["method"] for row in footprints] == ["attitude", "attitude"]
    assert footprints[0]["gsd_m"] == pytest.approx(1, rel=0.01)
    assert square_metres(outlines) == pytest.approx([WIDTH * HEIGHT] * 2, rel=0.01)
    assert sorted(tmp_path.iterdir()) == [path]


def test_merged_over_time_a_house_is_one(tmp_path: Path) -> None:
    path = tmp_path / "out.gpkg"
    with GeoPackage(path, located(), merge=True) as sink:
        for index, confidence in enumerate((255, 153, 153)):
            sink.write(house(index, confidence=confidence))
    (row,), _ = layer(path, "classes")
    assert row["area_m2"] == pytest.approx(200, rel=0.02)
    assert row["confidence"] == pytest.approx((1 + 0.6 + 0.6) / 3, abs=0.01)
    assert (row["first"], row["last"], row["observations"]) == (1.0, pytest.approx(1.2), 3)
    assert len(layer(path, "footprints")[0]) == 3


def test_neighbours_share_their_border_on_the_map_too(tmp_path: Path) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    class_map = np.where(3 * y > x + 40, 1, np.where(np.hypot(x - 90, y - 20) < 15, 1, 2)).astype(np.uint8)
    segmentation = Segmentation(class_map, np.full_like(class_map, 200), TABLE)
    frame = Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 0, "clip", 0, Fraction(1, 90000))
    path = tmp_path / "out.gpkg"
    with GeoPackage(path, located(elevation=-70.0), merge=False) as sink:
        sink.write(Result(frame, segmentation, segmentation.pixel_counts()))
    _, polygons = layer(path, "classes")
    _, (footprint,) = layer(path, "footprints")
    assert len(polygons) == 3
    total = sum(polygon.area for polygon in polygons)
    assert shapely.union_all(polygons).area == pytest.approx(total, rel=1e-9)
    assert footprint.area == pytest.approx(total, rel=1e-4)


def test_polygons_need_no_rasterio_and_the_mosaic_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with GeoPackage(tmp_path / "out.gpkg", located(), merge=False) as sink:
        sink.write(house(0))
    assert len(layer(tmp_path / "out.gpkg", "classes")[0]) == 1
    with pytest.raises(UsageError, match="--mosaic needs rasterio: pip install 'rsseg-edge"):
        Mosaic(tmp_path / "out.tif", located())


def test_many_polygons_are_united_on_the_way() -> None:
    merged = MergedPolygons()
    for k in range(600):
        merged.add("a", Observation(shapely.box(k * 0.001, 0, k * 0.001 + 0.0011, 0.001), 0.5, float(k), None))
        merged.add("b", Observation(shapely.box(k * 0.002, 0, k * 0.002 + 0.001, 0.001), 0.5, float(k), None))
    found = list(merged.finish())
    (whole,) = (seen for name, seen in found if name == "a")
    assert (whole.first, whole.last, whole.observations) == (0.0, 599.0, 600)
    assert sum(name == "b" for name, _ in found) == 600


def test_only_the_counted_classes_become_polygons(tmp_path: Path) -> None:
    path = tmp_path / "out.gpkg"
    with GeoPackage(path, located(), ("water",), merge=False) as sink:
        sink.write(house(0))
    assert pyogrio.list_layers(path)[:, 0].tolist() == ["footprints"]


def test_nothing_located_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    for sink in (
        GeoPackage(tmp_path / "o.gpkg", lambda _: None, merge=False),
        Mosaic(tmp_path / "o.tif", lambda _: None),
    ):
        sink.open()
        sink.write(house(0))
        with pytest.raises(RssegError, match="not written"):
            sink.close()
        sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_holes_and_the_horizon_are_respected() -> None:
    place = locate(over(0, elevation=-15.0, fov=60.0), (WIDTH, HEIGHT), FLAT)
    visible = visible_area(place)
    assert 0 < visible.bounds[1] < HEIGHT / 2  # the sky is cut off
    ring = shapely.Polygon([(20, 0), (100, 0), (100, 80), (20, 80)], [[(40, 60), (80, 60), (80, 70), (40, 70)]])
    ((_, polygon),) = to_map([ring], place, visible)
    assert len(polygon.interiors) == 1
    assert np.isfinite(shapely.get_coordinates(polygon)).all()
    assert to_map([shapely.box(0, 0, 10, 5)], place, visible) == []


def test_the_mosaic_votes_by_confidence(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    with Mosaic(path, located(), 0.5) as sink:
        sink.write(house(0, confidence=120))
        sink.write(house(1, confidence=100))
        sink.write(house(1, east=500, confidence=110))  # says "land" where the house is; two votes win
    with rasterio.open(path) as file:
        assert (file.crs.to_epsg(), file.nodata) == (4326, 255)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert json.loads(file.tags()["CLASSES"]) == {"0": "land", "1": "house", "2": "water"}
        assert file.colormap(1)[1][:3] == (200, 0, 0)
        assert file.res[1] * NORTH == pytest.approx(0.5, rel=1e-3)
        values = file.read(1)
        north, south = 47 + 9 / NORTH, 47 + 1 / NORTH
        points = [(8 + 10 / EAST, (north + south) / 2), (8 + 10 / EAST, 47 - 5 / NORTH), (8 + 200 / EAST, 47.0)]
        assert [int(v[0]) for v in file.sample(points)] == [1, 0, 255]
    assert (values == 1).sum() * 0.25 == pytest.approx(200, rel=0.05)
    assert (values != 255).sum() * 0.25 == pytest.approx((WIDTH + 20) * HEIGHT, rel=0.02)
    assert sorted(tmp_path.iterdir()) == [path]


def test_votes_beyond_the_budget_go_to_the_disk(tmp_path: Path) -> None:
    votes = TileVotes(tmp_path / "m.tif", budget=3 * TILE * TILE * 4)
    for k in range(8):
        votes.get((k, 0), 1)[0, 0, 0] = k
    assert len(list(tmp_path.rglob("*.npy"))) == 5
    assert [float(votes.get((k, 0), 2)[0, 0, 0]) for k in range(8)] == list(range(8))
    assert votes.keys() == [(k, 0) for k in range(8)]
    votes.close()
    assert list(tmp_path.iterdir()) == []


def test_cells_too_small_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--gsd"), Mosaic(tmp_path / "m.tif", located(), 0.001) as sink:
        sink.write(house(0))
    assert list(tmp_path.iterdir()) == []


SAID = {5: 0.0, 13: 47.0, 14: 8.0, 15: 600.0, 16: 60.0, 17: 42.0, 18: 0.0, 19: -90.0, 20: 0.0, 25: 500.0}


def test_a_run_puts_its_classes_on_the_map(encoder: ModuleType, bundle: Path, tmp_path: Path) -> None:
    packets = [encoder.local_set(SAID, micros=1_700_000_000_000_000 + k * 200_000) for k in range(6)]
    video = encoder.write_stream(tmp_path / "in.ts", packets)
    out = tmp_path / "out"
    maps = MapRequest(geo=out / "m.gpkg", mosaic=out / "m.tif")
    outcome = Job(Request(str(video), str(bundle), out, long_side=96, maps=maps), report=pytest.fail).run()
    assert outcome.error is None
    rows, polygons = layer(out / "m.gpkg", "classes")
    assert {row["frame"] for row in rows} == set(range(6))
    across = 2 * 100 * np.tan(np.radians(30))
    for row, polygon in zip(rows, polygons, strict=True):
        east = (polygon.centroid.x - 8.0) * EAST
        assert abs(east) == pytest.approx(across / 4, rel=0.1)  # a half of the picture each
        assert (row["class"] == "bright") == (east > 0)
    klv = read_klv(out / "overlay.ts")
    assert (len(klv.records), klv.damaged) == (6, 0)
    assert klv.records == read_klv(video).records
    with av.open(str(out / "overlay.ts")) as transport, av.open(str(out / "overlay.mp4")) as overlay:
        stamps = [[f.time for f in c.decode(video=0)] for c in (transport, overlay)]
    assert stamps[0] == pytest.approx(stamps[1])


def test_a_stale_overlay_gets_no_transport_stream(encoder: ModuleType, tmp_path: Path) -> None:
    video = encoder.write_stream(tmp_path / "in.ts", [encoder.local_set(SAID)] * 3)
    overlay = tmp_path / "overlay.mp4"
    overlay.write_bytes(b"of an earlier run")
    with KlvTransport(tmp_path / "overlay.ts", overlay, video):
        pass
    assert not (tmp_path / "overlay.ts").exists()


@pytest.mark.parametrize(
    ("packets", "maps", "message"),
    [
        ("none", {}, "no KLV in it and no in.SRT beside it"),
        ("no fov", {}, "no field of view"),
        ("damaged", {}, "are damaged"),
        ("good", {"telemetry": Path("missing.srt")}, "no such file"),
        ("good", {"dem": Path("missing.tif")}, "no such file"),
        ("good", {"offset": 3.0, "telemetry": Path("in.ts")}, "--telemetry-offset"),
    ],
)
def test_what_is_wrong_is_one_line(
    encoder: ModuleType,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    packets: str,
    maps: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = {tag: value for tag, value in SAID.items() if packets != "no fov" or tag not in (16, 17)}
    packet = bytearray(encoder.local_set(said))
    if packets == "damaged":
        packet[30] ^= 1
    encoder.write_stream(tmp_path / "in.ts", [bytes(packet) if packets != "none" else b"nothing"] * 3)
    request = Request("in.ts", str(bundle), Path("out"), maps=MapRequest(geo=Path("m.gpkg"), **maps))
    with pytest.raises(RssegError, match=message) as caught:
        Job(request, report=print)
    assert "\n" not in str(caught.value)


def test_damaged_packets_are_told_and_frames_without_telemetry_counted(
    encoder: ModuleType, bundle: Path, tmp_path: Path
) -> None:
    packets = [encoder.local_set(SAID) for _ in range(30)]
    packets[1] = packets[1][:30] + b"\xaa" + packets[1][31:]
    packets[4:] = [b"nothing"] * 26
    video = encoder.write_stream(tmp_path / "in.ts", packets)
    told: list[str] = []
    maps = MapRequest(geo=tmp_path / "m.gpkg", merge=True)
    outcome = Job(Request(str(video), str(bundle), tmp_path / "out", long_side=96, maps=maps), report=told.append).run()
    assert outcome.error is None
    assert any("1 of 4 KLV packets are damaged" in line for line in told)
    assert any("of 30 frames are not on the map: no telemetry within 2 s" in line for line in told)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"merge": True}, "--geo"),
        ({"gsd": 1.0, "geo": Path("a.gpkg")}, "--mosaic"),
        ({"geo": Path("a.json")}, "ends in .gpkg"),
        ({"geo": Path("a.gpkg"), "dem": Path("d.tif"), "ground": 3.0}, "give one"),
        ({"telemetry": Path("a.srt")}, "--geo OUT.gpkg and --mosaic"),
        ({"geo": Path("a.gpkg"), "fov": (200.0, None)}, "--fov"),
    ],
)
def test_options_that_do_not_fit_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MapRequest(**wrong)

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsseg_edge.telemetry.camera import turned
from rsseg_edge.telemetry.geodesy import east_north_up, from_ecef, metres_per_degree, to_ecef
from rsseg_edge.telemetry.georeference import Assumed, UnlocatedError, locate
from rsseg_edge.telemetry.ground import LevelGround, TerrainModel
from rsseg_edge.telemetry.homography import apply_homography, metres_around
from rsseg_edge.telemetry.klv_stream import read_klv
from rsseg_edge.telemetry.record import TelemetryRecord

SIZE = (640, 480)
DOWN = TelemetryRecord(0.0, latitude=47.0, longitude=8.0, altitude=600.0, heading=0.0, elevation=-90.0, fov=90.0)
FLAT = Assumed(ground=LevelGround(500.0))


def metres(ground: np.ndarray, record: TelemetryRecord = DOWN) -> np.ndarray:
    assert record.latitude is not None
    assert record.longitude is not None
    return metres_around(ground, (record.latitude, record.longitude))


def test_geodetic_and_earth_centred_coordinates_agree() -> None:
    latitude, longitude = np.array([-89.9, -33, 0, 60.0]), np.array([-179, 151, 0, 24.0])
    height = np.array([0, -50, 9e3, 4e4])
    back = from_ecef(to_ecef(latitude, longitude, height))
    np.testing.assert_allclose(back, [latitude, longitude, height], atol=1e-4, rtol=1e-12)
    assert to_ecef(0, 90, 0) == pytest.approx([0, 6378137, 0], abs=1e-6)
    np.testing.assert_allclose(east_north_up(0, 0), [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-12)
    assert [float(v) for v in metres_per_degree(45.0)] == pytest.approx([111131.7, 78846.8], abs=0.1)


def test_a_camera_that_looks_down_sees_north_at_the_top() -> None:
    corners = metres(locate(DOWN, SIZE, FLAT).footprint)
    half = 100.0  # 90 degrees from 100 m
    np.testing.assert_allclose(corners, [[-half, 75], [half, 75], [half, -75], [-half, -75]], atol=0.02)


@pytest.mark.parametrize(
    ("changes", "middle"),
    [
        ({"heading": 90.0, "elevation": -45.0}, (100, 0)),
        ({"heading": 0.0, "elevation": -45.0, "azimuth": 180.0}, (0, -100)),
        ({"heading": 270.0, "pitch": -45.0, "elevation": 0.0}, (-100, 0)),
        ({"heading": 0.0, "roll": 45.0, "elevation": -90.0}, (-100, 0)),  # right wing down: the belly looks left
    ],
)
def test_attitude_points_the_camera(changes: dict[str, float], middle: tuple[float, float]) -> None:
    place = locate(replace(DOWN, **changes), SIZE, FLAT)
    assert place.method == "attitude"
    np.testing.assert_allclose(metres(place.mapping.to_ground(np.array([[320.0, 240.0]])))[0], middle, atol=0.02)


def test_a_twisted_camera_turns_the_picture() -> None:
    straight = locate(replace(DOWN, twist=0.0), SIZE, FLAT)
    twisted = locate(replace(DOWN, twist=90.0), SIZE, FLAT)
    right = metres(straight.mapping.to_ground(np.array([[640.0, 240.0]])))[0]
    np.testing.assert_allclose(right, (100, 0), atol=0.02)
    np.testing.assert_allclose(metres(twisted.mapping.to_ground(np.array([[640.0, 240.0]])))[0], (0, -100), atol=0.02)


def test_the_frame_centre_corrects_the_attitude_and_keeps_its_roll() -> None:
    narrow = replace(DOWN, fov=30.0)
    truth = locate(replace(narrow, heading=30.0, elevation=-50.0, twist=12.0), SIZE, FLAT)
    centre = truth.mapping.to_ground(np.array([[320.0, 240.0]]))[0]
    wrong = replace(narrow, heading=34.0, elevation=-47.0, twist=12.0, center=(centre[1], centre[0]))
    found = locate(wrong, SIZE, FLAT)
    assert found.method == "centre"
    np.testing.assert_allclose(found.mapping.to_ground(np.array([[320.0, 240.0]]))[0], centre, atol=1e-9)
    assert np.abs(metres(found.footprint) - metres(truth.footprint)).max() < 5


def test_pixels_go_to_the_ground_and_back() -> None:
    pixels = np.random.default_rng(0).uniform(0, 1, (50, 2)) * SIZE
    for record in (DOWN, replace(DOWN, heading=77.0, elevation=-40.0, fov=50.0)):
        place = locate(record, SIZE, FLAT)
        np.testing.assert_allclose(place.mapping.to_pixels(place.mapping.to_ground(pixels)), pixels, atol=0.01)
    assert np.isnan(place.mapping.to_pixels(np.array([8.0, 46.9]))).all()  # behind the camera


def test_the_homography_is_the_mapping_on_flat_ground() -> None:
    place = locate(replace(DOWN, heading=200.0, elevation=-55.0, fov=40.0), SIZE, FLAT)
    matrix, origin = place.homography()
    pixels = np.random.default_rng(1).uniform(0, 1, (20, 2)) * SIZE
    expected = metres_around(place.mapping.to_ground(pixels), origin)
    np.testing.assert_allclose(apply_homography(matrix, pixels), expected, atol=0.05)


def test_the_sky_has_no_ground() -> None:
    place = locate(replace(DOWN, elevation=-10.0, fov=60.0), SIZE, FLAT)
    assert np.isnan(place.footprint[:2]).all()
    assert np.isfinite(place.footprint[2:]).all()
    with pytest.raises(UnlocatedError, match="sees no ground"):
        locate(replace(DOWN, elevation=30.0), SIZE, FLAT).homography()


def test_corners_alone_are_enough() -> None:
    corners = ((47.001, 8.0), (47.001, 8.002), (47.0, 8.0021), (47.0, 7.9999))
    place = locate(TelemetryRecord(0.0, corners=corners, ce90=4.0), SIZE, Assumed())
    assert (place.method, place.ce90) == ("corners", 4.0)
    lower_right = place.mapping.to_ground(np.array([[640.0, 480.0]]))[0]
    np.testing.assert_allclose(lower_right, [8.0021, 47.0], atol=1e-9)
    pixels = np.array([[100.0, 50.0], [630.0, 400.0]])
    np.testing.assert_allclose(place.mapping.to_pixels(place.mapping.to_ground(pixels)), pixels, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"latitude": None}, "no position"),
        ({"altitude": None}, "no altitude"),
        ({"fov": None}, "no field of view"),
        ({"elevation": None}, "--mount"),
        ({"heading": None}, "no heading"),
        ({"center": (-47.0, 100.0)}, "out of the camera's reach"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, object], missing: str) -> None:
    with pytest.raises(UnlocatedError, match=missing):
        locate(replace(DOWN, **changes), SIZE, FLAT)


def test_the_ground_comes_from_whatever_tells_it() -> None:
    def width(record: TelemetryRecord, assumed: Assumed = Assumed()) -> float:  # noqa: B008
        upper = metres(locate(record, SIZE, assumed).footprint)
        return float(upper[1, 0] - upper[0, 0])

    assert width(replace(DOWN, ground_altitude=550.0)) == pytest.approx(100, abs=0.05)
    assert width(replace(DOWN, center_altitude=500.0, ground_altitude=550.0)) == pytest.approx(200, abs=0.05)
    by_height = replace(DOWN, altitude=None, height=648.0, center_height=598.0)
    assert width(by_height) == pytest.approx(100, abs=0.05)
    by_range = replace(DOWN, center=(47.0, 8.0 + 1e-7), slant_range=75.0)
    assert width(by_range) == pytest.approx(150, abs=0.05)
    with pytest.raises(UnlocatedError, match="--ground"):
        locate(DOWN, SIZE, Assumed())
    with pytest.raises(UnlocatedError, match="not below"):
        locate(replace(DOWN, center_altitude=700.0), SIZE, Assumed())


def test_deviations_become_a_radius_on_the_ground() -> None:
    assert locate(DOWN, SIZE, FLAT).ce90 is None
    assert locate(replace(DOWN, ce90=7.5, sigma=(("pitch", 1.0),)), SIZE, FLAT).ce90 == 7.5
    position = replace(DOWN, sigma=(("latitude", 3.0), ("longitude", 3.0)))
    assert locate(position, SIZE, FLAT).ce90 == pytest.approx(2.146 * 3, rel=1e-3)
    turn = replace(DOWN, elevation=-90.0, sigma=(("elevation", 1.0),))
    expected = 2.146 * 100 * math.tan(math.radians(1)) / math.sqrt(2)
    assert locate(turn, SIZE, FLAT).ce90 == pytest.approx(expected, rel=1e-3)


def write_terrain(path: Path, crs: str, heights: np.ndarray, west: float, north: float, cell: float) -> Path:
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.transform.from_origin(west, north, cell, cell)
    profile = {"width": heights.shape[1], "height": heights.shape[0], "count": 1, "dtype": "float32"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **profile) as file:
        file.write(heights.astype(np.float32), 1)
    return path


@pytest.mark.parametrize("projected", [False, True])
def test_terrain_lifts_the_ground_in_the_picture(tmp_path: Path, projected: bool) -> None:
    """A slope that rises by half a metre a metre to the east: a nadir camera meets it where the geometry says."""
    columns = np.arange(200)
    if projected:
        crs, west, north, cell = "EPSG:32632", 423_500.0, 5_207_500.0, 5.0
        heights = np.tile((west + (columns + 0.5) * cell - 423_990.0) / 2 + 500, (800, 1))
    else:
        cell = 5 / float(metres_per_degree(47.0)[1])
        crs, west, north = "EPSG:4326", 8.0 - 100 * cell, 47.005
        heights = np.tile((columns + 0.5 - 100) * 5 / 2 + 500, (200, 1))
    terrain = TerrainModel(write_terrain(tmp_path / "dem.tif", crs, heights, west, north, cell))
    place = locate(DOWN, SIZE, Assumed(ground=terrain))
    ground = place.mapping.to_ground(np.array([[320.0, 240.0], [480.0, 240.0], [160.0, 240.0]]))
    middle, east, west_ = metres(ground)
    base = float(terrain.height_at(np.array(47.0), np.array(8.0)))
    depth = 600 - base
    assert middle == pytest.approx([0, 0], abs=0.05)
    assert east[0] == pytest.approx(depth * 0.5 / (1 + 0.25), rel=0.02)  # x = (depth - x / 2) / 2
    assert west_[0] == pytest.approx(-depth * 0.5 / (1 - 0.25), rel=0.02)
    np.testing.assert_allclose(place.mapping.to_pixels(ground), [[320, 240], [480, 240], [160, 240]], atol=0.05)


def test_beyond_the_terrain_nothing_is_known(tmp_path: Path) -> None:
    terrain = TerrainModel(write_terrain(tmp_path / "d.tif", "EPSG:4326", np.full((9, 9), 500.0), 8.0, 47.0005, 1e-4))
    place = locate(DOWN, SIZE, Assumed(ground=terrain))
    seen = place.mapping.to_ground(np.array([[5.0, 240.0], [340, 240]]))
    assert np.isnan(seen[0]).all()
    assert np.isfinite(seen[1]).all()


def test_turns_are_made_in_the_order_of_the_standard() -> None:
    np.testing.assert_allclose(turned(0, 0, 0, 0, 0, 0), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turned(90, 0, 0, 0, 0, 0)[0], [0, 1, 0], atol=1e-12)  # looks east
    np.testing.assert_allclose(turned(0, 30, 0, 0, 0, 0)[0], [math.cos(math.pi / 6), 0, -0.5], atol=1e-12)  # up
    np.testing.assert_allclose(turned(0, 0, 90, 0, 0, 0)[1], [0, 0, 1], atol=1e-12)  # right wing down
    np.testing.assert_allclose(turned(0, 0, 90, 90, 0, 0)[0], [0, 0, 1], atol=1e-12)  # ... and looks along it


def test_footprints_of_the_real_flight_match_its_own_tags(real_videos: Path) -> None:
    worst = 0.0
    for record in read_klv(real_videos / "aphill_klv_10s.ts").records:
        assert record.center is not None
        assert record.corners is not None
        place = locate(record, (360, 240), Assumed())
        tags = np.array([[longitude, latitude] for latitude, longitude in (*record.corners, record.center)])
        middle = place.mapping.to_ground(np.array([[180.0, 120.0]]))
        found = np.vstack([place.footprint, middle])
        apart = metres_around(found, record.center) - metres_around(tags, record.center)
        worst = max(worst, float(np.hypot(*apart.T).max()))
    assert worst < 1.0  # metres; 25 are allowed

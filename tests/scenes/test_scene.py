from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.transform import Affine

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.scenes import reading
from rsseg_edge.scenes.reading import Box, Reader
from rsseg_edge.scenes.scene import Options, Scene
from rsseg_edge.scenes.stretch import Stretch, parse_bands, parse_percentiles

from .conftest import blobs

Write = Callable[..., Path]


def opened(path: Path, **options: Any) -> Scene:
    scene = Scene(str(path), Options(**options))
    scene.stretch = scene.measure()
    return scene


def image_of(scene: Scene) -> Any:
    size = scene.geo.height, scene.geo.width
    return scene.read(Box(0, 0, *size), size)


def test_bands_are_taken_in_the_order_of_their_colours(write_scene: Write, tmp_path: Path) -> None:
    values = blobs(40, 50)
    path = write_scene(tmp_path / "a.tif", values[::-1], colors=("blue", "green", "red"))
    image, valid = image_of(opened(path))
    assert np.array_equal(image, values.transpose(1, 2, 0))
    assert valid.all()
    assert np.array_equal(image_of(opened(path, bands=(1, 1, 3)))[0][..., 0], values[2])


def test_alpha_says_what_is_valid(write_scene: Write, tmp_path: Path) -> None:
    values = np.concatenate([blobs(40, 50), np.full((1, 40, 50), 255, np.uint8)])
    values[3, :, :20] = 0
    path = write_scene(tmp_path / "a.tif", values, colors=("red", "green", "blue", "alpha"))
    scene = opened(path)
    image, valid = image_of(scene)
    assert valid[:, 20:].all()
    assert not valid[:, :20].any()
    assert scene.reader.valid(3, 10).shape == (10, 50)
    mean = values[:3, :, 20:].mean((1, 2))
    assert np.abs(image[0, 0] - mean).max() <= 0.5, "what is not valid looks like the rest, on average"


def test_sixteen_bits_are_stretched_by_their_percentiles(write_scene: Write, tmp_path: Path) -> None:
    values = (blobs(300, 400).astype(np.uint16) * 16) + 500
    values[:, :30] = 0
    path = write_scene(tmp_path / "a.tif", values, nodata=0)
    scene = opened(path)
    assert scene.stretch is not None
    image, valid = image_of(scene)
    inside = values[:, valid]
    for band in range(3):
        low, high = np.percentile(inside[band], (2, 98))
        assert abs(scene.stretch.low[band] - low) < 300
        assert abs(scene.stretch.high[band] - high) < 300
    assert (image[valid] == 0).mean() == pytest.approx(0.02, abs=0.015)
    assert (image[valid] == 255).mean() == pytest.approx(0.02, abs=0.015)


def test_a_band_of_one_value_is_black() -> None:
    stretch = Stretch.of_percentiles(np.full((3, 9), 7, np.uint16), (2, 98))
    assert not stretch(np.full((3, 2, 2), 7, np.uint16)).any()


def test_nan_is_no_data(write_scene: Write, tmp_path: Path) -> None:
    values = blobs(64, 64).astype(np.float32) / 255
    values[1, 5, 6] = np.nan
    values[2, 9] = np.inf
    scene = opened(write_scene(tmp_path / "a.tif", values))
    image, valid = image_of(scene)
    assert (~valid).sum() == 65
    assert image.dtype == np.uint8
    assert np.array_equal(scene.reader.valid(0, 64), valid)


@pytest.mark.parametrize(
    ("values", "options", "parts"),
    [
        (np.ones((3, 9, 9), np.uint8), {"crs": None}, ("no coordinate reference system", "EPSG")),
        (np.ones((3, 9, 9), np.uint8), {"transform": Affine(1.9, -0.7, 0, -0.7, -1.9, 0)}, ("rotated", "gdalwarp")),
        (np.ones((1, 9, 9), np.uint8), {}, ("one band", "--bands 1,1,1")),
        (np.ones((5, 9, 9), np.uint8), {"photometric": "minisblack"}, ("5 bands", "--bands")),
        (np.ones((3, 9, 9), np.complex64), {}, ("complex",)),
        (np.full((3, 9, 9), np.nan, np.float32), {}, ("no valid pixel",)),
        (np.zeros((3, 9, 9), np.uint16), {"nodata": 0}, ("no valid pixel",)),
    ],
)
def test_what_cannot_be_segmented_says_why_in_one_line(
    write_scene: Write, tmp_path: Path, values: np.ndarray, options: dict, parts: tuple[str, ...]
) -> None:
    path = write_scene(tmp_path / "a.tif", values, **options)
    with pytest.raises(UsageError) as caught:
        opened(path)
    for part in ("a.tif", *parts):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bands_that_are_not_there_are_refused(scene: Path) -> None:
    with pytest.raises(UsageError, match="has 3 band"):
        opened(scene, bands=(1, 2, 4))
    for text in ("1,2", "a,b,c", "0,1,2", ""):
        with pytest.raises(UsageError, match="--bands"):
            parse_bands(text)
    for text in ("2", "98,2", "-1,50", "0,101", "x,y"):
        with pytest.raises(UsageError, match="--stretch"):
            parse_percentiles(text)
    assert parse_bands("4,3,2") == (4, 3, 2)
    assert parse_percentiles("0.5, 99") == (0.5, 99)


def test_a_file_that_is_no_raster_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0 this is none")
    with pytest.raises(RssegError, match="cannot open"):
        opened(tmp_path / "a.tif")


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAUSES", (0.0, 0.0, 0.0))


def corrupt(path: Path, *tiles: tuple[int, int], flip: bool = False) -> None:
    """Overwrite the compressed bytes of tiles, given as column and row; or flip some of them in the middle."""
    with rasterio.open(path) as dataset:
        places = [
            tuple(int(dataset.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE"))
            for x, y in tiles
        ]
    with path.open("r+b") as file:
        for offset, size in places:
            if flip:
                file.seek(offset + size // 2)
                damaged = bytes(byte ^ 0xFF for byte in file.read(size // 4))
                file.seek(offset + size // 2)
            else:
                damaged = b"\xff" * size
                file.seek(offset)
            file.write(damaged)


@pytest.mark.usefixtures("no_pause")
def test_a_corrupt_tile_is_left_out_and_nothing_else(write_scene: Write, tmp_path: Path) -> None:
    values = blobs(300, 400)
    path = write_scene(tmp_path / "a.tif", values, compress="deflate", interleave="pixel")
    corrupt(path, (1, 1))
    with opened(path) as scene:
        image, valid = image_of(scene)
        expected = np.zeros((300, 400), bool)
        expected[128:256, 128:256] = True
        assert np.array_equal(~valid, expected)
        assert np.array_equal(image[valid], values.transpose(1, 2, 0)[valid])
        assert [(f.top, f.left, f.height, f.width) for f in scene.reader.failures.values()] == [(128, 128, 128, 128)]
        _, part = scene.read(Box(100, 200, 60, 60), (60, 60))
        assert len(scene.reader.failures) == 1, "other windows see the same tile"
        assert np.array_equal(part, valid[100:160, 200:260])
        lost = scene.reader.valid(120, 20)
        assert lost is not None
        assert np.array_equal(lost, valid[120:140])


@pytest.mark.usefixtures("no_pause")
def test_reads_that_fail_at_random_are_tried_again(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, failed, read = np.random.default_rng(1), [0], Reader._read

    def sometimes(self: Reader, *arguments: Any) -> None:
        if rng.random() < 0.2:
            failed[0] += 1
            raise RasterioIOError("the line was cut")
        read(self, *arguments)

    expected, mask = image_of(opened(scene))
    monkeypatch.setattr(Reader, "_read", sometimes)
    again = opened(scene)
    for top in range(0, 500, 50):
        image, valid = again.read(Box(top, 0, 50, 700), (50, 700))
        assert np.array_equal(valid, mask[top : top + 50])
        assert np.array_equal(image[valid], expected[top : top + 50][valid])
    assert failed[0] > 1
    assert not again.reader.failures


@pytest.mark.usefixtures("no_pause")
def test_a_server_that_is_gone_ends_the_run(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Reader, *arguments: Any) -> None:
        raise RasterioIOError("no route to host")

    monkeypatch.setattr(Reader, "_read", never)
    with rasterio.open(scene) as dataset:
        reader = Reader(dataset, "/vsicurl/https://example.org/a.tif", (1, 2, 3))
        with pytest.raises(RssegError, match=r"no route to host.*the same command goes on"):
            reader.read(Box(0, 0, 530, 700), (530, 700))


@pytest.mark.parametrize(("crs", "transform", "metres"), [
    ("EPSG:32633", Affine(0.5, 0, 500000, 0, -0.5, 5400000), 0.5),
    ("EPSG:4326", Affine(1e-5, 0, 15, 0, -1e-5, 60), 1e-5 * np.sqrt(55800.0 * 111412)),
    ("EPSG:3857", Affine(0.6, 0, 1.5e6, 0, -0.6, 8399737.9), 0.3005),
    ("EPSG:2263", Affine(1, 0, 981000, 0, -1, 200000), 0.3048),
])  # fmt: skip
def test_the_ground_sampling_distance_is_metres_on_the_ground(
    write_scene: Write, tmp_path: Path, crs: str, transform: Affine, metres: float
) -> None:
    path = write_scene(tmp_path / "a.tif", blobs(40, 50), crs=crs, transform=transform)
    assert opened(path).geo.ground_sampling_distance() == pytest.approx(metres, rel=3e-3)

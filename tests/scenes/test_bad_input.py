"""What a user gives that cannot be done: one line that names it and the way out, and nothing under a final name."""

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from rsseg_edge.errors import RssegError
from rsseg_edge.scenes import reading
from rsseg_edge.scenes.reading import Failure, united
from rsseg_edge.scenes.work import BandDone, Journal
from rsseg_edge.sinks import part_file

from .conftest import blobs
from .test_cli import run  # noqa: F401
from .test_scene import corrupt

Run = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
ROTATED = Affine(0.47, 0.17, 330000, 0.17, -0.47, 2790000)


def one_line(done: tuple[int, str, str], code: int, *parts: str) -> None:
    assert done[0] == code, done[2]
    assert len(done[2].strip().splitlines()) == 1, done[2]
    for part in parts:
        assert part in done[2]


def nothing_in(folder: Path) -> bool:
    return not folder.is_dir() or not list(folder.iterdir())


@pytest.mark.parametrize(
    ("values", "options", "parts"),
    [
        (blobs(90, 80), {"crs": None}, ("no coordinate reference system", "gdal_edit.py -a_srs")),
        (blobs(90, 80), {"transform": ROTATED}, ("rotated", "gdalwarp")),
        (blobs(90, 80), {"crs": 'LOCAL_CS["site",UNIT["metre",1]]'}, ("neither projected", "gdal_edit.py -a_srs")),
        (blobs(90, 80)[:1], {}, ("one band", "--bands 1,1,1")),
        (blobs(90, 80)[:2], {"photometric": "minisblack"}, ("2 bands", "--bands 1,2,2")),
        (np.repeat(blobs(90, 80), 2, 0)[:5], {"photometric": "minisblack"}, ("5 bands", "--bands 4,3,2")),
        (blobs(90, 80).astype(np.complex64), {}, ("complex64", "--bands")),
        (np.full((3, 90, 80), np.nan, np.float32), {}, ("no valid pixel", "no-data value")),
    ],
)
def test_a_scene_that_lacks_something(
    run: Run,  # noqa: F811
    write_scene: Write,
    tmp_path: Path,
    values: np.ndarray,
    options: dict,
    parts: tuple[str, ...],
) -> None:
    one_line(run(write_scene(tmp_path / "a.tif", values, **options)), 2, "a.tif", *parts)
    assert nothing_in(tmp_path / "out")


def test_control_points_alone_are_no_grid(run: Run, write_scene: Write, tmp_path: Path) -> None:  # noqa: F811
    path = write_scene(tmp_path / "a.tif", blobs(90, 80), crs=None, transform=None)
    corners = [(0, 0), (0, 80), (90, 0), (90, 80)]
    points = [GroundControlPoint(row, column, 33e4 + column, 279e4 - row) for row, column in corners]
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = points, rasterio.crs.CRS.from_epsg(32640)
    one_line(run(path), 2, "a.tif", "control points", "gdalwarp")


def test_a_float_scene_with_nan_has_no_data_there(run: Run, write_scene: Write, tmp_path: Path) -> None:  # noqa: F811
    values = blobs(90, 80).astype(np.float32) / 255
    values[1, 20:30, 40:60] = np.nan
    assert run(write_scene(tmp_path / "a.tif", values))[0] == 0
    with rasterio.open(tmp_path / "out" / "a.tif") as classes:
        assert np.array_equal(classes.read(1) == 255, np.isnan(values[1]))


@pytest.mark.parametrize("compress", ["deflate", "lzw"])  # zstd and JPEG decode some damage without noticing
def test_flipped_bytes_in_a_tile(
    run: Run,  # noqa: F811
    write_scene: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compress: str,
) -> None:
    monkeypatch.setattr(reading, "PAUSES", (0.0,))
    noise = np.random.default_rng(0).integers(0, 255, (3, 300, 300), np.uint8)
    path = write_scene(tmp_path / "a.tif", noise, compress=compress, interleave="pixel")
    corrupt(path, (1, 0), flip=True)
    one_line(run(path), 3, "rows 0 to 128, columns 128 to 256", "no data", "--overwrite")
    with rasterio.open(tmp_path / "out" / "a.tif") as classes:
        lost = classes.read(1) == 255
    assert lost[:128, 128:256].all()
    assert lost.sum() == 128 * 128


def test_a_file_that_was_cut_short(run: Run, write_scene: Write, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def] # noqa: F811
    monkeypatch.setattr(reading, "PAUSES", ())
    noise = np.random.default_rng(0).integers(0, 255, (3, 512, 512), np.uint8)
    path = write_scene(tmp_path / "a.tif", noise, compress="deflate", interleave="pixel")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    one_line(run(path), 3, "rows 384 to 512, columns 0 to 512")
    path.write_bytes(whole[:2000])
    one_line(run(path, "-o", tmp_path / "none"), 1, "a.tif", "nothing of it can be read")
    assert nothing_in(tmp_path / "none")
    shutil.copy(path, path.with_name("b.tif"))
    path.with_name("b.tif").write_bytes(b"II*\0 no more")
    one_line(run(path.with_name("b.tif")), 1, "b.tif", "cut short")


def test_pieces_that_touch_are_told_as_one() -> None:
    pieces = [Failure(top, left, 128, 128, "gone") for top in (128, 256) for left in (0, 128, 256)]
    assert united([*pieces, Failure(0, 128, 128, 128, "gone")]) == [
        Failure(0, 128, 128, 128, "gone"),
        Failure(128, 0, 256, 384, "gone"),
    ]
    assert united([]) == []


def test_an_output_folder_that_takes_nothing(run: Run, scene: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def] # noqa: F811
    (tmp_path / "file").write_text("")
    one_line(run(scene, "-o", tmp_path / "file" / "out"), 1, "cannot write", "Not a directory", "choose another folder")
    one_line(run(scene, "-o", tmp_path / "file"), 2, "is a file")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    one_line(run(scene), 1, "cannot write", "Read-only file system", "choose another folder")
    assert errno.EACCES in part_file._WAYS_OUT


def test_a_disk_that_fills_at_any_moment(cells: Path, write_scene: Write, tmp_path: Path, small_disk: Path) -> None:
    """In a process of its own, since libtiff writes to the descriptor of stderr."""
    noise = np.random.default_rng(0).integers(0, 255, (3, 300, 300), np.uint8)
    path = write_scene(tmp_path / "a.tif", noise)
    program = "from rsseg_edge.cli.run import main; main()"
    options = ["--model", str(cells), "--tile", "64", "--overlap", "32", "--confidence", "--polygons", "gpkg"]
    for kilobytes in (100, 195, 240, 300):
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(small_disk)], check=True)
        out = small_disk / "out"
        done = subprocess.run(
            [sys.executable, "-c", program, str(path), *options, "-o", str(out)],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        told = [line for line in done.stderr.splitlines() if not line.startswith("engine: ")]
        one_line((done.returncode, "", "\n".join(told)), 1, "cannot write", "No space left on device", "free some")
        for name in out.glob("[!.]*.tif"):
            with rasterio.open(name) as whole:
                whole.read()
        assert not list(out.glob("*.gpkg"))
        shutil.rmtree(out)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_journal_on_a_full_disk_fails_once() -> None:
    journal = Journal(Path("/dev/full"))
    with pytest.raises(RssegError, match="No space left on device; free some"):
        journal.add(BandDone(0, (1, 2)))
    journal.close()

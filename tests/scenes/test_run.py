import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.shutil
import shapely
from rasterio.errors import RasterioIOError
from rio_cogeo.cogeo import cog_validate

from rsseg_edge.errors import RssegError
from rsseg_edge.scenes import reading
from rsseg_edge.scenes.run import SceneJob
from rsseg_edge.scenes.segment import BandRun
from rsseg_edge.scenes.settings import SceneRequest

from ..conftest import CLASSES
from .test_scene import corrupt

SCENES = Path(__file__).parents[3] / "shared" / "data" / "scenes"
COMMAND = "from rsseg_edge.cli.run import main; main()"


@pytest.fixture
def request_(cells: Path, tmp_path: Path) -> SceneRequest:
    return SceneRequest(model=str(cells), out=tmp_path / "out", tile=128, overlap=64, threads=1)


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


def check_results(scene: Path, out: Path, name: str) -> None:
    """What holds of any scene's results."""
    with rasterio.open(scene) as given, rasterio.open(out / f"{name}.tif") as classes:
        assert classes.crs == given.crs
        assert classes.transform == given.transform
        assert classes.shape == given.shape
        assert classes.nodata == 255
        assert json.loads(classes.tags()["CLASSES"]) == list(CLASSES)
        assert [list(classes.colormap(1)[k][:3]) for k in range(3)] == list(CLASSES.values())
        assert np.array_equal(classes.read(1) != 255, given.dataset_mask() > 0)
        class_map = classes.read(1)
    assert cog_validate(out / f"{name}.tif", quiet=True)[:2] == (True, [])
    table = {row["class"]: row for row in csv.DictReader((out / f"{name}.csv").open())}
    meta, _, wkb, fields = pyogrio.raw.read(out / f"{name}.gpkg")
    polygons = shapely.from_wkb(wkb)
    columns = dict(zip(meta["fields"], fields, strict=True))
    assert shapely.is_valid(polygons).all()
    in_units: dict[str, tuple[float, int]] = {}
    for index, label in enumerate(CLASSES):
        count = int((class_map == index).sum())
        assert int(table[label]["pixels"]) == count
        chosen = columns["class"] == label
        assert columns["area_m2"][chosen].sum() == pytest.approx(float(table[label]["area_m2"]), rel=1e-6, abs=0.1)
        in_units[label] = shapely.area(polygons[chosen]).sum(), count
    with rasterio.open(scene) as given:
        pixel = abs(given.transform.a * given.transform.e)
        assert given.crs.to_epsg() is None or rasterio.crs.CRS.from_user_input(meta["crs"]) == given.crs
    for area, count in in_units.values():
        assert area == pytest.approx(count * pixel, rel=1e-6), "every class has the area of its pixels"
    item = json.loads((out / f"{name}.stac.json").read_text())
    assert {asset["href"][2:] for asset in item["assets"].values()} <= set(os.listdir(out))
    page = (out / f"{name}.html").read_text()
    assert "://" not in page, "nothing is fetched"
    assert not [path for path in out.iterdir() if path.name.startswith(".") or path.name.endswith(".part")]


def test_a_scene_gives_all_its_results(scene: Path, request_: SceneRequest) -> None:
    formats = ("gpkg", "fgb", "geojson")
    outcome = SceneJob(replace(request_, confidence=True, polygons=formats)).run(str(scene), "scene")
    out = request_.out
    check_results(scene, out, "scene")
    assert outcome.no_data == 9 * 530 + 60 * 30
    assert sum(area.pixels for area in outcome.areas) == 530 * 700 - outcome.no_data
    assert sum(area.area_m2 for area in outcome.areas) == pytest.approx((530 * 700 - outcome.no_data) * 0.25)
    assert "<Category>middle</Category>" in (out / "scene.tif.aux.xml").read_text()
    with rasterio.open(out / "scene.confidence.tif") as confidence, rasterio.open(out / "scene.tif") as classes:
        assert np.array_equal(confidence.read(1) == 0, classes.read(1) == 255)
        assert confidence.nodata == 0
        sure = [confidence.read(1)[classes.read(1) == k].mean() / 255 for k in range(3)]
    assert [area.confidence for area in outcome.areas] == pytest.approx(sure)
    look = cv2.imread(str(out / "scene.png"))
    assert (look[:530, :9] == 255).all(), "the legend covers nothing of the scene"
    assert len(look) == 530
    assert look.shape[1] > 700
    counts = {name: pyogrio.read_info(out / f"scene.{name}")["features"] for name in formats}
    assert set(counts.values()) == {outcome.polygons}
    west, south, east, north = pyogrio.read_info(out / "scene.geojson")["total_bounds"]
    assert 14.9 < west < east < 15.1
    assert 48.7 < south < north < 48.8
    again = SceneJob(replace(request_, confidence=True, polygons=formats)).run(str(scene), "scene")
    assert again.earlier
    assert again.areas == outcome.areas or [a.pixels for a in again.areas] == [a.pixels for a in outcome.areas]
    anew = SceneJob(replace(request_, confidence=True, polygons=formats, overwrite=True)).run(str(scene), "scene")
    assert not anew.earlier


def test_other_settings_are_another_result(scene: Path, request_: SceneRequest) -> None:
    SceneJob(request_).run(str(scene), "scene")
    assert not SceneJob(replace(request_, gsd=1.0)).run(str(scene), "scene").earlier


def test_a_run_that_failed_goes_on_with_the_same_pixels(
    scene: Path, request_: SceneRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    SceneJob(replace(request_, out=tmp_path / "once")).run(str(scene), "scene")
    rows_of = BandRun._rows
    for failing in (1, 4, 5):

        def stop(self: BandRun, cells: Any, end: Any, failing: int = failing) -> Any:
            if end.row == failing:
                raise RssegError("the power was cut")
            return rows_of(self, cells, end)

        monkeypatch.setattr(BandRun, "_rows", stop)
        with pytest.raises(RssegError, match="power"):
            SceneJob(request_).run(str(scene), "scene")
        assert not (request_.out / "scene.tif").exists()
        lines = (request_.out / ".scene.work" / "journal").read_text().splitlines()
        assert [json.loads(line)["band"] for line in lines] == list(range(failing))
    with (request_.out / ".scene.work" / "journal").open("a") as journal:
        journal.write('{"band": 5, "chec')
    layer = request_.out / ".scene.work" / "classes.u8"
    data = bytearray(layer.read_bytes())
    data[1000] ^= 1  # in a band that the journal says is finished
    layer.write_bytes(data)
    monkeypatch.setattr(BandRun, "_rows", rows_of)
    outcome = SceneJob(request_).run(str(scene), "scene")
    assert outcome.resumed == 4
    assert np.array_equal(pixels(request_.out / "scene.tif"), pixels(tmp_path / "once" / "scene.tif"))


def test_a_killed_process_is_gone_on_with(scene: Path, request_: SceneRequest) -> None:
    arguments = [str(scene), "--model", request_.model, "--tile", "64", "--overlap", "32", "--threads", "1"]
    command = [sys.executable, "-c", COMMAND, *arguments]
    place = request_.out.parent  # not the checkout: what is installed is tested
    subprocess.run([*command, "-o", str(request_.out / "once")], check=True, capture_output=True, cwd=place)
    out = request_.out / "killed"
    journal, seen = out / ".scene.work" / "journal", 0
    for _ in range(3):
        process = subprocess.Popen(
            [*command, "-o", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=place
        )
        try:
            while process.poll() is None:
                lines = len(journal.read_text().splitlines()) if journal.exists() else 0
                if lines > seen:
                    seen = lines
                    break
                time.sleep(0.002)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    done = subprocess.run([*command, "-o", str(out), "--json"], check=True, capture_output=True, text=True, cwd=place)
    assert json.loads(done.stdout)["scenes"][0]["classes"]
    assert np.array_equal(pixels(out / "scene.tif"), pixels(request_.out / "once" / "scene.tif"))
    assert (out / "scene.csv").read_text() == (request_.out / "once" / "scene.csv").read_text()


def test_two_processes_do_not_work_on_one_scene(scene: Path, request_: SceneRequest) -> None:
    import fcntl

    folder = request_.out / ".scene.work"
    folder.mkdir(parents=True)
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RssegError, match="another process"):
            SceneJob(request_).run(str(scene), "scene")


def test_what_could_not_be_read_is_told_also_by_a_later_run(
    scene: Path,
    request_: SceneRequest,
    monkeypatch: pytest.MonkeyPatch,
    write_scene: Callable[..., Path],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(reading, "PAUSES", (0.0,))
    path = write_scene(tmp_path / "bad.tif", np.maximum(pixels(scene), 1), compress="deflate", interleave="pixel")
    corrupt(path, (2, 1))
    rows_of = BandRun._rows

    def stop(self: BandRun, cells: Any, end: Any) -> Any:
        if end.row == 6:
            raise RssegError("the power was cut")
        return rows_of(self, cells, end)

    monkeypatch.setattr(BandRun, "_rows", stop)
    with pytest.raises(RssegError, match="power"):
        SceneJob(request_).run(str(path), "bad")
    monkeypatch.setattr(BandRun, "_rows", rows_of)
    outcome = SceneJob(request_).run(str(path), "bad")
    assert outcome.resumed == 6
    assert [(f.top, f.left, f.height, f.width) for f in outcome.failures] == [(128, 256, 128, 128)]
    lost = pixels(request_.out / "bad.tif")[0] == 255
    assert lost[128:256, 256:384].all()
    assert lost.sum() == 128 * 128
    assert SceneJob(request_).run(str(path), "bad").failures == outcome.failures


def test_a_source_that_fails_now_and_then_and_in_one_place_for_ever(
    scene: Path,
    request_: SceneRequest,
    monkeypatch: pytest.MonkeyPatch,
    write_scene: Callable[..., Path],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(reading, "PAUSES", (0.0,) * 3)
    path = write_scene(tmp_path / "bad.tif", np.maximum(pixels(scene), 1), compress="deflate", interleave="pixel")
    corrupt(path, (2, 1))
    steady = SceneJob(replace(request_, out=tmp_path / "steady")).run(str(path), "bad")
    rng, tried, failed, read = np.random.default_rng(3), [0], [0], reading.Reader._read

    def sometimes(self: reading.Reader, *arguments: Any) -> None:
        tried[0] += 1
        if rng.random() < 0.05:
            failed[0] += 1
            raise RasterioIOError("the line was cut")
        read(self, *arguments)

    monkeypatch.setattr(reading.Reader, "_read", sometimes)
    outcome = SceneJob(request_).run(str(path), "bad")
    assert failed[0] >= 3, f"of {tried[0]} reads"
    for found in (outcome, steady):  # the reason is that of the last time, which the line may have been cut
        assert [(f.top, f.left, f.height, f.width) for f in found.failures] == [(128, 256, 128, 128)]
    for name in ("bad.tif", "bad.csv", "bad.png"):
        assert (request_.out / name).read_bytes() == (tmp_path / "steady" / name).read_bytes()


def test_a_full_disk_leaves_nothing_under_a_final_name(scene: Path, request_: SceneRequest, small_disk: Path) -> None:
    with pytest.raises(RssegError, match="cannot write"):
        SceneJob(replace(request_, out=small_disk / "out")).run(str(scene), "scene")
    assert [p.name for p in (small_disk / "out").iterdir() if not p.name.startswith(".")] == []


def test_a_disk_that_is_full_when_results_are_written(
    write_scene: Callable[..., Path], request_: SceneRequest, small_disk: Path, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).integers(0, 255, (3, 350, 350), np.uint8)  # its layers take 240 of the 256 KiB
    path = write_scene(tmp_path / "noise.tif", values)
    with pytest.raises(RssegError, match="cannot write"):
        SceneJob(replace(request_, out=small_disk / "out")).run(str(path), "noise")
    assert [p.name for p in (small_disk / "out").iterdir() if not p.name.startswith(".")] == []


def test_a_folder_that_takes_nothing_is_one_line(scene: Path, request_: SceneRequest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RssegError, match="cannot write"):
        SceneJob(replace(request_, out=tmp_path / "file" / "out")).run(str(scene), "scene")


@pytest.mark.parametrize("driver", ["JP2OpenJPEG", "COG", "VRT"])
def test_other_formats(scene: Path, request_: SceneRequest, tmp_path: Path, driver: str) -> None:
    path = tmp_path / f"other.{ {'JP2OpenJPEG': 'jp2', 'COG': 'tif', 'VRT': 'vrt'}[driver] }"
    rasterio.shutil.copy(scene, path, driver=driver)
    SceneJob(request_).run(str(path), "other")
    check_results(path, request_.out, "other")


@pytest.mark.skipif(not SCENES.is_dir(), reason="the real scenes are not in ../shared/data/scenes")
@pytest.mark.parametrize("name", [
    "2018_SJER_3_252000_4107000_image_477", "5dded5bc0140b80006d2e565_23", "OSBS_029", "australia", "oem_koeln_50",
    "pix4d_alpha_nodata", "test_tiled",
])  # fmt: skip
def test_real_scenes(request_: SceneRequest, name: str) -> None:
    path = SCENES / f"{name}.tif"
    SceneJob(replace(request_, tile=512, overlap=128)).run(str(path), name)
    check_results(path, request_.out, name)


def test_probabilities_of_every_class(scene: Path, request_: SceneRequest) -> None:
    SceneJob(replace(request_, probabilities=True, confidence=True)).run(str(scene), "scene")
    check_results(scene, request_.out, "scene")
    class_map = pixels(request_.out / "scene.tif")[0]
    confidence = pixels(request_.out / "scene.confidence.tif")[0]
    path = request_.out / "scene.probabilities.tif"
    assert cog_validate(path, quiet=True)[:2] == (True, [])
    with rasterio.open(path) as dataset:
        assert dataset.descriptions == tuple(CLASSES)
        assert dataset.nodata == 255
        assert dataset.scales == pytest.approx((1 / 254,) * 3)
        found = dataset.read()
    valid = class_map != 255
    assert np.array_equal(found == 255, np.broadcast_to(~valid, found.shape))
    shares = found[:, valid] / 254
    assert shares.sum(0) == pytest.approx(1, abs=0.01)
    assert shares.max(0) == pytest.approx(confidence[valid] / 255, abs=0.005)
    best = np.take_along_axis(shares, class_map[valid][None], 0)[0]
    assert (best == shares.max(0)).all(), "the class of the map is the most probable one"

import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rsseg_edge.cli.run import main
from rsseg_edge.scenes import reading

from .test_scene import corrupt


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cells: Path, tmp_path: Path
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs rsseg-run in this process, into tmp_path/out: exit code, stdout, stderr but for the engine's line."""
    import signal

    def call(*arguments: object) -> tuple[int, str, str]:
        given = [str(a) for a in arguments]
        defaults = [] if "--model" in given else ["--model", str(cells)]
        defaults += [] if "-o" in given else ["-o", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", ["rsseg-run", *given, *defaults])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        told = [line for line in captured.err.splitlines() if not line.startswith("engine: ")]
        return int(caught.value.code or 0), captured.out, "\n".join(told)

    before = signal.getsignal(signal.SIGTERM)
    yield call
    signal.signal(signal.SIGTERM, before)


def test_scenes_of_a_glob_one_after_another(run, write_scene, scene: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_scene(tmp_path / "one.tif", np.full((3, 50, 60), 130, np.uint8))
    code, out, err = run(tmp_path / "*.tif", "--json", "--polygons", "geojson")
    assert code == 0, err
    assert json.loads(out)["counts"] == {"done": 2, "finished before": 0, "partly read": 0, "failed": 0}
    done = json.loads(out)["scenes"]
    assert [(s["name"], s["width"], s["height"]) for s in done] == [("one", 60, 50), ("scene", 700, 530)]
    assert (tmp_path / "out" / "one.geojson").exists()
    assert not (tmp_path / "out" / "one.gpkg").exists()
    code, out, _ = run(tmp_path / "*.tif", "--polygons", "geojson")
    assert code == 0
    assert out.count("was finished before") == 2
    assert "2 scenes: 2 finished before" in out
    table = list(csv.DictReader((tmp_path / "out" / "all_scenes.csv").open()))
    assert [(row["scene"], row["state"], row["width"]) for row in table] == [
        ("one", "finished before", "60"), ("scene", "finished before", "700"),
    ]  # fmt: skip
    assert sum(float(table[0][f"{name}_m2"]) for name in ("dark", "middle", "bright")) == 50 * 60 * 0.25


def test_one_bad_scene_does_not_stop_the_others(run, write_scene, scene: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_scene(tmp_path / "grey.tif", np.full((1, 50, 60), 130, np.uint8))
    code, out, err = run(tmp_path / "*.tif", "--json")
    assert code == 1
    assert [s["name"] for s in json.loads(out)["scenes"]] == ["scene"]
    assert "one band" in err
    assert "one band" in (tmp_path / "out" / "all_scenes.csv").read_text()
    assert len(err.strip().splitlines()) == 1


def test_what_could_not_be_read_is_exit_code_3(run, write_scene, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(reading, "PAUSES", (0.0,))
    values = np.random.default_rng(0).integers(0, 255, (3, 300, 300), np.uint8)
    path = write_scene(tmp_path / "bad.tif", values, compress="deflate", interleave="pixel")
    corrupt(path, (0, 1))
    for _ in range(2):
        code, _, err = run(path)
        assert code == 3, err
        assert "cannot be read" in err
        assert "rows 128 to 256, columns 0 to 128" in err
        assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--bands", "1,2,9"], "has 3 band"),
        (["--stretch", "98,2"], "--stretch"),
        (["--gsd", "-1"], "--gsd"),
        (["--gsd", "0.001"], "--gsd"),
        (["--tile", "100"], "--tile"),
        (["--overlap", "900"], "--overlap"),
        (["--polygons", "shp"], "--polygons"),
        (["--stride", "2"], "--stride"),
        (["--max-frames", "2", "--start", "3"], "--max-frames, --start"),
        (["--refer", "the road"], "--refer"),
        (["--geo", "a.gpkg"], "--geo"),
        (["--classes", "road"], "--classes"),
        (["--classes-only", "road"], "road"),
    ],
)
def test_options_that_cannot_be_met(run, scene: Path, tmp_path: Path, options: list[str], part: str) -> None:  # type: ignore[no-untyped-def]
    code, _, err = run(scene, *options)
    assert code == 2, err
    assert part in err
    assert len(err.strip().splitlines()) == 1
    assert not list((tmp_path / "out").glob("[!.]*"))


def test_small_windows_overlap_by_half_unless_told_otherwise(run, scene: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, _, err = run(scene, "--tile", "128", "--polygons", "none")
    assert code == 0, err
    settings = json.loads((tmp_path / "out" / "scene.json").read_text())["settings"]
    assert settings["rows"]["overlap"] == 64


def test_options_of_scenes_are_refused_for_images(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40, 3), np.uint8))
    code, _, err = run(tmp_path / "a.png", "--tile", "64", "--confidence")
    assert code == 2
    assert "--tile, --confidence" in err


def test_a_bundle_without_logits_is_one_line(run, scene: Path, bundle: Path) -> None:  # type: ignore[no-untyped-def]
    code, _, err = run(scene, "--model", bundle)
    assert code == 1
    assert "logits" in err
    assert len(err.strip().splitlines()) == 1


def test_without_the_extra_it_says_what_to_install(run, scene: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setitem(sys.modules, "rasterio", None)
    code, _, err = run(scene)
    assert code == 2
    assert "pip install 'rsseg-edge[geo]'" in err
    assert len(err.strip().splitlines()) == 1

"""rsseg-run A B C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

Run = Callable[..., Any]


@pytest.fixture
def clips(tmp_path: Path, write_video: Callable[..., Path]) -> list[Path]:
    (tmp_path / "b").mkdir()
    return [write_video(tmp_path / "flight.mp4"), write_video(tmp_path / "b" / "flight.mp4", stamps=range(12))]


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]


def test_each_video_has_a_folder_and_a_row(run: Run, clips: list[Path], tmp_path: Path) -> None:
    ran = run(*clips)
    assert ran.code == 0, ran.err
    assert ran.err.count("engine: ") == 1, "the network is loaded once"
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == ["flight", "flight-2"]
    assert sorted(p.name for p in (out / "flight").iterdir()) == ["frames.jsonl", "overlay.mp4"]
    assert [len(log(out / name)) for name in ("flight", "flight-2")] == [20, 12]
    rows = {line.split()[0]: line.split() for line in ran.out.splitlines() if line.strip()}
    assert rows["flight"][1] == "20"
    assert rows["flight-2"][1] == "12"
    assert "32 frames in 32 calls" in ran.out
    assert "in turn" in ran.out


def test_json_has_an_object_each(run: Run, clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("text")
    ran = run(*clips, tmp_path / "bad.mp4", "--json")
    assert ran.code == 1
    assert [line for line in ran.err.splitlines() if line.startswith("error: bad: ")]
    told = json.loads(ran.out)
    assert [(one["name"], one.get("frames"), one["complete"]) for one in told["inputs"]] == [
        ("flight", 20, True), ("flight-2", 12, True), ("bad", None, False),
    ]  # fmt: skip
    assert "not a video" in told["inputs"][2]["problems"][0]
    assert told["inputs"][0]["out"] == str(tmp_path / "out" / "flight")
    assert told["network"]["frames"] == told["network"]["calls"] == 32


def test_a_missing_one_is_a_usage_error(run: Run, clips: list[Path], tmp_path: Path) -> None:
    ran = run(*clips, tmp_path / "gone.mp4")
    assert ran.code == 2
    assert ran.err.splitlines() == [f"error: no such file or folder: {tmp_path / 'gone.mp4'}"]
    assert not (tmp_path / "out").exists()


def test_images_that_a_shell_lists_are_one_run(run: Run, tmp_path: Path, clips: list[Path]) -> None:
    for name in ("a.png", "c.png", "b/a.png"):
        cv2.imwrite(str(tmp_path / name), np.full((40, 60, 3), 99, np.uint8))
    assert run(tmp_path / "a.png", tmp_path / "c.png", tmp_path / "b").code == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["b_a.overlay.png", "c.overlay.png", "frames.jsonl", f"{tmp_path.name}_a.overlay.png"]
    mixed = run(clips[0], tmp_path / "a.png")
    assert mixed.code == 2
    assert "still images, other inputs are not" in mixed.err


def test_scenes_and_others_are_told_apart(run: Run, tmp_path: Path, clips: list[Path]) -> None:
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.transform.from_origin(500000, 5000000, 0.5, 0.5)
    shape = {"width": 64, "height": 64, "count": 3, "dtype": "uint8", "crs": "EPSG:32633", "transform": place}
    for name in ("one.tif", "two.tif"):
        with rasterio.open(tmp_path / name, "w", **shape) as file:
            file.write(np.full((3, 64, 64), 90, np.uint8))
    refused = run(tmp_path / "one.tif", clips[0])
    assert refused.code == 2
    assert "one.tif is georeferenced and" in refused.err
    ran = run(tmp_path / "one.tif", tmp_path / "two.tif", "--model", "segclip-tiny", "--polygons", "none", "--json")
    assert ran.code == 0, ran.err
    assert [scene["name"] for scene in json.loads(ran.out)["scenes"]] == ["one", "two"]


def test_events_go_into_a_log(run: Run, clips: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert run(*clips, "--log", path).code == 0
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted((e["event"], e["stream"]) for e in events) == [
        ("finished", "flight"), ("finished", "flight-2"), ("started", "flight"), ("started", "flight-2"),
    ]  # fmt: skip
    assert {e["stream"]: e["frames"] for e in events if e["event"] == "finished"} == {"flight": 20, "flight-2": 12}


def test_a_log_on_standard_output_has_it_alone(run: Run, clips: list[Path]) -> None:
    for inputs in (clips, clips[:1]):
        ran = run(*inputs, "--log", "-")
        assert {json.loads(line)["event"] for line in ran.out.splitlines()} == {"started", "finished"}
        assert "bright" in ran.err
    refused = run(clips[0], "--log", "-", "--json")
    assert refused.code == 2
    assert "--log - and --json both" in refused.err


def test_interrupt_closes_the_files_of_all(
    tmp_path: Path, start: Callable[..., subprocess.Popen], write_video: Callable[..., Path]
) -> None:
    clips = [write_video(tmp_path / f"{name}.mp4", size=(960, 544), stamps=range(120)) for name in "ab"]
    out = tmp_path / "out"
    process = start(*clips, text=True)
    deadline = time.monotonic() + 60
    while not all(any(p.stat().st_size > 20_000 for p in (out / n).glob("overlay.mp4.*.part")) for n in "ab"):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    for name in "ab":
        with av.open(str(out / name / "overlay.mp4")) as container:
            done = sum(1 for _ in container.decode(video=0))
        assert 0 < done < 120
        assert len(log(out / name)) == done
    assert not list(out.rglob("*.part"))

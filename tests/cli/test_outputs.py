"""Where results go: --to, --class-video, --coco."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from pycocotools import mask as reference

from rsseg_edge.cli.run import main

Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path) -> Run:
    """Runs rsseg-run in this process into tmp_path/out: exit code, stdout, lines of stderr."""

    def call(*arguments: object) -> tuple[int, str, list[str]]:
        given = [*map(str, arguments), "--model", str(bundle), "-o", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", ["rsseg-run", *given])
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        lines = [line for line in said.err.splitlines() if not line.startswith("engine: ")]
        return int(caught.value.code or 0), said.out, lines

    return call


@pytest.fixture
def clip(tmp_path: Path, write_video: Callable[..., Path]) -> Path:
    return write_video(tmp_path / "clip.mp4", audio="aac")


def test_the_overlay_goes_where_it_is_sent_and_nowhere_else(run: Run, clip: Path, tmp_path: Path) -> None:
    code, _, lines = run(clip, "--to", tmp_path / "a.mkv", "--to", f"file://{tmp_path}/b.mp4")
    assert (code, lines) == (0, [])
    for name in ("a.mkv", "b.mp4"):
        with av.open(str(tmp_path / name)) as container:
            assert len(container.streams.audio) == 1
            assert sum(1 for _ in container.decode(video=0)) == 20
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["frames.jsonl"]


def test_what_is_sent_is_counted(run: Run, clip: Path) -> None:
    code, out, _ = run(clip, "--to", "udp://127.0.0.1:9", "--max-mbit", 2, "--json")
    (push,) = json.loads(out)["pushes"]
    assert code == 0
    assert push["name"] == "udp://127.0.0.1:9"
    assert push["connections"] == 1
    assert push["sent"] + sum(push["dropped"].values()) == 20


def test_a_receiver_that_was_never_there_fails_the_run_but_not_its_files(run: Run, clip: Path, tmp_path: Path) -> None:
    code, _, lines = run(clip, "--to", "rtsp://127.0.0.1:9/cam", "--to", tmp_path / "a.mp4")
    assert code == 1
    assert "error: rtsp://127.0.0.1:9/cam: could not be reached (Connection refused)" in lines
    assert (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--to", "http://host/a.mp4"),
        ("--to", "a.avi"),
        ("--to", "udp://host"),
        ("--to", "a.mp4", "--max-mbit", "4"),
        ("--to", "live://0.0.0.0:8080"),
        ("--to", "live://:8080", "--live", "8081"),
    ],
)
def test_what_cannot_be_met_is_one_line(run: Run, clip: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, _, lines = run(clip, *arguments)
    assert code == 2
    assert len(lines) == 1
    assert "--" in lines[0]
    assert not (tmp_path / "out").exists()


def test_the_input_is_not_written_over(run: Run, clip: Path) -> None:
    before = clip.read_bytes()
    code, _, lines = run(clip, "--to", clip)
    assert (code, len(lines)) == (2, 1)
    assert "is the input itself" in lines[0]
    assert clip.read_bytes() == before


@pytest.mark.parametrize("option", [("--to", "a.mp4"), ("--class-video",)])
def test_images_have_no_video(run: Run, tmp_path: Path, option: tuple[str, ...]) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 60, 3), np.uint8))
    code, _, lines = run(tmp_path / "a.png", *option)
    assert (code, len(lines)) == (2, 1)
    assert option[0] in lines[0]


def test_class_video_and_coco_hold_the_same_classes(run: Run, clip: Path, tmp_path: Path) -> None:
    code, _, _ = run(clip, "--class-video", "--coco", "--class-maps")
    assert code == 0
    out = tmp_path / "out"
    found = json.loads((out / "classes.coco.json").read_text())
    names = {category["id"]: category["name"] for category in found["categories"]}
    with av.open(str(out / "classes.mkv")) as container:
        classes = json.loads(container.metadata["CLASSES"])
        maps = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert len(maps) == len(found["images"]) == 20
    assert sorted(names.values()) == sorted(classes)
    assert len(found["annotations"]) == 60
    import cv2

    for image, class_map in zip(found["images"], maps, strict=True):
        assert (class_map == cv2.imread(str(out / "class_maps" / f"{image['frame']:06d}.png"), -1)).all()
    for annotation in found["annotations"]:
        segmentation = annotation["segmentation"]
        mask = reference.decode({**segmentation, "counts": segmentation["counts"].encode()})
        wanted = maps[annotation["image_id"] - 1] == classes.index(names[annotation["category_id"]])
        assert (mask == wanted).all()

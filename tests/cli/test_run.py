import json
import os
import shutil
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

Write = Callable[..., Path]
Start = Callable[..., subprocess.Popen]


@pytest.fixture
def clip(tmp_path: Path, write_video: Write) -> Path:
    return write_video(tmp_path / "clip.mp4", audio="aac", options={"movflags": "faststart"})


def image(path: Path, value: tuple[int, int, int] = (100, 50, 20)) -> Path:
    cv2.imwrite(str(path), np.full((40, 60, 3), value[::-1], np.uint8))
    return path


def one_line(ran: Any, code: int, *parts: str) -> None:
    lines = [line for line in ran.err.strip().splitlines() if not line.startswith("engine: ")]
    assert ran.code == code, ran
    assert len(lines) == 1, ran.err
    for part in parts:
        assert part in lines[0], ran.err


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_video_gives_overlay_and_log(run: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    ran = run(clip)
    assert ran.code == 0
    assert ran.err.startswith("engine: onnxruntime (TensorRT ")
    assert ran.err.count("\n") == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["frames.jsonl", "overlay.mp4"]
    assert frames_in(tmp_path / "out" / "overlay.mp4") == 20
    lines = log(tmp_path / "out")
    assert [line["index"] for line in lines] == list(range(20))
    assert [line["time"] for line in lines] == [i / 25 for i in range(20)]
    assert list(lines[0]["classes"]) == ["dark", "middle", "bright"]
    assert lines[0]["classes"]["middle"]["share"] == pytest.approx(1 / 3, abs=0.05)
    assert sum(entry["pixels"] for entry in lines[0]["classes"].values()) == 96 * 64
    for word in ("20 frames", "decode", "infer", "write", "median", "p99", "bright"):
        assert word in ran.out


def test_json_is_alone_on_stdout(run: Callable[..., Any], clip: Path) -> None:
    summary = json.loads(run(clip, "--json").out)
    assert summary["frames"] == 20
    assert summary["complete"] is True
    assert list(summary["stages"]) == ["decode", "prepare", "infer", "finish", "write"]
    assert sum(entry["share"] for entry in summary["classes"].values()) == pytest.approx(1, abs=1e-5)


def test_an_image_gives_overlay_class_map_and_log(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run(image(tmp_path / "a.png"), "--class-maps").code == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.classes.png", "a.overlay.png", "frames.jsonl"]
    assert (cv2.imread(str(tmp_path / "out" / "a.classes.png"), cv2.IMREAD_UNCHANGED) == 1).all()
    assert log(tmp_path / "out")[0]["time"] is None


def test_class_maps_of_a_video_carry_the_index(run: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    assert run(clip, "--class-maps", "--stride", 9).code == 0
    assert sorted(p.name for p in (tmp_path / "out" / "class_maps").iterdir()) == [f"{i:06d}.png" for i in (0, 9, 18)]


def test_folder_and_glob_give_every_image(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.jpg", "c.png"):
        image(tmp_path / "in" / name)
    assert run(tmp_path / "in").code == 0
    assert [line["name"] for line in log(tmp_path / "out")] == ["a", "b", "c"]
    assert run(tmp_path / "in" / "*.png", "-o", tmp_path / "other").code == 0
    assert [line["name"] for line in log(tmp_path / "other")] == ["a", "c"]


def test_classes_only_restricts_what_is_counted(run: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    summary = json.loads(run(clip, "--classes-only", "bright, dark", "--json").out)
    assert list(summary["classes"]) == list(log(tmp_path / "out")[0]["classes"]) == ["dark", "bright"]
    assert summary["classes"]["dark"]["share"] < 0.5, "shares are of all pixels"


@pytest.mark.parametrize("side", [32, 48, 96])
def test_long_side_keeps_the_size_of_the_results(
    run: Callable[..., Any], clip: Path, tmp_path: Path, side: int
) -> None:
    assert run(clip, "--long-side", side, "--class-maps", "--max-frames", 1).code == 0
    assert cv2.imread(str(tmp_path / "out" / "class_maps" / "000000.png"), cv2.IMREAD_UNCHANGED).shape == (64, 96)


# What a user gets wrong: one line, exit code 2.


def test_missing_file(run: Callable[..., Any], tmp_path: Path) -> None:
    one_line(run(tmp_path / "gone.mp4"), 2, "no such file", "gone.mp4")


def test_folder_without_images(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    one_line(run(tmp_path / "empty"), 2, "no images in it")


def test_unknown_model(run: Callable[..., Any], clip: Path) -> None:
    one_line(run(clip, "--model", "segclip-huge"), 2, "unknown model 'segclip-huge'")


def test_unknown_class_lists_those_that_there_are(run: Callable[..., Any], clip: Path) -> None:
    one_line(run(clip, "--classes-only", "dark,lava"), 2, "'lava'", "dark, middle, bright")


def test_output_that_is_a_file(run: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    one_line(run(clip, "-o", tmp_path / "taken"), 2, "taken is a file")


def test_output_over_the_input(run: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    path = Path(shutil.copy(clip, tmp_path / "out" / "overlay.mp4"))
    before = path.read_bytes()
    one_line(run(path), 2, "is the input itself")
    assert path.read_bytes() == before


def test_output_into_the_input_folder(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    image(tmp_path / "out" / "a.png")
    one_line(run(tmp_path / "out"), 2, "is the input folder")


@pytest.mark.parametrize(
    "option", [("--stride", 0), ("--long-side", 8), ("--alpha", 1.5), ("--start", 90), ("--threads", 0)]
)
def test_wrong_values(run: Callable[..., Any], clip: Path, option: tuple[str, object]) -> None:
    assert run(clip, *option).code == 2


# What is broken outside: one line, exit code 1, and what can be done is done.


def test_text_called_mp4(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("hello\n" * 99)
    one_line(run(tmp_path / "a.mp4"), 1, "a.mp4: not a video")


def test_cut_short_mp4_is_processed_and_then_said(run: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 7 // 10])
    ran = run(clip)
    assert ran.code == 1
    assert "clip.mp4: cut short" in ran.err.splitlines()[-1]
    done = frames_in(tmp_path / "out" / "overlay.mp4")
    assert 3 < done < 20
    assert len(log(tmp_path / "out")) == done


@pytest.mark.parametrize(
    ("kind", "message"), [(np.zeros((40, 60), np.uint8), "one channel"), (np.zeros((40, 60, 3), np.uint16), "16 bits")]
)
def test_images_of_another_kind(run: Callable[..., Any], tmp_path: Path, kind: np.ndarray, message: str) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), kind)
    one_line(run(tmp_path / "a.png"), 1, "a.png", message)
    assert not (tmp_path / "out" / "a.overlay.png").exists()


def test_a_bad_image_among_good_ones(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "c.png"):
        image(tmp_path / "in" / name)
    (tmp_path / "in" / "b.png").write_text("no image")
    ran = run(tmp_path / "in", "--json")
    one_line(ran, 1, "b.png")
    assert [line["name"] for line in log(tmp_path / "out")] == ["a", "c"]
    assert json.loads(ran.out)["complete"] is False


def test_bundle_with_a_flipped_byte(run: Callable[..., Any], clip: Path, bundle: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(bundle, tmp_path / "broken"))
    data = bytearray((broken / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (broken / "model.onnx").write_bytes(data)
    one_line(run(clip, "--model", broken), 1, "model.onnx does not match its checksum")
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_written(run: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    one_line(run(clip, "-o", tmp_path / "taken" / "out"), 1, "cannot write", "Not a directory")


def test_full_disk(run: Callable[..., Any], tmp_path: Path, write_video: Write, small_disk: Path) -> None:
    clip = write_video(tmp_path / "a.mkv", size=(640, 480), stamps=range(60))
    one_line(run(clip, "-o", small_disk / "out"), 1, "cannot write", "overlay.mp4", "No space left on device")
    assert [p.name for p in (small_disk / "out").iterdir()] == ["frames.jsonl"], "what was finished stays"


# What ends it from outside.


def writing(process: subprocess.Popen, out: Path) -> subprocess.Popen:
    """Once it has written a part of its video."""
    deadline = time.monotonic() + 60
    while not any(p.stat().st_size > 20_000 for p in out.glob("overlay.mp4.*.part")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory, write_video: Write) -> Path:
    return write_video(tmp_path_factory.mktemp("long") / "long.mp4", size=(1280, 720), stamps=range(150))


def test_kill_leaves_no_final_file(long_clip: Path, tmp_path: Path, start: Start) -> None:
    process = writing(start(long_clip), tmp_path / "out")
    process.kill()
    process.communicate()
    assert {p.suffix for p in (tmp_path / "out").iterdir()} == {".part"}
    (part,) = (tmp_path / "out").glob("overlay.mp4.*.part")
    assert frames_in(part) >= 20, "and that can be played"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_publishes_the_frames_that_are_done(
    long_clip: Path, tmp_path: Path, start: Start, signum: signal.Signals
) -> None:
    process = writing(start(long_clip, text=True), tmp_path / "out")
    os.kill(process.pid, signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    done = frames_in(tmp_path / "out" / "overlay.mp4")
    assert 0 < done < 150
    assert len(log(tmp_path / "out")) == done
    assert not list((tmp_path / "out").glob("*.part"))


def test_a_model_with_classes_of_its_own_takes_no_others(run: Callable[..., Any], clip: Path) -> None:
    ran = run(clip, "--classes", "roof; road")
    assert ran.code == 2
    assert "has classes of its own (dark, middle, bright): --classes" in ran.err
    assert run(clip, "--threshold", "0.5").code == 2


def test_a_run_with_key_frames_says_how_many_and_how_much_it_flickers(
    run: Callable[..., Any], write_video: Write, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "in.mp4", stamps=range(9), size=(160, 96))
    plain = json.loads(run(video, "--model", "segclip-tiny", "--json").out)
    assert "keyframes" not in plain
    assert "flicker" not in plain
    given = run(video, "--model", "segclip-tiny", "--keyframes", 4, "--smooth", 0.6, "--flicker", "--json")
    summary = json.loads(given.out)
    lines = [json.loads(line) for line in (tmp_path / "out" / "frames.jsonl").read_text().splitlines()]
    assert given.code == 0
    assert summary["frames"] == len(lines) == 9
    assert summary["keyframes"] == sum(line["keyframe"] for line in lines) < 9
    assert 0 <= summary["flicker"] < 1
    assert "went through the network" in run(video, "--model", "segclip-tiny", "--keyframes", 4).out


def test_steadiness_is_refused_where_there_is_no_time(run: Callable[..., Any], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    for option in (("--smooth", 0.5), ("--keyframes", 3), ("--flicker",)):
        refused = run(tmp_path / "a.png", *option)
        assert refused.code == 2
        assert "still images" in refused.err


def test_a_bundle_without_scores_says_so(run: Callable[..., Any], write_video: Write, tmp_path: Path) -> None:
    refused = run(write_video(tmp_path / "in.mp4"), "--smooth", 0.5)
    assert refused.code == 1
    assert "no logits" in refused.err

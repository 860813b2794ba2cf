"""Several precisions of one bundle in one measurement, and how exact each of them is."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the other graph is made with onnx")

from rsseg_edge.bench.accuracy import with_accuracy  # noqa: E402
from rsseg_edge.bench.child import in_child  # noqa: E402
from rsseg_edge.bench.run import Measured, measure  # noqa: E402
from rsseg_edge.bench.timing import Timing  # noqa: E402
from rsseg_edge.bench.whole import Settings, request_of  # noqa: E402
from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.cli.bench import main  # noqa: E402
from rsseg_edge.errors import RssegError, UsageError  # noqa: E402
from rsseg_edge.segmenter import open_in_precision  # noqa: E402

TOML = """
classes = [
    { name = "dark", mask = [1], color = [0, 0, 0] },
    { name = "middle", mask = [2], color = [128, 128, 128] },
    { name = "bright", mask = [3], color = [255, 255, 255] },
]
ignore = [0]
files = [{ image = "{name}.png", mask = "masks/{name}.png" }]
[splits]
val = {}
"""


@pytest.fixture
def both(levels_bundle: Path, tmp_path: Path) -> Path:
    """The bundle of grey levels, and as int8 a graph that knows the first two of its classes only."""
    folder = Path(shutil.copytree(levels_bundle, tmp_path / "both"))
    graph = onnx.load(folder / "model.onnx")
    step = next(t for t in graph.graph.initializer if t.name == "step")
    step.CopyFrom(onnx.numpy_helper.from_array(np.array(128, np.int32), "step"))
    data = graph.SerializeToString()
    (folder / "model.int8.onnx").write_bytes(data)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["model.int8.onnx"] = hashlib.sha256(data).hexdigest()
    precision = {"name": "int8", "target": "cpu"}
    manifest["variants"] = [{"precision": precision, "graphs": {"model.onnx": "model.int8.onnx"}}]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def settings(tmp_path: Path, write_video: Callable[..., Path]) -> Settings:
    return Settings(write_video(tmp_path / "a.mp4", stamps=range(40)), frames=30, engine="onnxruntime")


def bench(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["rsseg-bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_precisions_are_measured_side_by_side_each_with_its_memory(both: Path, settings: Settings) -> None:
    fp32, int8 = measure(str(both), settings, ("fp32", "int8"))
    assert (fp32.precision, int8.precision) == ("fp32", "int8")
    assert (fp32.about["model"], int8.about["model"]) == ("levels, fp32", "levels, int8")
    assert fp32.beside is None
    assert int8.beside is not None
    assert int8.beside.other == "fp32"
    medians = [m.alone["infer"].quantile(0.5) for m in (int8, fp32)]
    assert int8.beside.ratio == pytest.approx(medians[0] / medians[1])
    assert len(fp32.alone["infer"].wall) == len(int8.alone["infer"].wall)  # they took turns
    assert int8.memory == pytest.approx(fp32.memory, rel=0.3)  # in one process the second would grow by little
    assert fp32.frames == int8.frames == 30


def test_accuracy_is_that_of_the_precision_and_of_the_size(both: Path, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "data/masks").mkdir(parents=True)
    (tmp_path / "data.toml").write_text(TOML)
    # Stripes of one pixel, which are gone at half of the size: all is middle.
    stripes = np.repeat(np.tile(np.uint8([10, 250]), 64)[None, :, None], 96, 0).repeat(3, 2)
    cv2.imwrite(str(tmp_path / "data/a.png"), stripes)
    cv2.imwrite(str(tmp_path / "data/masks/a.png"), np.where(stripes[..., 0] > 128, 3, 1).astype(np.uint8))

    def accuracy(measured: Measured, **changed: int) -> dict[str, float]:
        given = Settings(**{**vars(settings), **changed})
        found = with_accuracy(measured, str(both), str(tmp_path / "data.toml"), tmp_path / "data", given)
        assert f"at {changed.get('long_side', 2048)} pixels" in found.about["accuracy"]
        assert found.accuracy is not None
        return found.accuracy

    fp32, int8 = measure(str(both), settings, ("fp32", "int8"))
    assert accuracy(fp32)["mIoU"] == 100
    assert accuracy(int8)["dark"] == 100
    assert accuracy(int8)["bright"] == 0
    assert accuracy(fp32, long_side=64)["mIoU"] < 10


def test_none_is_what_a_run_would_take(both: Path, settings: Settings) -> None:
    assert request_of(str(both), settings, None, both).precision is None
    (measured,) = measure(str(both), settings)
    assert measured.precision == open_in_precision(both, None, "onnxruntime").manifest.precision.name


def test_the_command_puts_them_into_one_table(
    both: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["--video", settings.video, "--frames", 20, "--engine", "onnxruntime", "--report", tmp_path / "r.json"]
    assert bench(monkeypatch, both, *options, "--precision", "int8", "--precision", "fp32", "--precision", "int8") == 0
    printed = capsys.readouterr().out.splitlines()
    table = printed[next(i for i, line in enumerate(printed) if "infer by" in line and "model" in line) :]
    assert [line.split(",")[0] + line.split(",")[1][:5] for line in table[1:3]] == [" levels int8", " levels fp32"]
    first, second = json.loads((tmp_path / "r.json").read_text())
    assert (first["precision"], second["precision"]) == ("int8", "fp32")
    assert second["infer_by"]["precision"] == "int8"


def test_a_precision_that_one_of_the_bundles_lacks_is_told_before_anything_runs(
    both: Path, levels_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(monkeypatch, both, levels_bundle, "--precision", "int8") == 2
    errors = capsys.readouterr().err
    assert "has no graphs in int8" in errors
    assert "measuring" not in errors


def test_what_goes_wrong_in_the_process_is_told_here() -> None:
    with pytest.raises(UsageError, match="no-such-bundle"):
        in_child(open_bundle, "no-such-bundle")
    with pytest.raises(RssegError, match="was ended by SIGKILL before it was done"):
        in_child(signal.raise_signal, signal.SIGKILL)


def test_of_a_model_that_reads_sentences_accuracy_is_that_of_sentences(tmp_path: Path) -> None:
    (tmp_path / "data/masks").mkdir(parents=True)
    (tmp_path / "data.toml").write_text(
        TOML.replace("dark", "water").replace("middle", "road").replace("bright", "land")
    )
    mask = np.full((384, 384), 3, np.uint8)
    mask[40:200, 40:200], mask[250:290] = 1, 2
    colors = np.uint8([[0, 0, 0], [110, 80, 30], [120, 120, 120], [70, 120, 90]])
    cv2.imwrite(str(tmp_path / "data/a.png"), colors[mask])
    cv2.imwrite(str(tmp_path / "data/masks/a.png"), mask)
    timing = Timing((np.ones(5),), 1.0)
    measured = Measured(
        about={"model": "cris-tiny, fp16"}, precision="fp16", alone={"infer": timing}, together=1.0, together_cpu=1.0,
        timeline={"write": np.ones((5, 2))}, load=1.0, first_frame=1.0, memory=1.0, power=None, frames=5,
    )  # fmt: skip
    settings = Settings(tmp_path / "none.mp4", threads=1, engine="onnxruntime")
    found = with_accuracy(measured, "cris-tiny", str(tmp_path / "data.toml"), tmp_path / "data", settings)
    assert found.accuracy is not None
    assert list(found.accuracy)[:3] == ["mIoU", "overall IoU", "above 0.5"]
    assert 0 <= found.accuracy["mIoU"] <= 100
    assert "sentences about its still images" in found.about["accuracy"]

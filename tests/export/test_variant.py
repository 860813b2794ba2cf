"""A bundle gets its graphs in a second precision, and what was there stays what it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export is the lab side: it needs onnx")

from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.export.request import Request  # noqa: E402
from rsseg_edge.export.variant import add_variant, export_variant  # noqa: E402
from rsseg_edge.variants import choose_precision  # noqa: E402


def in_int8(bundle: Path, folder: Path, target: str = "cpu", step: int = 128, **changes: Any) -> Path:
    """What export_int8 would write: another graph under the same name, with a report."""
    shutil.copytree(bundle, folder)
    graph = onnx.load(folder / "model.onnx")
    tensor = next(t for t in graph.graph.initializer if t.name == "step")
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(step, np.int32), "step"))
    onnx.save(graph, folder / "model.onnx")
    (folder / "report.json").write_text("{}")
    manifest = json.loads((folder / "bundle.json").read_text()) | changes
    manifest["precision"] = {"name": "int8", "target": target}
    for name in ("model.onnx", "report.json"):
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def copy(levels_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(levels_bundle, tmp_path / "copy"))


def test_both_graphs_are_there_and_each_is_whole(copy: Path, tmp_path: Path) -> None:
    other = in_int8(copy, tmp_path / "other")
    made = add_variant(open_bundle(copy), open_bundle(other), tmp_path / "both")
    assert made.name == "both"
    assert sorted(made.files) == ["model.int8.onnx", "model.onnx", "report.int8.json"]
    bundle = open_bundle(tmp_path / "both")
    assert bundle.read("model.onnx") == (copy / "model.onnx").read_bytes()
    chosen, _ = choose_precision(bundle, "int8", engine="auto", on_cpu=True)
    assert chosen.read("model.onnx") == (other / "model.onnx").read_bytes()
    assert bundle.read("report.int8.json") == b"{}"


def test_it_can_be_put_into_the_bundle_itself_again_and_for_another_target(copy: Path, tmp_path: Path) -> None:
    for name, target, step in (("a", "cpu", 128), ("b", "tensorrt", 64), ("c", "cpu", 32)):
        add_variant(open_bundle(copy), open_bundle(in_int8(copy, tmp_path / name, target, step, variants=[])), copy)
    bundle = open_bundle(copy)
    graphs = {v.precision.target: v.graphs["model.onnx"] for v in bundle.manifest.variants}
    assert graphs == {"cpu": "model.int8.onnx", "tensorrt": "model.int8-tensorrt.onnx"}
    assert bundle.read(graphs["cpu"]) == (tmp_path / "c" / "model.onnx").read_bytes()
    assert {f.name for f in copy.iterdir()} == {*bundle.manifest.files, "bundle.json"}
    assert not list(copy.parent.glob(".*"))


def test_graphs_of_another_network_are_refused(copy: Path, tmp_path: Path) -> None:
    other = in_int8(copy, tmp_path / "other", input={"height": 64, "width": 64})
    with pytest.raises(UsageError, match="the other graphs' input is not that of bundle levels"):
        add_variant(open_bundle(copy), open_bundle(other), tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_a_failed_export_leaves_the_bundle_as_it_was(copy: Path) -> None:
    before = {f.name: f.read_bytes() for f in copy.iterdir()}

    def fail(request: Request, folder: Path) -> None:
        folder.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_variant(Request(str(copy), "int8"), copy, fail)
    assert {f.name: f.read_bytes() for f in copy.iterdir()} == before
    assert not list(copy.parent.glob(".*"))


@pytest.mark.parametrize(
    ("model", "precision", "told"),
    [("segclip", "int8", "and segclip is none: give a bundle's folder"), (None, "fp32", "levels is in fp32 itself")],
)
def test_what_has_no_bundle_to_stand_beside_is_refused(
    copy: Path, tmp_path: Path, model: str | None, precision: str, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        export_variant(Request(model or str(copy), precision), tmp_path / "out", lambda request, folder: None)

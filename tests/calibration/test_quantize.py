"""A bundle in float becomes one in int8 within its budget, with an account; NVIDIA's builder takes its graph."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="export is the lab side: it needs onnx")
pytest.importorskip("torch")

import rsseg_edge  # noqa: E402
from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.calibration import quantize as module  # noqa: E402
from rsseg_edge.calibration import search  # noqa: E402
from rsseg_edge.calibration.clipping import clip_range  # noqa: E402
from rsseg_edge.calibration.insert import quantize  # noqa: E402
from rsseg_edge.calibration.plan import Plan, measured_tensors  # noqa: E402
from rsseg_edge.calibration.prepare import prepare  # noqa: E402
from rsseg_edge.calibration.ranges import measure_ranges  # noqa: E402
from rsseg_edge.calibration.search import climb, ladder  # noqa: E402
from rsseg_edge.calibration.sites import find_sites  # noqa: E402
from rsseg_edge.engines.onnx_file import fix_shapes  # noqa: E402
from rsseg_edge.engines.tensorrt_build import build  # noqa: E402
from rsseg_edge.errors import RssegError, UsageError  # noqa: E402
from rsseg_edge.export.int8 import Int8Request, export_int8  # noqa: E402
from rsseg_edge.export.precision import halve  # noqa: E402
from rsseg_edge.export.request import Request  # noqa: E402
from rsseg_edge.export.variant import export_variant  # noqa: E402


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="session")
def int8_bundle(small_bundle: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The small bundle in int8 for a CPU, any agreement taken; and what was said."""
    folder, said = tmp_path_factory.mktemp("int8") / "small", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module.THRESHOLDS, "int8", 0.5)  # a random network decides by a hair
        patch.setattr(search, "WORTH", -1.0)  # whatever this machine takes at the moment, no kind stays in float for it
        export_int8(Request(str(small_bundle), "int8"), Int8Request(str(photos)), folder, said.append)
    return folder, said


def test_the_bundle_runs_and_is_near_its_parent(int8_bundle, small_bundle: Path, make_picture) -> None:
    folder, said = int8_bundle
    manifest = open_bundle(folder).manifest
    assert (manifest.precision.name, manifest.precision.target) == ("int8", "cpu")
    assert manifest.parity is not None
    assert manifest.parity.agreement >= 0.5
    a, b = rsseg_edge.load(folder)(make_picture(99)), rsseg_edge.load(small_bundle)(make_picture(99))
    assert np.mean(a.class_map == b.class_map) > 0.5
    assert any("warning: left out: 1 black" in line for line in said)
    assert any("32.png" in line for line in said)
    assert not list(folder.parent.glob(".*"))  # neither the record of the ranges nor anything unfinished


def test_the_account_is_whole_and_needs_nothing_beside_it(int8_bundle) -> None:
    folder, _ = int8_bundle
    bundle = open_bundle(folder)
    report = json.loads(bundle.read("report.json"))
    assert report["agreement"] == bundle.manifest.parity.agreement
    assert report["accuracy"] is None
    assert set(report["error_by_method"]) == {"max", "percentile", "entropy", "mse"}
    assert min(report["error_by_method"], key=report["error_by_method"].get) == report["method"]
    assert report["kept_higher"]
    assert all(report["kept_higher"].values())
    graph = onnx.load_from_string(bundle.read("model.onnx"))
    quantised = {n.name for n in graph.graph.node if any(i.endswith("/rounded") for i in n.input[1:])}
    assert quantised >= set(report["quantized"]["model.onnx"])
    assert all(r["low"] <= 0 <= r["high"] for r in report["ranges"]["model.onnx"].values())
    assert {"parent in fp32", "int8"} <= set(report["milliseconds"])
    assert len(report["mixtures"]) > 1
    page = bundle.read("report.html").decode()
    assert page.count("data:image/") > 1
    assert 'src="http' not in page
    assert "<link" not in page


def test_what_was_not_calibrated_on_real_images_is_refused(small_bundle: Path, tmp_path: Path) -> None:
    import cv2

    for i in range(12):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UsageError, match=r"0 distinct images \(12 black left out\)"):
        export_int8(Request(str(small_bundle), "int8"), Int8Request(str(tmp_path)), tmp_path / "out", quiet)
    with pytest.raises(UsageError, match="generated"):
        export_int8(Request(str(small_bundle), "int8"), Int8Request("scenes"), tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


def test_a_quantised_bundle_is_not_quantised_again(int8_bundle, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="quantised already: start from one in fp32 or fp16"):
        export_int8(Request(str(int8_bundle[0]), "int8"), Int8Request(str(photos)), tmp_path / "out", quiet)


def test_a_bundle_that_gives_no_numbers_is_refused_and_says_so(
    small_bundle: Path, photos: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_bundle, tmp_path / "broken"))
    graph = onnx.load(folder / "model.onnx")
    weight = next(t for t in graph.graph.initializer if t.name == "val_2")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0] = np.nan
    weight.CopyFrom(onnx.numpy_helper.from_array(values, "val_2"))
    onnx.save(graph, folder / "model.onnx")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["model.onnx"] = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(manifest))
    said: list[str] = []
    with pytest.raises(RssegError, match=r"small itself gives values that are no numbers on (\d+) of \1 views"):
        export_int8(Request(str(folder), "int8"), Int8Request(str(photos)), tmp_path / "out", said.append)
    assert any("nodes stay in float: values that are not finite" in line for line in said)
    assert not (tmp_path / "out").exists()


def test_a_variant_stands_beside_the_graph_in_float(
    small_bundle: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.THRESHOLDS, "int8", 0.5)

    def make(request: Request, folder: Path) -> None:
        export_int8(request, Int8Request(str(photos)), folder, quiet)

    made = export_variant(Request(str(small_bundle), "int8"), tmp_path / "both", make)
    (variant,) = made.variants
    assert variant.graphs == {"model.onnx": "model.int8.onnx"}
    assert variant.reports == ("report.int8.json", "report.int8.html")
    assert variant.speed is not None
    assert (variant.speed.milliseconds > 0, variant.speed.parent_milliseconds > 0) == (True, True)
    segmenter = rsseg_edge.load(tmp_path / "both", engine="onnxruntime", precision="int8")
    assert segmenter(picture := np.zeros((64, 64, 3), np.uint8)).class_map.shape == picture.shape[:2]
    assert sorted(f.name for f in tmp_path.iterdir()) == ["both"]


@pytest.mark.parametrize("name", [".hidden", "a b"])
def test_a_name_that_no_bundle_may_have_is_refused_before_the_work(
    small_bundle: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="a bundle's name is letters"):
        export_int8(Request(str(small_bundle), "int8"), Int8Request("nothing"), tmp_path / name, quiet)


def test_a_budget_that_nothing_meets_writes_nothing(
    small_bundle: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.THRESHOLDS, "int8", 1.0)
    with pytest.raises(RssegError, match="--max-drop"):
        export_int8(Request(str(small_bundle), "int8"), Int8Request(str(photos)), tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("least", [0, 1, 3, 5, 11, 20])
def test_the_search_gives_back_as_few_blocks_as_it_can(least: int) -> None:
    order = [str(i) for i in range(20)]
    chosen, measured = climb(order, lambda floats: len(list(floats)), lambda count: count >= least)
    assert chosen == least
    assert measured == sorted(set(measured))
    assert ladder(20) == [0, 1, 2, 4, 8, 16, 20]


def test_kinds_that_are_slow_as_integers_stay_in_float_until_none_is(graph, monkeypatch: pytest.MonkeyPatch) -> None:
    model = prepare(graph)
    sites = {"model.onnx": tuple(find_sites(model)[0])}
    plan = Plan({"model.onnx": model}, sites, {"model.onnx": {}}, {"model.onnx": {}}, {"model.onnx": {}}, "cpu")
    saved = {"conv of the image": -3.0, "depthwise conv": -1.0, "conv": 8.0, "matrix product": 0.5}  # ms by integers

    def latencies(subject, alternatives, view, of):
        def taken(build) -> float:
            quantised = {s.kind for s in build.__self__.sites["model.onnx"]} if hasattr(build, "__self__") else set()
            return 20 - sum(saved[kind] for kind in quantised)

        return {name: taken(build) for name, build in alternatives.items()}

    monkeypatch.setattr(search, "latencies", latencies)
    made, times = search.drop_slow_kinds(plan, None, None)
    assert {s.kind for s in made.sites["model.onnx"]} == {"conv", "matrix product"}
    assert set(made.kept["model.onnx"]) == {"stem", "depthwise"}
    assert times["float"] == 20
    assert times["all in int8"] == pytest.approx(15.5)
    assert times["conv of the image in float"] == pytest.approx(12.5)
    assert times["conv of the image and depthwise conv in float"] == pytest.approx(11.5)


@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_nvidias_builder_takes_the_graph(kind: str, graph, make_picture) -> None:
    """For SM86 and SM120. Those of the shipped bundles: ``tests/bundles``."""
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed (pip install tensorrt-rtx)")
    parent, samples = prepare(graph), [{"image": make_picture(0)[None]}]
    if kind == "fp16":
        made, _ = halve(parent, samples, quiet)
    else:
        sites, _ = find_sites(parent)
        ranges = measure_ranges(parent, measured_tensors(sites), samples)
        bounds = {tensor: clip_range(h, "max", symmetric=True) for tensor, h in ranges.items()}
        made = quantize(parent, sites, bounds, "tensorrt")
        assert sum(n.op_type == "QuantizeLinear" for n in made.graph.node) > 3
    model = made.SerializeToString()
    shapes = {"image": (1, 64, 64, 3)}
    built = build(trt, fix_shapes(model, shapes), shapes, name="small", capabilities=[(8, 6), (12, 0)])
    assert len(built.plan) > 10_000

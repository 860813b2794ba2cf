"""A bundle with an engine of TensorRT-RTX, whose builder needs no GPU."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed (pip install tensorrt-rtx)")
onnx = pytest.importorskip("onnx", reason="export is the lab side: it needs onnx")

from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.engines.graph_file import read_graph  # noqa: E402
from rsseg_edge.engines.onnx_file import fix_shapes  # noqa: E402
from rsseg_edge.engines.tensorrt_build import BuildRefusedError, build  # noqa: E402
from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.export.request import Request  # noqa: E402
from rsseg_edge.export.rtx import add_rtx_engine, parse_capabilities  # noqa: E402
from rsseg_edge.export.targets import export_rtx  # noqa: E402


@pytest.fixture(scope="session")
def bundle(levels_bundle: Path) -> Path:
    """Not the trained one of this folder's other tests."""
    return levels_bundle


def fixed(bundle: Path, folder: Path) -> Path:
    """The levels bundle with its sides fixed to 32 x 64."""
    model = fix_shapes((bundle / "model.onnx").read_bytes(), {"image": (1, 32, 64, 3)})
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["files"]["model.onnx"] = hashlib.sha256(model).hexdigest()
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


def test_a_bundle_gets_an_engine_and_keeps_its_graph(bundle: Path, tmp_path: Path) -> None:
    source = fixed(bundle, tmp_path / "levels")
    said: list[str] = []
    export_rtx(Request(str(source), "fp32"), ((8, 6), (12, 0)), tmp_path / "out", said.append)
    made = open_bundle(tmp_path / "out")
    graph = read_graph(made)
    (engine,) = graph.engines
    assert engine.runtime == f"TensorRT-RTX {trt.__version__}"
    assert engine.capabilities == ((8, 6), (12, 0))
    assert engine.shapes == {"image": (1, 32, 64, 3)}
    assert len(engine.read()) > 1000
    assert graph.model == (source / "model.onnx").read_bytes()
    assert "it runs for the first time on its GPU" in said[-1]


def test_free_sides_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bundle levels: sides height, width are free.* give --size HxW"):
        add_rtx_engine(open_bundle(bundle), tmp_path / "out", [(8, 6)], lambda line: None)
    assert not (tmp_path / "out").exists()


def test_a_jetson_is_told_to_build_on_the_board(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--compute-capability 8\.7: .* builds for 7\.5, 8\.0, 8\.6.*on the board"):
        add_rtx_engine(open_bundle(bundle), tmp_path / "out", [(8, 7)], lambda line: None)


@pytest.mark.parametrize("text", ["", "8", "8.6;8.9", "8.6,,8.9", "sm_86"])
def test_what_is_no_capability_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--compute-capability"):
        parse_capabilities(text)


def test_capabilities_are_read_once_each() -> None:
    assert parse_capabilities("8.6, 12.0,8.6") == ((8, 6), (12, 0))


def test_a_graph_that_it_cannot_build_is_refused_with_the_parsers_message() -> None:
    helper, kinds = onnx.helper, onnx.TensorProto
    x = helper.make_tensor_value_info("x", kinds.FLOAT, [1, 4, 4])
    y = helper.make_tensor_value_info("y", kinds.FLOAT, None)
    shape = onnx.numpy_helper.from_array(np.array([2, 2]), "shape")
    nodes = [helper.make_node("Col2Im", ["x", "shape", "shape"], ["y"], name="folding")]
    graph = helper.make_graph(nodes, "x", [x], [y], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    with pytest.raises(
        BuildRefusedError, match=r"bundle x: TensorRT-RTX .* does not take the graph: folding \(Col2Im\)"
    ):
        build(trt, model, {"x": (1, 4, 4)}, name="bundle x", capabilities=[(8, 6)])


def test_progress_is_told_and_an_interrupt_ends_a_build(bundle: Path) -> None:
    model, shapes = (bundle / "model.onnx").read_bytes(), {"image": (1, 32, 64, 3)}
    shares: list[float] = []
    build(trt, model, shapes, name="x", capabilities=[(8, 6)], progress=shares.append)
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(trt, model, shapes, name="x", capabilities=[(8, 6)], progress=stop)

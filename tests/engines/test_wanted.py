"""What an engine computes is what its runs ask for."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the graph is made with onnx, which is the lab side's")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rsseg_edge.engines import onnxruntime as engine_module  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from rsseg_edge.engines.wanted import only_for  # noqa: E402


@pytest.fixture
def model() -> bytes:
    """x to ``near`` = 2 x, ``far`` = (2 x + 3) and ``apart`` = -x."""
    constants = [numpy_helper.from_array(np.array(v, np.float32), k) for k, v in {"two": 2, "three": 3}.items()]
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["near"]),
        helper.make_node("Add", ["near", "three"], ["far"]),
        helper.make_node("Neg", ["x"], ["apart"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "near", "far", "apart")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def test_nodes_weights_and_outputs_that_nothing_needs_are_left_out(model: bytes) -> None:
    part = onnx.load_from_string(only_for(model, ["near"]))
    onnx.checker.check_model(part)
    assert [node.op_type for node in part.graph.node] == ["Mul"]
    assert [tensor.name for tensor in part.graph.initializer] == ["two"]
    assert [output.name for output in part.graph.output] == ["near"]


@pytest.mark.parametrize("broken", [b"", b"not onnx", b"\x3a\xff\xff"])
def test_what_is_no_model_stays_as_it_is(broken: bytes) -> None:
    assert only_for(broken, ["near"]) == broken


def test_what_all_outputs_need_stays_as_it_is(model: bytes) -> None:
    assert only_for(model, ["far", "apart"]) == model  # what `near` takes is made for `far`
    assert only_for(model, ["near", "far", "apart"]) == model


def test_a_graph_with_graphs_inside_stays_whole(model: bytes) -> None:
    made = onnx.load_from_string(model)
    inner = helper.make_graph(
        [helper.make_node("Identity", ["near"], ["y"])],
        "inner",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    made.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    made.graph.node.append(helper.make_node("If", ["yes"], ["chosen"], then_branch=inner, else_branch=inner))
    whole = made.SerializeToString()
    assert only_for(whole, ["apart"]) == whole


def test_an_engine_computes_what_is_asked_for_and_all_when_that_goes_to_and_fro(
    model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[list[str]] = []
    real = engine_module._session

    def session(part: bytes, *rest):
        loaded.append([o.name for o in onnx.load_from_string(part).graph.output])
        return real(part, *rest)

    monkeypatch.setattr(engine_module, "_session", session)
    engine = OnnxRuntimeEngine(model)
    x = {"x": np.array([1, 2], np.float32)}
    every = engine.infer(x)
    assert {name: values.tolist() for name, values in every.items()} == {
        "near": [2, 4],
        "far": [5, 7],
        "apart": [-1, -2],
    }
    for names in (["far"], ["far"], ["apart"], ["far"], ["apart"], ["near"]):
        found = engine.infer(x, names)
        assert list(found) == names
        assert found[names[0]].tolist() == every[names[0]].tolist()
    # The whole graph, two parts of it, and the whole again for good.
    assert loaded == [["near", "far", "apart"], ["far"], ["apart"], ["near", "far", "apart"]]


def test_a_large_model_is_not_kept_for_that(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_KEPT", 10)
    engine = OnnxRuntimeEngine(model)
    assert engine._model is None
    assert engine.infer({"x": np.zeros(2, np.float32)}, ["far"])["far"].tolist() == [3, 3]

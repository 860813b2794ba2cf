"""An image's normalisation in the weights of the first convolution."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rsseg_edge.calibration.fold import fold_scale  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402


def normalising(*, shown: bool = False, group: int = 1) -> onnx.ModelProto:
    """An image's normalisation before a convolution that pads."""
    rng = np.random.default_rng(0)
    arrays = {
        "whole": np.array(255, np.float32),
        "mean": np.array([0.4, 0.5, 0.3], np.float32).reshape(1, 3, 1, 1),
        "deviation": np.array([0.2, 0.3, 0.25], np.float32).reshape(1, 3, 1, 1),
        "weight": rng.normal(size=(6, 3 // group, 3, 3)).astype(np.float32),
        "bias": rng.normal(size=6).astype(np.float32),
    }
    nodes = [
        helper.make_node("Div", ["x", "whole"], ["a"], "a"),
        helper.make_node("Sub", ["a", "mean"], ["b"], "b"),
        helper.make_node("Div", ["b", "deviation"], ["c"], "c"),
        helper.make_node("Conv", ["c", "weight", "bias"], ["y"], "conv", pads=[1, 1, 1, 1], group=group),
    ]
    names = ["y", *(["c"] if shown else [])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 9])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 6 if name == "y" else 3, 8, 9]) for name in names],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("shown", [False, True])
def test_the_first_convolution_holds_the_scale(shown: bool) -> None:
    model = normalising(shown=shown)
    x = {"x": np.random.default_rng(0).integers(0, 256, (1, 3, 8, 9)).astype(np.float32)}
    before = OnnxRuntimeEngine(model.SerializeToString()).infer(x)
    fold_scale(model)
    onnx.checker.check_model(model)
    assert [n.op_type for n in model.graph.node if "c" not in n.output][-2:] == ["Sub", "Conv"]
    assert len(model.graph.node) == (5 if shown else 2)
    after = OnnxRuntimeEngine(model.SerializeToString()).infer(x)
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, atol=1e-4)
    once = model.SerializeToString()
    fold_scale(model)
    assert model.SerializeToString() == once


def test_a_convolution_by_groups_keeps_its_weights() -> None:
    model = normalising(group=3)
    before = model.SerializeToString()
    fold_scale(model)
    assert model.SerializeToString() == before

"""A pyramid between operators that have their channels last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rsseg_edge.calibration.channels_last import FIRST, LAST, keep_channels_last  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402

SIDES = ((4, 6), (8, 12), (16, 24))
CHANNELS = 5


def pyramid(*, bias: bool = True, shown: str = "", scale: float = 2, planes: bool = False) -> onnx.ModelProto:
    """Three levels; of each, maps [1, h, w, C] come in and go out."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {"scales": np.array([1, 1, scale, scale], np.float32)}
    nodes, inputs, outputs, above = [], [], [], ""
    for k in range(len(SIDES)):
        arrays[f"w{k}"] = rng.normal(size=(CHANNELS, 3 + k, 1, 1)).astype(np.float32)
        arrays[f"b{k}"] = rng.normal(size=CHANNELS).astype(np.float32)
        inputs.append(helper.make_tensor_value_info(f"x{k}", TensorProto.FLOAT, [1, f"h{k}", f"w{k}", 3 + k]))
        outputs.append(helper.make_tensor_value_info(f"y{k}", TensorProto.FLOAT, [1, f"h{k}", f"w{k}", CHANNELS]))
        convolved = [f"p{k}", f"w{k}", *([f"b{k}"] if bias else [])]
        nodes += [
            helper.make_node("Transpose", [f"x{k}"], [f"p{k}"], f"first{k}", perm=FIRST),
            helper.make_node("Conv", convolved, [f"c{k}"], f"conv{k}"),
        ]
        level = f"c{k}"
        if above:
            nodes += [
                helper.make_node("Resize", [above, "", "scales"], [f"u{k}"], f"resize{k}", mode="nearest"),
                helper.make_node("Add", [f"c{k}", f"u{k}"], [f"s{k}"], f"sum{k}"),
            ]
            level = f"s{k}"
        nodes.append(helper.make_node("Transpose", [level], [f"t{k}"], f"last{k}", perm=LAST))
        nodes.append(helper.make_node("Relu", [f"t{k}"], [f"y{k}"], f"relu{k}"))
        above = level
    if planes:
        nodes.append(helper.make_node("Sigmoid", ["s1"], ["z"], "sigmoid"))
    for name in [shown, *(["z"] if planes else [])]:
        if name:
            outputs.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, CHANNELS, f"h{name}", f"w{name}"])
            )
    graph = helper.make_graph(
        nodes, "g", inputs, outputs, [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def results(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    onnx.checker.check_model(model)
    rng = np.random.default_rng(1)
    inputs = {f"x{k}": rng.normal(size=(1, *sides, 3 + k)).astype(np.float32) for k, sides in enumerate(SIDES)}
    return OnnxRuntimeEngine(model.SerializeToString()).infer(inputs)


@pytest.mark.parametrize("bias", [True, False])
def test_no_map_has_planes_any_more(bias: bool) -> None:
    model = pyramid(bias=bias)
    before = results(model)
    keep_channels_last(model)
    kinds = [node.op_type for node in model.graph.node]
    assert not {"Conv", "Resize", "Transpose"} & set(kinds)
    assert kinds.count("MatMul") == len(SIDES)
    after = results(model)
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, atol=1e-5)
    once = model.SerializeToString()
    keep_channels_last(model)
    assert model.SerializeToString() == once


@pytest.mark.parametrize("change", [{"shown": "s1"}, {"planes": True}])
def test_a_level_that_others_read_keeps_its_planes(change: dict[str, Any]) -> None:
    model = pyramid(**change)
    before = results(model)
    keep_channels_last(model)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Conv") == len(SIDES)  # all levels: each is made of the one above
    after = results(model)
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, atol=1e-5)


def test_an_enlargement_of_another_kind_stays() -> None:
    model = pyramid(shown="s2")
    for node in model.graph.node:
        if node.op_type == "Resize":
            node.attribute[0].s = b"linear"
    before = results(model)
    keep_channels_last(model)
    assert [node.op_type for node in model.graph.node].count("Resize") == 2
    after = results(model)
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, atol=1e-5)

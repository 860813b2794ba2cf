"""Rewrites that leave what a graph computes as it is."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from rsseg_edge.export.rewrites import decide_in_one, embed_queries, reduce_by_means  # noqa: E402

C, N = 6, 4


def graph_of(factor: int = 2, *, shown: bool = True, sides: str = "symbols") -> onnx.ModelProto:
    """Queries [1, N, C] times pixels behind a 1x1 convolution, at full size and reduced by a factor."""
    rng = np.random.default_rng(0)
    height, width = (f"{8 * factor}*rows", f"{8 * factor}*columns") if sides == "symbols" else (8 * factor, 16 * factor)
    low_height, low_width = ("8*rows", "8*columns") if sides == "symbols" else (8, 16)

    def value(name: str, shape: list) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    arrays = {
        "weight": rng.normal(size=(C, C, 1, 1)).astype(np.float32),
        "bias": rng.normal(size=C).astype(np.float32),
        "scales": np.array([1, 1, 1 / factor, 1 / factor], np.float32),
        "flat": np.array([1, C, -1], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "weight", "bias"], ["pixels"], "embed"),
        helper.make_node("Reshape", ["pixels", "flat"], ["p"], "p"),
        helper.make_node("MatMul", ["queries", "p"], ["masks"], "masks"),
        helper.make_node("Resize", ["pixels", "", "scales"], ["less"], "less", mode="linear"),
        helper.make_node("Reshape", ["less", "flat"], ["l"], "l"),
        helper.make_node("MatMul", ["queries", "l"], ["low_masks"], "low_masks"),
    ]
    outputs = [value("masks", [1, N, "places"]), value("low_masks", [1, N, "few"])]
    outputs += [value("pixels", [1, C, height, width])] if shown else []
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", [1, C, height, width]), value("queries", [1, N, C])],
        outputs,
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
        value_info=[value("less", [1, C, low_height, low_width])]
        + ([] if shown else [value("pixels", [1, C, height, width])]),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def results(model: onnx.ModelProto, factor: int) -> dict[str, np.ndarray]:
    onnx.checker.check_model(model)
    rng = np.random.default_rng(1)
    inputs = {
        "x": rng.normal(size=(1, C, 8 * factor, 16 * factor)).astype(np.float32),
        "queries": rng.normal(size=(1, N, C)).astype(np.float32),
    }
    return OnnxRuntimeEngine(model.SerializeToString()).infer(inputs)


@pytest.mark.parametrize("sides", ["symbols", "numbers"])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_what_is_computed_stays(factor: int, sides: str) -> None:
    model = graph_of(factor, sides=sides)
    before = results(model, factor)
    embed_queries(model)
    reduce_by_means(model)
    kinds = [node.op_type for node in model.graph.node]
    assert "Resize" not in kinds
    assert kinds.count("MiddleMean") == 1
    after = results(model, factor)
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, atol=2e-5)


def test_no_product_waits_for_the_convolution() -> None:
    model = graph_of(shown=False)
    embed_queries(model)
    assert all(node.op_type != "Conv" for node in model.graph.node)
    shown = graph_of()
    embed_queries(shown)
    readers = [node for node in shown.graph.node if "pixels" in node.input]
    assert not readers


def test_doing_it_twice_changes_nothing() -> None:
    model = graph_of()
    embed_queries(model)
    reduce_by_means(model)
    once = model.SerializeToString()
    embed_queries(model)
    reduce_by_means(model)
    assert model.SerializeToString() == once


def test_a_convolution_that_others_read_stays_before_the_pixels() -> None:
    model = graph_of()
    model.graph.node.append(helper.make_node("Relu", ["pixels"], ["other"], "other"))
    before = model.SerializeToString()
    embed_queries(model)
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda node, shapes: node.attribute.append(helper.make_attribute("antialias", 1)),
        lambda node, shapes: node.attribute.append(
            helper.make_attribute("coordinate_transformation_mode", "align_corners")
        ),
        lambda node, shapes: setattr(shapes.dim[3], "dim_param", "5*columns"),
        lambda node, shapes: setattr(shapes.dim[2], "dim_param", "8*others"),
        lambda node, shapes: setattr(shapes.dim[2], "dim_param", "rows + 1"),
    ],
)
def test_a_resize_of_another_kind_stays(change) -> None:
    model = graph_of()
    node = next(n for n in model.graph.node if n.op_type == "Resize")
    change(node, model.graph.value_info[0].type.tensor_type.shape)
    reduce_by_means(model)
    assert any(n.op_type == "Resize" for n in model.graph.node)


def decision(classes: int, *, others: bool = False, mode: str = "linear") -> onnx.ModelProto:
    """Shares that are enlarged and decided on, as the exporter traces it."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    import torch.nn.functional as F

    from rsseg_edge.export.graph import trace
    from rsseg_edge.models.decide import decide

    class Module(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            shares = x.softmax(1)
            aligned = {"align_corners": mode == "aligned"} if mode != "nearest" else {}
            wide = F.interpolate(
                shares, (4 * x.shape[2], 4 * x.shape[3]), mode="nearest" if mode == "nearest" else "bilinear", **aligned
            )
            return (*decide(wide), shares.log(), *([wide] if others else []))

    names = ["class_map", "confidence", "logits", *(["wide"] if others else [])]
    sides = {2: torch.export.Dim("rows", min=2, max=64), 3: torch.export.Dim("columns", min=2, max=64)}
    return trace(Module(), (torch.zeros(1, classes, 8, 12),), ["x"], names, {"x": sides})


@pytest.mark.parametrize("classes", [2, 7])
def test_one_operator_decides(classes: int) -> None:
    model = decision(classes)
    x = {"x": np.random.default_rng(0).normal(size=(1, classes, 13, 9)).astype(np.float32)}
    before = OnnxRuntimeEngine(model.SerializeToString()).infer(x)
    decide_in_one(model, "class_map", "confidence")
    onnx.checker.check_model(model)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("UpsampleDecide") == 1
    assert not {"Resize", "Max", "Where", "Shape"} & set(kinds)
    for kernels in (True, False):
        after = OnnxRuntimeEngine(model.SerializeToString(), kernels=kernels).infer(x)
        for name, values in before.items():
            np.testing.assert_allclose(
                after[name].astype(float), values.astype(float), atol=1 if name == "confidence" else 1e-6
            )
    once = model.SerializeToString()
    decide_in_one(model, "class_map", "confidence")
    assert model.SerializeToString() == once


@pytest.mark.parametrize("change", [{"others": True}, {"mode": "nearest"}, {"mode": "aligned"}])
def test_a_decision_of_another_kind_stays(change: dict) -> None:
    model = decision(3, **change)
    before = model.SerializeToString()
    decide_in_one(model, "class_map", "confidence")
    assert model.SerializeToString() == before

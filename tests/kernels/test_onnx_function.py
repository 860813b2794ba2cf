"""The function bodies, inlined by a plain ONNX Runtime, against the references."""

from __future__ import annotations

import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

import onnxruntime as ort  # noqa: E402

from rsseg_edge.kernels.cases import cases, tolerance  # noqa: E402
from rsseg_edge.kernels.functions import attach, function_text  # noqa: E402
from rsseg_edge.kernels.references import expected, relative_error, stacked  # noqa: E402
from rsseg_edge.kernels.registry import DOMAIN, OPS  # noqa: E402
from rsseg_edge.kernels.single_op import single_op_model  # noqa: E402

ALL = [case for op in OPS for case in cases(op)]


def run(model: bytes, inputs):
    return stacked(ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, inputs))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("case", ALL, ids=lambda c: c.id)
def test_body_agrees_with_the_reference(case, dtype):
    got = run(single_op_model(case, dtype), case.inputs(dtype))
    assert str(got.dtype) == ("uint8" if OPS[case.op].bytes else dtype)
    assert relative_error(got, expected(case, dtype)) <= tolerance(case.op, dtype)


@pytest.mark.parametrize("op", OPS)
def test_body_uses_only_what_tensorrt_takes(op):
    function = onnx.load_from_string(single_op_model(cases(op)[0])).functions[0]
    used = {node.op_type for node in function.node}
    assert not used & {"Col2Im", "DeformConv", "Loop", "If", "Scan", "NonZero"}
    resizes = [node for node in function.node if node.op_type == "Resize"]
    assert all(onnx.helper.get_node_attr_value(node, "mode") == b"linear" for node in resizes)  # no cubic
    assert all(node.domain in ("", "ai.onnx") for node in function.node)


def test_attaching_twice_changes_nothing():
    model = onnx.load_from_string(single_op_model(cases("AdaptiveUpsample")[0]))
    before = model.SerializeToString(deterministic=True)
    assert attach(model) == ["AdaptiveUpsample"]
    assert model.SerializeToString(deterministic=True) == before


def two_radii() -> onnx.ModelProto:
    model = onnx.load_from_string(single_op_model(cases("BilateralKernel")[0], body=False))
    second = model.graph.node.add()
    second.CopyFrom(model.graph.node[0])
    second.output[0], second.attribute[0].i = "other", 2
    return model


def test_two_radii_in_one_model_are_refused():
    with pytest.raises(ValueError, match=r"BilateralKernel.*one radius"):
        attach(two_radii())


def test_an_unknown_operator_is_refused_by_name():
    node = onnx.helper.make_node("Sharpen", [], [], domain=DOMAIN)
    with pytest.raises(ValueError, match="Sharpen is no operator"):
        function_text(node, onnx.GraphProto())


def test_a_model_without_our_operators_is_left_alone():
    assert attach(onnx.ModelProto()) == []


def test_the_number_of_levels_must_be_in_the_graph():
    model = onnx.load_from_string(single_op_model(cases("MSDeformAttn")[0], body=False))
    for value in model.graph.input:
        value.type.tensor_type.ClearField("shape")
    with pytest.raises(ValueError, match=r"MSDeformAttn.*spatial_shapes"):
        attach(model)

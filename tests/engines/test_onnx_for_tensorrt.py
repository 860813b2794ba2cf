"""Changes to an ONNX file without the package ``onnx``, checked by it, by ONNX Runtime and by NVIDIA's parser."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="what the edge does without it is checked with it")

from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.engines.onnx_file import fix_shapes, read_signature  # noqa: E402
from rsseg_edge.engines.onnx_for_tensorrt import STOCK_DEFORMABLE, use_plugins, widen_bytes  # noqa: E402
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine  # noqa: E402
from rsseg_edge.errors import RssegError  # noqa: E402
from rsseg_edge.kernels.cases import cases  # noqa: E402
from rsseg_edge.kernels.registry import OPS  # noqa: E402
from rsseg_edge.kernels.single_op import single_op_model  # noqa: E402


@pytest.fixture(scope="module")
def tiny() -> bytes:
    return open_bundle("segclip-tiny").read("model.onnx")


def test_a_signature_is_what_onnx_reads(tiny: bytes) -> None:
    signature, graph = read_signature(tiny), onnx.load_from_string(tiny).graph
    for found, expected in zip((*signature.inputs, *signature.outputs), (*graph.input, *graph.output), strict=True):
        tensor = expected.type.tensor_type
        assert found.name == expected.name
        assert found.dtype == onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        assert found.shape == tuple(d.dim_value or d.dim_param for d in tensor.shape.dim)
    assert signature.operators == {n.op_type for n in graph.node if n.domain == "rsseg"}
    assert len(signature.free) == 2


@pytest.mark.parametrize("model", [b"", b"not onnx", b"\x3a\x05\x0a\x20"])
def test_what_is_no_model_is_one_line(model: bytes) -> None:
    with pytest.raises(RssegError, match="bundle x: it is no ONNX model"):
        read_signature(model, "bundle x")


def test_a_cut_model_is_refused(tiny: bytes) -> None:
    with pytest.raises(RssegError):
        read_signature(tiny[: len(tiny) // 2])


def test_shapes_are_fixed_and_checked(tiny: bytes) -> None:
    fixed = fix_shapes(tiny, {"image": (1, 64, 96, 3)})
    onnx.checker.check_model(onnx.load_from_string(fixed))
    assert read_signature(fixed).inputs[0].shape == (1, 64, 96, 3)
    assert read_signature(fixed).inputs[0].dtype == np.uint8
    with pytest.raises(RssegError, match=r"input image is 1x.*x3, not 1x64x96x4"):
        fix_shapes(tiny, {"image": (1, 64, 96, 4)})
    with pytest.raises(RssegError, match="not a scalar"):
        fix_shapes(tiny, {})


def test_no_bytes_remain_inside_and_every_value_stays(tiny: bytes) -> None:
    model = widen_bytes(tiny)
    onnx.checker.check_model(onnx.load_from_string(model))
    inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(model)).graph
    inside = {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}
    assert onnx.TensorProto.UINT8 not in inside.values()
    assert onnx.TensorProto.UINT8 not in {t.data_type for t in inferred.initializer}
    image = {"image": np.random.default_rng(0).integers(0, 255, (1, 96, 160, 3), np.uint8)}
    expected, found = OnnxRuntimeEngine(tiny).infer(image), OnnxRuntimeEngine(model).infer(image)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_bytes_of_every_form_are_widened() -> None:
    helper, kinds = onnx.helper, onnx.TensorProto
    image = helper.make_tensor_value_info("image", kinds.UINT8, [2, 3])
    out = helper.make_tensor_value_info("out", kinds.UINT8, [2, 3])
    half = helper.make_tensor_value_info("half", kinds.FLOAT, [2, 3])
    typed = helper.make_tensor("typed", kinds.UINT8, [3], [7, 200, 0])  # as integers, not raw
    constant = onnx.numpy_helper.from_array(np.array([[5], [250]], np.uint8))
    nodes = [
        helper.make_node("Constant", [], ["limit"], value=constant),
        helper.make_node("Cast", ["image"], ["float"], to=kinds.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["half"]),
        helper.make_node("Cast", ["half"], ["cut"], to=kinds.UINT8),  # drops fractions, and is read again inside
        helper.make_node("Cast", ["cut"], ["cut_float"], to=kinds.FLOAT),
        helper.make_node("Greater", ["cut_float", "scale"], ["large"]),
        helper.make_node("Where", ["large", "cut", "typed"], ["chosen"]),
        helper.make_node("Max", ["chosen", "limit"], ["out"]),
    ]
    scale = onnx.numpy_helper.from_array(np.array(0.5, np.float32), "scale")
    graph = helper.make_graph(nodes, "bytes", [image], [out, half], [typed, scale])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    inputs = {"image": np.array([[0, 1, 2], [3, 200, 255]], np.uint8)}
    expected = OnnxRuntimeEngine(model.SerializeToString()).infer(inputs)
    wide = widen_bytes(model.SerializeToString())
    onnx.checker.check_model(onnx.load_from_string(wide))
    found = OnnxRuntimeEngine(wide).infer(inputs)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_quantisation_keeps_its_bytes() -> None:
    helper, kinds = onnx.helper, onnx.TensorProto
    x = helper.make_tensor_value_info("x", kinds.FLOAT, [4])
    y = helper.make_tensor_value_info("y", kinds.FLOAT, [4])
    zero = onnx.numpy_helper.from_array(np.array(0, np.uint8), "zero")
    scale = onnx.numpy_helper.from_array(np.array(0.1, np.float32), "scale")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "quantised", [x], [y], [zero, scale])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    assert onnx.load_from_string(widen_bytes(model)) == onnx.load_from_string(model)


def test_a_plugin_takes_the_place_of_a_body(tiny: bytes) -> None:
    model = onnx.load_from_string(use_plugins(tiny, ["MaskedAttention"]))
    assert {function.name for function in model.functions} == {"MiddleMean", "UpsampleDecide"}
    before = [n for n in onnx.load_from_string(tiny).graph.node if n.op_type == "MaskedAttention"]
    after = [n for n in model.graph.node if n.op_type == "MaskedAttention"]
    for old, new in zip(before, after, strict=True):
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in new.attribute}
        assert attributes.pop("plugin_namespace") == b"rsseg"
        assert attributes.pop("plugin_version") == b"1"
        assert attributes == {a.name: onnx.helper.get_attribute_value(a) for a in old.attribute}
        assert (list(new.input), list(new.output), new.name) == (list(old.input), list(old.output), old.name)


def test_without_plugins_nothing_changes(tiny: bytes) -> None:
    assert onnx.load_from_string(use_plugins(tiny, [])) == onnx.load_from_string(tiny)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_stock_deformable_attention_is_called_as_it_wants_to_be(dtype: str) -> None:
    """Run with TensorRT's plugin replaced by our body, whose result is put into the plugin's shape."""
    case = cases("MSDeformAttn")[1]
    before = single_op_model(case, dtype)
    model = onnx.load_from_string(use_plugins(before, [], stock_deformable="1"))
    (function,) = model.functions
    (plugin,) = [n for n in function.node if n.op_type == STOCK_DEFORMABLE]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in plugin.attribute}
    assert attributes == {"plugin_version": b"1", "plugin_namespace": b""}
    producers = {n.output[0]: n for n in function.node}
    kinds = [onnx.helper.get_node_attr_value(producers[name], "to") for name in plugin.input]
    assert kinds == [1, 6, 6, 1, 1]

    (body,) = onnx.load_from_string(before).functions
    plugin.op_type, plugin.domain = "Plugin", "rsseg"
    del plugin.attribute[:]
    value = case.inputs()["value"]
    inner = onnx.helper.make_function(
        "rsseg", "Plugin", list(body.input), ["heads"],
        [
            onnx.helper.make_node("Cast", [body.input[1]], ["shapes64"], to=onnx.TensorProto.INT64),
            onnx.helper.make_node("Cast", [body.input[2]], ["starts64"], to=onnx.TensorProto.INT64),
            onnx.helper.make_node(
                "Body", [body.input[0], "shapes64", "starts64", *body.input[3:]], ["joined"], domain="rsseg"
            ),
            onnx.helper.make_node("Constant", [], ["apart"], value_ints=[0, 0, *value.shape[2:]]),
            onnx.helper.make_node("Reshape", ["joined", "apart"], ["heads"]),
        ],
        [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("rsseg", 1)],
    )  # fmt: skip
    body.name = "Body"
    function.opset_import.append(onnx.helper.make_opsetid("rsseg", 1))
    model.functions.extend([inner, body])
    found = OnnxRuntimeEngine(model.SerializeToString(), kernels=False).infer(case.inputs(dtype))["output"]
    expected = OnnxRuntimeEngine(before, kernels=False).infer(case.inputs(dtype))["output"]
    np.testing.assert_allclose(found.astype(np.float32), expected.astype(np.float32), atol=2e-3, rtol=2e-3)
    assert set(OPS["MSDeformAttn"].input_names) == set(function.input)

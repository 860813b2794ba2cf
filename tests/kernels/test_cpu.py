"""The compiled CPU kernels inside ONNX Runtime against the references, on every instruction set of this machine."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

import onnxruntime as ort  # noqa: E402

from rsseg_edge.kernels.cases import TOLERANCE, cases, tolerance  # noqa: E402
from rsseg_edge.kernels.references import expected, relative_error, stacked  # noqa: E402
from rsseg_edge.kernels.registry import OPS, ort_library  # noqa: E402
from rsseg_edge.kernels.single_op import single_op_model  # noqa: E402

LIBRARY = ort_library()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="installed without a C++ compiler: no rsseg_ort_ops")

ALL = [case for op in OPS for case in cases(op)]


def limit_isa(name: str) -> str:
    function = ctypes.CDLL(str(LIBRARY)).rsseg_limit_isa
    function.restype = ctypes.c_char_p
    return function(name.encode()).decode()


# What this processor and this build have, narrowest first; limiting to the widest at last lifts the limit.
ISAS = [name for name in ("scalar", "vec128", "avx2", "avx512", "vnni") if LIBRARY and limit_isa(name) == name]


@pytest.fixture(params=ISAS)
def isa(request):
    """Runs the test on one instruction set."""
    limit_isa(request.param)
    yield request.param
    limit_isa(ISAS[-1])


def session(model: bytes, threads: int = 2) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.register_custom_ops_library(str(LIBRARY))
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(case, dtype="float32", inputs=None):
    # Without a body nothing but our kernel can run the node.
    return stacked(session(single_op_model(case, dtype, body=False)).run(None, inputs or case.inputs(dtype)))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("case", ALL, ids=lambda c: c.id)
def test_kernel_agrees_with_the_reference(case, dtype, isa):
    assert relative_error(run(case, dtype), expected(case, dtype)) <= tolerance(case.op, dtype)


@pytest.mark.parametrize("op", OPS)
def test_a_registered_kernel_wins_over_the_body(op):
    case = cases(op)[0]
    model = onnx.load_from_string(single_op_model(case))
    body = model.functions[0]
    kind = onnx.TensorProto.UINT8 if OPS[op].bytes else onnx.TensorProto.FLOAT
    wrong = [onnx.helper.make_node("Cast", [body.input[0]], [name], to=kind) for name in body.output]
    del body.node[:]
    body.node.extend(wrong)
    got = stacked(session(model.SerializeToString()).run(None, case.inputs()))
    assert relative_error(got, expected(case)) <= tolerance(op)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("op", OPS)
def test_the_number_of_threads_changes_no_bit(op, threads):
    case = cases(op)[0]
    model = single_op_model(case, body=False)
    one, more = (stacked(session(model, n).run(None, case.inputs())) for n in (1, threads))
    assert np.array_equal(one, more)


def test_half_precision_rounds_as_numpy_does():
    # A kernel of one tap of weight 1 on constant features hands every value through.
    values = np.arange(0x7C00, dtype=np.uint16).view(np.float16)
    count = len(values)
    kernel = np.zeros((1, 2, 2, 9), np.float16)
    kernel[..., 4] = 1
    case = type(ALL[0])("AdaptiveUpsample", "x", {"B": 1, "h": 1, "w": 1, "C": count}, {"radius": 1})
    got = run(case, "float16", {"features": values.reshape(1, 1, 1, -1), "kernel": kernel})
    assert np.array_equal(got[0, 0, 0], values)


MALFORMED = {
    "MiddleMean": [
        ({}, {"factor": 3}, "factor 3 is not even"),
        ({}, {"factor": 0}, "factor 0 is not even"),
        ({}, {"factor": 8}, "factor 8 .* does not divide 12 and 44"),
        ({"x": (5, 12, 44)}, {}, "x .* expected rank 4"),
    ],
    "UpsampleDecide": [
        ({"shares": (1, 4, 12, 40)}, {}, "shares .* expected 5 in axis 1 .the classes"),
        ({"shares": (5, 12, 40)}, {}, "shares .* expected rank 4"),
        ({"shares": (1, 5, 0, 40)}, {}, "shares .* is empty"),
        ({}, {"classes": 0}, "classes 0 do not fit a byte"),
        ({}, {"classes": 257}, "classes 257 do not fit a byte"),
    ],
    "QInvertedResidual": [
        ({"expand_weight": (96, 23)}, {}, "expand_weight .* expected 24 in axis 1 .the channels of x"),
        ({"expand_step": (95,)}, {}, "expand_step .* expected 96"),
        ({"x_step": (1,)}, {}, "x_step .* expected 2 in axis 0 .a step and a zero"),
        ({"depth_weight": (96, 4, 4)}, {}, "depth_weight has a window of 4, expected 3 or 5"),
        ({"depth_weight": (96, 3, 5)}, {}, "depth_weight .* expected 3 in axis 2 .a square window"),
        ({"project_weight": (24, 95)}, {}, "project_weight .* expected 96 in axis 1"),
        ({"addend": (1, 13, 17, 24)}, {}, "addend .* expected 18 in axis 2 .the output, or 1 in every axis"),
        ({"limits": (3,)}, {}, "limits .* expected 4"),
        ({}, {"stride": 3}, "stride 3 is neither 1 nor 2"),
        ({}, {"offset": 1}, "offset 1 is not below the stride"),
        ({}, {"channels": 95}, "channels 95 are not the 96 of depth_weight"),
        ({"x": (1, 0, 18, 24)}, {}, "x .* is empty"),
    ],
    "QSeparableConv": [
        ({"x": (1, 13, 18, 95)}, {}, "depth_weight .* expected 95 in axis 0 .the channels of x"),
        ({"hidden_step": (3,)}, {}, "hidden_step .* expected 2"),
        ({"project_bias": (23,)}, {}, "project_bias .* expected 24 in axis 0 .the rows of project_weight"),
    ],
    "MaskedAttention": [
        ({"mask_logits": (2, 20, 191)}, {}, r"mask_logits has shape \[2,20,191\], expected 192 in axis 2"),
        ({"value": (2, 192, 32)}, {}, "value has shape .* expected 64"),
        ({"query": (20, 64)}, {}, "query .* expected rank 3"),
        ({"key": (2, 0, 64)}, {}, "key .* is empty"),
        ({}, {"num_heads": 7}, "num_heads 7 does not divide"),
        ({}, {"num_heads": 0}, "num_heads 0 does not divide"),
    ],
    "BilateralKernel": [
        ({}, {"radius": 16}, "radius 16 does not fit an image of 16x24"),
        ({}, {"radius": 0}, "radius 0 does not fit"),
        ({}, {"radius": -3}, "radius -3 does not fit"),
        ({"spatial": (120,)}, {}, "spatial .* expected 121"),
        ({"temperature": (2,)}, {}, "temperature .* expected 1"),
    ],
    "AdaptiveUpsample": [
        ({}, {"radius": 16}, "radius 16 does not fit an image of 16x24"),
        ({"kernel": (1, 16, 23, 121)}, {}, "kernel .* expected 24 in axis 2 .twice the width"),
        ({"kernel": (1, 16, 24, 120)}, {}, "kernel .* expected 121 in axis 3"),
        ({"features": (8, 12, 64)}, {}, "features .* expected rank 4"),
    ],
    "AdaptiveUpsampleClassify": [
        ({"bias": (63,)}, {}, "bias .* expected 64"),
        ({"text": (16, 63)}, {}, "text .* expected 64"),
        ({"text": (0, 64)}, {}, "text .* is empty"),
        ({}, {"radius": 2**40}, "radius .* does not fit"),
    ],
    "MSDeformAttn": [
        ({"attention_weights": (1, 40, 8, 3, 3)}, {}, "attention_weights .* expected 4 in axis 4"),
        ({"sampling_locations": (1, 40, 7, 3, 4, 2)}, {}, "sampling_locations .* expected 8 in axis 2"),
        ({"value": (1, 100, 8, 32)}, {}, "level 0, 10x14 from pixel 0, does not lie in the 100 pixels"),
    ],
    "Conv3x3Relu": [
        ({"weight": (40, 23, 3, 3)}, {}, "weight .* expected 24 in axis 1 .the channels of x"),
        ({"weight": (40, 24, 3, 5)}, {}, "weight .* expected 3 in axis 3"),
        ({"addend": (1, 39, 1, 1)}, {}, "addend .* expected 40 in axis 1"),
        ({"addend": (2, 40, 1, 1)}, {}, "addend .* expected 1 in axis 0"),
        ({"addend": (1, 40, 8, 11)}, {}, "addend .* expected 12 in axis 3 .1, or the width"),
        ({"x": (1, 24, 0, 12)}, {}, "x .* is empty"),
    ],
    "SelfAttention": [
        ({"weight": (64, 128)}, {}, "weight .* expected 192 in axis 1 .three times the channels of x"),
        ({"addend": (48, 192)}, {}, "addend .* expected 49 in axis 0 .1, or the positions"),
        ({"out_weight": (63, 64)}, {}, "out_weight .* expected 64 in axis 0"),
        ({"out_norm_bias": (65,)}, {}, "out_norm_bias .* expected 64"),
        ({}, {"num_heads": 7}, "num_heads 7 does not divide"),
        ({}, {"num_heads": 0}, "num_heads 0 does not divide"),
    ],
    "CrossAttention": [
        ({"position": (48, 64)}, {}, "position .* expected 49 in axis 0"),
        ({"keys": (1, 68, 63)}, {}, "keys .* expected 64 in axis 2"),
        ({"scores": (1, 67)}, {}, "scores .* expected 68 in axis 1 .the number of keys"),
        ({"values": (2, 68, 64)}, {}, "values .* expected 1 in axis 0 .the batch of x"),
        ({}, {"num_heads": 3}, "num_heads 3 does not divide the 68 keys"),
        ({}, {"num_heads": 0}, "num_heads 0 does not divide"),
    ],
    "FeedForward": [
        ({"weight1": (23, 96)}, {}, "weight1 .* expected 24 in axis 0 .the channels of x"),
        ({"weight2": (95, 24)}, {}, "weight2 .* expected 96 in axis 0 .the columns of weight1"),
        ({"inner_bias": (24,)}, {}, "inner_bias .* expected 96 in axis 0"),
        ({"bias2": (1, 24)}, {}, "bias2 .* expected rank 1"),
    ],
    "UpsampleConv3x3Relu": [
        ({"addend": (1, 40, 8, 12)}, {}, "addend .* expected 16 in axis 2 .1, or the height"),
    ],
    "PixelMLP": [
        ({"weight1": (49, 48)}, {}, "weight1 .* expected 49 in axis 1 .the channels of x"),
        ({"bias1": (48,)}, {}, "bias1 .* expected 49"),
        ({"weight2": (49, 48)}, {}, "weight2 .* expected 49 in axis 1"),
        ({"bias2": (1,)}, {}, "bias2 .* expected 49"),
        ({"x": (12, 19, 49)}, {}, "x .* expected rank 4"),
    ],
    "FixupKernel": [
        ({"weight1": (49, 49)}, {}, "weight1 .* expected 52 in axis 1 .the window and the guidance"),
        ({"guidance": (1, 12, 18, 3)}, {}, "guidance .* expected 19 in axis 2"),
        ({"weight2": (48, 49), "bias2": (48,)}, {}, "weight2 .* expected 49 in axis 0 .the window of kernel"),
        ({"kernel": (1, 0, 19, 49)}, {}, "kernel .* is empty"),
    ],
}


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "message"),
    [(op, *row) for op, rows in MALFORMED.items() for row in rows],
    ids=lambda x: x if isinstance(x, str) and x in OPS else "",
)
def test_malformed_inputs_are_errors_that_name_the_operator(op, shapes, attributes, message):
    case = cases(op)[0]
    inputs = {k: np.ones(shapes[k], np.float32) if k in shapes else v for k, v in case.inputs().items()}
    with pytest.raises(Exception, match=rf"{op}: .*{message}"):
        run_any_shape(case, inputs, attributes)


@pytest.mark.parametrize("shapes", [[[2**62, 4]], [[-1, 5]], [[10**10, 10**10]], [[0, 3]]])
def test_level_shapes_that_lie_are_refused(shapes):
    case = next(c for c in cases("MSDeformAttn") if c.name == "one_of_each")
    with pytest.raises(Exception, match=r"MSDeformAttn: level 0"):
        run(case, inputs={**case.inputs(), "spatial_shapes": np.array(shapes, np.int64)})


@pytest.mark.parametrize("op", OPS)
def test_nan_and_infinity_pass_through_without_a_crash(op):
    case = cases(op)[1]
    for bad in (np.nan, np.inf):
        inputs = {k: np.full_like(v, bad) if v.dtype == np.float32 else v for k, v in case.inputs().items()}
        run(case, inputs=inputs)


@pytest.mark.parametrize("op", ["Conv3x3Relu", "UpsampleConv3x3Relu"])
def test_constant_weights_are_prepared_once_and_for_every_size(op, isa):
    case = cases(op)[0]
    model = onnx.load_from_string(single_op_model(case, body=False))
    inputs = case.inputs()
    for name in ("weight", "addend"):
        model.graph.initializer.append(onnx.numpy_helper.from_array(inputs.pop(name), name))
        model.graph.input.remove(next(i for i in model.graph.input if i.name == name))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    made = session(model.SerializeToString())
    once, other, again = (made.run(None, {"x": x})[0] for x in (inputs["x"], inputs["x"][..., :5, :7], inputs["x"]))
    assert relative_error(once, expected(case)) <= TOLERANCE["float32"]
    assert np.array_equal(once, again)
    smaller = dict(case.inputs(), x=np.ascontiguousarray(inputs["x"][..., :5, :7]))
    assert np.array_equal(other, run_any_shape(case, smaller, {})[0])


@pytest.mark.parametrize(
    ("op", "constants"),
    [
        ("SelfAttention", ("weight", "out_weight")),
        ("FeedForward", ("weight1", "weight2")),
        (
            "QSeparableConv",
            ("depth_weight", "depth_bias", "hidden_step", "project_weight", "project_step", "project_bias"),
        ),
    ],
)
def test_constant_matrices_are_packed_once(op, constants, isa):
    case = cases(op)[1]
    model = onnx.load_from_string(single_op_model(case, body=False))
    inputs = case.inputs()
    other = dict(inputs, x=-inputs["x"])
    for name in constants:
        model.graph.initializer.append(onnx.numpy_helper.from_array(inputs[name], name))
        model.graph.input.remove(next(i for i in model.graph.input if i.name == name))
    made = session(model.SerializeToString())
    for given in (inputs, other, inputs):
        live = {name: value for name, value in given.items() if name not in constants}
        assert np.array_equal(made.run(None, live)[0], run(case, inputs=given))


def run_any_shape(case, inputs, attributes):
    """Run with inputs whose shapes the table would not make."""
    model = onnx.load_from_string(single_op_model(case, body=False))
    for value in model.graph.input:
        value.type.tensor_type.ClearField("shape")
    for attribute in model.graph.node[0].attribute:
        attribute.i = attributes.get(attribute.name, attribute.i)
    return session(model.SerializeToString()).run(None, inputs)


def test_a_missing_attribute_is_an_error_that_names_the_operator():
    model = onnx.load_from_string(single_op_model(cases("BilateralKernel")[0], body=False))
    del model.graph.node[0].attribute[:]
    with pytest.raises(Exception, match="BilateralKernel: attribute radius is missing"):
        session(model.SerializeToString())


def test_a_runtime_older_than_our_declarations_is_refused_with_the_reason():
    said = []
    create_status = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)(
        lambda code, message: said.append(message.decode()) or 1
    )
    table = (ctypes.c_void_p * 1)(ctypes.cast(create_status, ctypes.c_void_p))
    get_api = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(
        lambda version: ctypes.addressof(table) if version < 16 else None
    )
    name = ctypes.create_string_buffer(b"1.15.1")
    get_version = ctypes.CFUNCTYPE(ctypes.c_void_p)(lambda: ctypes.addressof(name))
    base = (ctypes.c_void_p * 2)(*(ctypes.cast(f, ctypes.c_void_p) for f in (get_api, get_version)))
    register = ctypes.CDLL(str(LIBRARY)).RegisterCustomOps
    register.restype = ctypes.c_void_p
    assert register(None, base) == 1
    assert said == ["rsseg: the operators need ONNX Runtime 1.16 or later, this is 1.15.1"]

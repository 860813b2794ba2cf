import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

from rsseg_edge.bench.operations import count_operations  # noqa: E402
from rsseg_edge.bench.roofline import find_board, peak, predict  # noqa: E402
from rsseg_edge.bundle import open_bundle  # noqa: E402
from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.export.precision import to_fp16  # noqa: E402
from rsseg_edge.kernels.cases import cases  # noqa: E402
from rsseg_edge.kernels.registry import OPS  # noqa: E402
from rsseg_edge.kernels.single_op import single_op_model  # noqa: E402
from rsseg_edge.kernels.work import launches  # noqa: E402


def convolution() -> bytes:
    """A 3x3 convolution from 4 to 8 channels, one after it by channel, and a product with a matrix."""
    weights = [
        helper.make_tensor("w", TensorProto.FLOAT, [8, 4, 3, 3], [0.1] * 288),
        helper.make_tensor("d", TensorProto.FLOAT, [8, 1, 3, 3], [0.1] * 72),
        helper.make_tensor("m", TensorProto.FLOAT, [8, 5], [0.1] * 40),
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="dense", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "d"], ["b"], name="deep", pads=[1, 1, 1, 1], group=8),
        helper.make_node("ReduceMean", ["b", "axes"], ["c"], name="mean", keepdims=0),
        helper.make_node("MatMul", ["c", "m"], ["y"], name="product"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 4, "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 5])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def test_operations_and_bytes_are_those_of_the_arithmetic():
    found = {op.name: op for op in count_operations(convolution(), {"x": (2, 4, 6, 10)})}
    pixels = 2 * 6 * 10
    dense, deep, product = found["dense"], found["deep"], found["product"]
    assert dense.flops == 2 * pixels * 8 * 4 * 9
    assert dense.bytes == 4 * (pixels * 4 + 288 + pixels * 8)
    assert {op.width for op in found.values()} == {4}
    assert deep.flops == 2 * pixels * 8 * 9
    assert (dense.matrix, deep.matrix, product.matrix) == (True, False, True)
    assert product.flops == 2 * 2 * 8 * 5


def test_an_input_without_a_shape_is_named():
    with pytest.raises(UsageError, match="input 'x'"):
        count_operations(convolution(), {})


def test_a_board_bounds_an_operation_by_the_slower_of_arithmetic_and_memory():
    board = find_board("orin nano")
    found = predict(count_operations(convolution(), {"x": (1, 4, 512, 512)}), board)
    for operation, seconds in zip(found.operations, found.seconds, strict=True):
        assert seconds == max(
            operation.flops / peak(board, operation.matrix, operation.width), operation.bytes / (board.bandwidth * 1e9)
        )
    assert found.fused < found.total == sum(found.seconds)
    assert predict(found.operations, find_board("h100")).total < found.total / 20


def test_a_graph_in_fp16_is_counted_in_its_own_types_and_without_casts():
    shapes = {"x": (1, 4, 64, 64)}
    before = count_operations(convolution(), shapes)
    half = to_fp16(onnx.load_from_string(convolution()), ["product"]).SerializeToString()
    found = {op.name: op for op in count_operations(half, shapes)}
    for operation in before[:2]:
        assert (found[operation.name].width, operation.width) == (2, 4)
        assert found[operation.name].flops == operation.flops
    assert found["deep"].bytes == before[1].bytes / 2
    assert found["dense"].bytes == 64 * 64 * (4 * 4 + 8 * 2) + 288 * 2  # the graph's input is float32
    assert found["product"].width == 4  # it was kept
    assert len(found) <= len(before) + 1
    board = find_board("orin nano")
    assert peak(board, True, 2) == 10e12
    assert peak(board, True, 4) == peak(board, False, 2) == 1.28e12


def test_between_quantised_operations_bytes_move():
    weights = [
        helper.make_tensor("w", TensorProto.INT8, [8, 4, 1, 1], [1] * 32),
        helper.make_tensor("v", TensorProto.INT8, [8, 8, 1, 1], [1] * 64),
        helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]),
        helper.make_tensor("z", TensorProto.INT8, [], [0]),
    ]
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        node("DequantizeLinear", ["w", "s", "z"], ["wd"]),
        node("Conv", ["xd", "wd"], ["a"], name="first"),
        node("QuantizeLinear", ["a", "s", "z"], ["aq"]),
        node("DequantizeLinear", ["aq", "s", "z"], ["ad"]),
        node("DequantizeLinear", ["v", "s", "z"], ["vd"]),
        node("Conv", ["ad", "vd"], ["y"], name="second"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, "H", "W"])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    found = {op.name: op for op in count_operations(model, {"x": (1, 4, 6, 10)}) if op.kind == "Conv"}
    assert found["first"].bytes == 60 * 4 + 32 + 60 * 8
    assert found["second"].bytes == 60 * 8 + 64 + 4 * 60 * 8
    assert {op.width for op in found.values()} == {1}
    assert peak(find_board("orin nano"), True, 1) == 20e12


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_operator_of_ours_counts_by_what_its_plugin_launches(op: str, dtype: str):
    case = cases(op)[0]
    inputs = case.inputs(dtype)
    shapes = {name: value.shape for name, value in inputs.items()}
    found = count_operations(single_op_model(case, dtype), shapes)
    wanted = launches(op, list(shapes.values()), **({} if OPS[op].codes or OPS[op].rewritten else case.attributes))
    if not wanted:  # a body of convolutions, matrix products or resizes, which TensorRT has
        assert {"Conv", "Gemm", "MatMul", *(("Resize", "Slice") if OPS[op].rewritten else ())} & {o.kind for o in found}
        return
    width = 4 if dtype == "float32" or op == "MSDeformAttn" else 2
    assert [(o.kind, o.flops, o.bytes) for o in found if o.kind in wanted] == [
        (name, work.flops, work.elements * width) for name, work in wanted.items()
    ]
    assert {o.kind for o in found} <= {*wanted, "Cast"}  # nothing of the body


@pytest.mark.parametrize("name", ["segclip-tiny", "segearth-ov-tiny"])
def test_the_graphs_that_ship_are_counted_whole(name: str):
    bundle = open_bundle(name)
    shapes = {"image": (1, 224, 384, 3)} if name == "segclip-tiny" else {"crops": (2, 320, 320, 3), "text": (5, 384)}
    found = count_operations(bundle.read("model.onnx"), shapes)
    kinds = {operation.kind for operation in found}
    assert kinds & {kernel for op in OPS if (kernel := f"{OPS[op].room}_kernel")}
    width = 2 if bundle.manifest.precision.name == "fp16" else 4
    convolutions = [o for o in found if o.kind == "Conv" and o.matrix]
    assert {o.width for o in convolutions} == {width}
    weights = sum(o.bytes for o in convolutions)
    assert weights > 0
    assert 0.5e9 < sum(o.flops for o in found) < 100e9


@pytest.mark.parametrize(("name", "reason"), [("orin", "more than one board"), ("abacus", "no board")])
def test_a_board_that_is_not_one_is_refused_with_those_that_are(name: str, reason: str):
    with pytest.raises(UsageError, match=rf"{reason}.*Orin Nano.*H100"):
        find_board(name)

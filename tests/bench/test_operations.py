import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

from rsseg_edge.bench.operations import count_operations  # noqa: E402
from rsseg_edge.bench.roofline import find_board, peak, predict  # noqa: E402
from rsseg_edge.errors import UsageError  # noqa: E402


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
    assert dense.bytes == 2 * (pixels * 4 + 288 + pixels * 8)
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
            operation.flops / peak(board, operation.matrix), operation.bytes / (board.bandwidth * 1e9)
        )
    assert found.fused < found.total == sum(found.seconds)
    assert predict(found.operations, find_board("h100")).total < found.total / 20


@pytest.mark.parametrize(("name", "reason"), [("orin", "more than one board"), ("abacus", "no board")])
def test_a_board_that_is_not_one_is_refused_with_those_that_are(name: str, reason: str):
    with pytest.raises(UsageError, match=rf"{reason}.*Orin Nano.*H100"):
        find_board(name)

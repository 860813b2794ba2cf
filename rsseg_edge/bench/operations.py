"""What a graph computes and moves, operation by operation: the model's side of a roofline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rsseg_edge.errors import RssegError, UsageError

_FREE = {"Reshape", "Identity", "Flatten", "Squeeze", "Unsqueeze", "Shape", "Constant", "ConstantOfShape", "Dropout"}
_FUSED = {"Clip", "Relu"}
"""Applied to a value before it is written, by every runtime: nothing more moves."""
_COSTLY = {"Erf": 8, "Exp": 8, "Gelu": 12, "Log": 8, "Sigmoid": 10, "Softmax": 12, "Tanh": 10}
"""Operations of a value, where it takes more than one: the polynomial of an exponential and a division or two."""


@dataclass(frozen=True)
class Operation:
    """One node of a graph at given sizes.

    Attributes:
        name: of the node.
        kind: operator, for instance "Conv".
        flops: floating-point operations; a multiply-add counts two.
        bytes: of its inputs, weights and outputs, each moved once, floats in half precision whatever the graph has.
        matrix: whether it is a product of matrices, which tensor cores compute.
    """

    name: str
    kind: str
    flops: float
    bytes: float
    matrix: bool

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return self.flops / max(self.bytes, 1.0)


def count_operations(model: bytes, shapes: Mapping[str, Sequence[int]]) -> list[Operation]:
    """Count what an ONNX model does for inputs of given shapes; our own operators count by their bodies.

    Args:
        model: the serialised model.
        shapes: of the graph's inputs, by name.

    Raises:
        UsageError: ``onnx`` is not installed, or an input's shape is not given.
        RssegError: a tensor's shape does not follow from those of the inputs.
    """
    try:
        import onnx
        import onnx.inliner
    except ImportError:
        raise UsageError("--roofline reads the graph with onnx: pip install 'rsseg-edge[export]'") from None
    from rsseg_edge.engines.onnxruntime import folded

    proto = onnx.inliner.inline_local_functions(onnx.load_model_from_string(model))
    for value in proto.graph.input:
        if value.name not in shapes:
            raise UsageError(f"no shape is given for the graph's input '{value.name}'")
        for dim, side in zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True):
            dim.dim_value = side
    del proto.graph.value_info[:]
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    # Shapes that the graph computes from its inputs' are constants now; ONNX Runtime folds them.
    folded_model = onnx.load_model_from_string(folded(proto.SerializeToString()))
    proto = onnx.shape_inference.infer_shapes(folded_model, data_prop=True)
    tensors = _tensors(proto)
    constants = {t.name for t in proto.graph.initializer}
    return [_count(node, tensors, constants) for node in proto.graph.node if node.op_type not in _FREE]


def _size(kind: int) -> int:
    """Bytes that a value of an ONNX type takes on a GPU that runs the graph in half precision."""
    from onnx import helper

    dtype = helper.tensor_dtype_to_np_dtype(kind)
    return min(dtype.itemsize, 2) if dtype.kind == "f" else int(dtype.itemsize)


def _tensors(proto: Any) -> dict[str, tuple[tuple[int, ...], int]]:
    """Shape and bytes a value of every tensor."""
    found = {t.name: (tuple(t.dims), _size(t.data_type)) for t in proto.graph.initializer}
    graph = proto.graph
    for value in [*graph.input, *graph.value_info, *graph.output]:
        kind = value.type.tensor_type
        if all(dim.HasField("dim_value") for dim in kind.shape.dim) and kind.HasField("shape"):
            size = _size(kind.elem_type)
            found[value.name] = (tuple(dim.dim_value for dim in kind.shape.dim), size)
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    size = _size(attribute.t.data_type)
                    found[node.output[0]] = (tuple(attribute.t.dims), size)
    return found


def _count(node: Any, tensors: Mapping[str, tuple[tuple[int, ...], int]], constants: set[str]) -> Operation:
    def size(names: Iterable[str]) -> float:
        return float(sum(math.prod(tensors[n][0]) * tensors[n][1] for n in names if n in tensors))

    outputs = [n for n in node.output if n]
    if any(n not in tensors for n in outputs):
        raise RssegError(f"node {node.name} ({node.op_type}): the shape of its output does not follow from the inputs'")
    values = sum(math.prod(tensors[n][0]) for n in outputs)
    moved = size(node.input) + size(outputs)
    if node.op_type in ("Gather", "Slice", "Split", "GatherElements"):
        moved = 2 * size(outputs)  # what is left in place is not read
    kind = node.op_type
    if kind in _FUSED:
        moved = 0.0
    if kind == "Conv":
        weight = tensors[node.input[1]][0]
        return Operation(node.name, kind, 2.0 * values * math.prod(weight[1:]), moved, weight[1] > 1)
    if kind == "ConvTranspose":
        weight = tensors[node.input[1]][0]
        given = math.prod(tensors[node.input[0]][0])
        return Operation(node.name, kind, 2.0 * given * math.prod(weight[1:]), moved, True)
    if kind in ("MatMul", "Gemm"):
        left = tensors[node.input[0]][0]
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return Operation(node.name, kind, 2.0 * values * (left[0] if transposed else left[-1]), moved, True)
    if kind.startswith("Reduce") or kind in ("LayerNormalization", "ArgMax", "GlobalAveragePool"):
        given = math.prod(tensors[node.input[0]][0])
        return Operation(node.name, kind, float(given) * (8 if kind == "LayerNormalization" else 1), moved, False)
    if kind in ("Transpose", "Concat", "Cast", "Expand", "Pad", "Gather", "Slice", "Split", "Where", "Tile"):
        return Operation(node.name, kind, 0.0, moved, False)
    return Operation(node.name, kind, float(values) * _COSTLY.get(kind, 1), moved, False)

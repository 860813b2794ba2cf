"""What a graph computes and moves, operation by operation: the model's side of a roofline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rsseg_edge.engines.halves import widen_halves
from rsseg_edge.engines.onnxruntime import folded
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.kernels.registry import DOMAIN, OPS
from rsseg_edge.kernels.work import launches

_FREE = {"Reshape", "Identity", "Flatten", "Squeeze", "Unsqueeze", "Shape", "Constant", "ConstantOfShape", "Dropout"}
_FUSED = {"Clip", "Relu", "QuantizeLinear", "DequantizeLinear"}
"""Applied to a value before it is written or after it is read, by every runtime: nothing more moves."""
_COSTLY = {"Erf": 8, "Exp": 8, "Gelu": 12, "Log": 8, "Sigmoid": 10, "Softmax": 12, "Tanh": 10}
"""Operations of a value, where it takes more than one: the polynomial of an exponential and a division or two."""

_PLUGINS = {name for name, op in OPS.items() if op.triton} | {"MSDeformAttn"}
"""Operators of ours that are no bodies in an engine: plugins of ours, and one of TensorRT's."""


@dataclass(frozen=True)
class Operation:
    """One node of a graph at given sizes, or one launch of an operator of ours.

    Attributes:
        name: of the node.
        kind: operator, for instance "Conv", or kernel.
        flops: floating-point operations; a multiply-add counts two.
        bytes: of its inputs, weights and outputs, each moved once, in the types that the graph has.
        matrix: whether it is a product of matrices, which tensor cores compute.
        width: bytes of a factor of it: 4, 2 or 1.
    """

    name: str
    kind: str
    flops: float
    bytes: float
    matrix: bool
    width: int

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return self.flops / max(self.bytes, 1.0)


def count_operations(model: bytes, shapes: Mapping[str, Sequence[int]]) -> list[Operation]:
    """Count what a GPU does in an ONNX model for inputs of given shapes.

    Our own operators count by the launches of their plugins, those that have none by their bodies.

    Args:
        model: the serialised model.
        shapes: of the graph's inputs, by name.

    Raises:
        UsageError: ``onnx`` is not installed, or an input's shape is not given.
        RssegError: a tensor's shape does not follow from those of the inputs.
    """
    try:
        import onnx
    except ImportError:
        raise UsageError("--roofline reads the graph with onnx: pip install 'rsseg-edge[export]'") from None

    stored = onnx.load_model_from_string(model)
    for value in stored.graph.input:
        if value.name not in shapes:
            raise UsageError(f"no shape is given for the graph's input '{value.name}'")
    calls = [node for node in stored.graph.node if node.domain == DOMAIN and node.op_type in _PLUGINS]
    # In float32: around operations in float16, which a processor does not have, ONNX Runtime would put casts.
    proto = _folded(onnx.load_model_from_string(widen_halves(model)), shapes, calls)
    tensors = _tensors((*stored.graph.initializer, *proto.graph.initializer), proto.graph, _types(stored))
    made_by = {name: node for node in proto.graph.node for name in node.output if name}
    whole: dict[str, Any] = {}  # of a body's nodes, the call that stands for it
    for call in calls:
        waiting = list(call.output)
        while waiting:
            node = made_by.get(waiting.pop())
            if node is not None and node.output[0] not in whole:
                whole[node.output[0]] = call
                waiting += [name for name in node.input if name not in call.input]
    found: list[Operation] = []
    for node in proto.graph.node:
        call = whole.get(node.output[0])
        if call is None and node.op_type not in _FREE:
            found.append(_count(node, tensors))
        elif call is not None and node.output[0] == call.output[0]:
            found += _launched(call, tensors)
    return found


def _folded(model: Any, shapes: Mapping[str, Sequence[int]], calls: Sequence[Any]) -> Any:
    """The model with bodies for calls, its shapes those of the inputs, and all that follows from constants computed."""
    import onnx
    import onnx.inliner

    proto = onnx.inliner.inline_local_functions(model)
    graph = proto.graph
    for value in graph.input:
        for dim, side in zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True):
            dim.dim_value = side
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    # What goes into a call and comes out of it keeps its name as an output.
    kept = dict.fromkeys(name for call in calls for name in (*call.input, *call.output) if name)
    known = {v.name for v in (*graph.input, *graph.output, *graph.initializer)}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in kept if name not in known)
    # Shapes that the graph computes from its inputs' are constants now; ONNX Runtime folds them.
    folded_model = onnx.load_model_from_string(folded(proto.SerializeToString()))
    return onnx.shape_inference.infer_shapes(folded_model, data_prop=True)


@dataclass(frozen=True)
class _Tensor:
    """Shape, bytes that a value of it moves, and bytes of the type that it is computed in."""

    shape: tuple[int, ...]
    moved: int
    width: int

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.moved


def _types(stored: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes of a value of every tensor of the graph as it is stored, and those that move where it is quantised."""
    import onnx
    import onnx.inliner
    from onnx import TensorProto, helper

    proto = onnx.inliner.inline_local_functions(stored)
    del proto.graph.value_info[:]  # of one that was converted they may be those of before
    typed = onnx.shape_inference.infer_shapes(proto).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*typed.input, *typed.value_info, *typed.output)}
    kinds |= {t.name: t.data_type for t in typed.initializer}
    widths = {name: int(helper.tensor_dtype_to_np_dtype(kind).itemsize) for name, kind in kinds.items() if kind}
    readers: dict[str, list[Any]] = {}
    for node in typed.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    moved = {}
    for node in typed.node:
        if node.op_type == "DequantizeLinear":
            moved[node.output[0]] = widths.get(node.input[0], 1)
        elif all(reader.op_type == "QuantizeLinear" for reader in readers.get(node.output[0], [node])):
            moved[node.output[0]] = 1
    # What gets its name in folding is in the type of most.
    halves = any(t.data_type == TensorProto.FLOAT16 for t in typed.initializer)
    return {"": 2 if halves else 4, **widths}, moved


def _tensors(
    weights: Iterable[Any], graph: Any, types: tuple[Mapping[str, int], Mapping[str, int]]
) -> dict[str, _Tensor]:
    """Of a folded graph, by name; weights are those of before, too, since a body may have read them in another type."""
    from onnx import helper

    widths, moved = types
    found: dict[str, _Tensor] = {}

    def add(name: str, shape: Iterable[int], kind: int) -> None:
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        width = widths.get(name, widths[""] if dtype.kind == "f" else int(dtype.itemsize))
        found[name] = _Tensor(tuple(shape), moved.get(name, width), width)

    for tensor in weights:
        add(tensor.name, tensor.dims, tensor.data_type)
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            add(value.name, (dim.dim_value for dim in kind.shape.dim), kind.elem_type)
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value":
                add(node.output[0], attribute.t.dims, attribute.t.data_type)
    return found


def _launched(call: Any, tensors: Mapping[str, _Tensor]) -> list[Operation]:
    if any(name not in tensors for name in call.input):
        raise RssegError(f"node {call.name} ({call.op_type}): the shape of an input does not follow from the graph's")
    numbers = {attribute.name: attribute.i for attribute in call.attribute}
    works = launches(call.op_type, [tensors[name].shape for name in call.input], **numbers)
    # TensorRT's plugin of deformable attention is given float32.
    width = 4 if call.op_type == "MSDeformAttn" else tensors[call.output[0]].width
    return [Operation(call.name, k, w.flops, w.elements * width, w.matrix, width) for k, w in works.items()]


def _count(node: Any, tensors: Mapping[str, _Tensor]) -> Operation:
    outputs = [name for name in node.output if name]
    if any(name not in tensors for name in outputs):
        raise RssegError(f"node {node.name} ({node.op_type}): the shape of its output does not follow from the inputs'")
    kind, given = node.op_type, [tensors[name] for name in node.input if name in tensors]
    values = sum(math.prod(tensors[name].shape) for name in outputs)
    written = sum(tensors[name].bytes for name in outputs)
    moved = float(sum(tensor.bytes for tensor in given) + written)
    if kind in ("Gather", "Slice", "Split", "GatherElements"):
        moved = 2.0 * written  # what is left in place is not read
    if kind in _FUSED:
        moved = 0.0
    quantised = len(given) > 1 and all(tensor.moved == 1 for tensor in given[:2])
    width = 1 if quantised else tensors[outputs[0]].width
    flops, matrix = _arithmetic(node, tensors, values)
    return Operation(node.name, kind, flops, moved, matrix, width)


def _arithmetic(node: Any, tensors: Mapping[str, _Tensor], values: int) -> tuple[float, bool]:
    """Floating-point operations of a node that gives so many values, and whether it is a product of matrices."""
    kind = node.op_type
    if kind == "Conv":
        weight = tensors[node.input[1]].shape
        return 2.0 * values * math.prod(weight[1:]), weight[1] > 1
    if kind == "ConvTranspose":
        weight = tensors[node.input[1]].shape
        return 2.0 * math.prod(tensors[node.input[0]].shape) * math.prod(weight[1:]), True
    if kind in ("MatMul", "Gemm"):
        left = tensors[node.input[0]].shape
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return 2.0 * values * (left[0] if transposed else left[-1]), True
    if kind.startswith("Reduce") or kind in ("LayerNormalization", "ArgMax", "GlobalAveragePool"):
        read = math.prod(tensors[node.input[0]].shape)
        return float(read) * (8 if kind == "LayerNormalization" else 1), False
    if kind in ("Transpose", "Concat", "Cast", "Expand", "Pad", "Gather", "Slice", "Split", "Where", "Tile"):
        return 0.0, False
    return float(values) * _COSTLY.get(kind, 1), False

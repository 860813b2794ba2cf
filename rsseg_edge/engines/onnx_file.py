"""What an ONNX file takes and gives, and the file with its free sides fixed; without the package ``onnx``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rsseg_edge.engines import onnx_wire as wire
from rsseg_edge.errors import RssegError
from rsseg_edge.kernels.registry import DOMAIN

DTYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16"}


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a graph.

    Attributes:
        name: as the graph calls it.
        dtype: of its values.
        shape: an integer for a fixed side, a name for a free one.
    """

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Signature:
    """What a graph takes and gives, and which of our operators it calls."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: frozenset[str]

    @property
    def free(self) -> frozenset[str]:
        """Names of the inputs' free sides."""
        return frozenset(side for info in self.inputs for side in info.shape if isinstance(side, str))


def read_signature(model: bytes, name: str = "model") -> Signature:
    """Inputs, outputs and operators of a serialised model.

    Raises:
        RssegError: it is no ONNX model, or has an input or output that is no tensor of a type in :data:`DTYPES`.
    """
    try:
        graph = next(wire.children(memoryview(model), wire.MODEL_GRAPH))
        weights = {wire.text(value, wire.TENSOR_NAME) for value in wire.children(graph, wire.GRAPH_INITIALIZER)}
        inputs = [_tensor_info(value) for value in wire.children(graph, wire.GRAPH_INPUT)]
        outputs = tuple(_tensor_info(value) for value in wire.children(graph, wire.GRAPH_OUTPUT))
        operators = frozenset(_operators(graph))
    except (StopIteration, ValueError, IndexError, KeyError):
        raise RssegError(f"{name}: it is no ONNX model of tensors that this version knows; export it again") from None
    return Signature(tuple(i for i in inputs if i.name not in weights), outputs, operators)


def fix_shapes(model: bytes, shapes: Mapping[str, Sequence[int]]) -> bytes:
    """The model with its inputs fixed to shapes.

    Raises:
        RssegError: an input has another rank, or a side that is fixed to something else.
    """
    for info in read_signature(model).inputs:
        given = tuple(shapes.get(info.name, ()))
        same = len(given) == len(info.shape) and all(
            a == b for a, b in zip(info.shape, given, strict=True) if isinstance(a, int)
        )
        if not same:
            raise RssegError(f"input {info.name} is {shape_text(info.shape)}, not {shape_text(given)}")

    def fixed(value: memoryview) -> bytes:
        info = _tensor_info(value)
        kind = next(number for number, dtype in DTYPES.items() if np.dtype(dtype) == info.dtype)
        sides = b"".join(wire.bytes_field(1, wire.int_field(1, side)) for side in shapes[info.name])
        tensor = wire.int_field(1, kind) + wire.bytes_field(2, sides)
        name = wire.bytes_field(wire.VALUE_NAME, info.name.encode())
        return name + wire.bytes_field(wire.VALUE_TYPE, wire.bytes_field(1, tensor))

    def graph(number: int, value: memoryview) -> bytes | None:
        given = number == wire.GRAPH_INPUT and wire.text(value, wire.VALUE_NAME) in shapes
        return fixed(value) if given else None

    return wire.rewrite(memoryview(model), lambda n, v: wire.rewrite(v, graph) if n == wire.MODEL_GRAPH else None)


def shape_text(shape: Sequence[int | str]) -> str:
    """For instance ``1x288x512x3``; a scalar has none."""
    return "x".join(map(str, shape)) or "a scalar"


def _operators(graph: memoryview) -> Iterator[str]:
    for node in wire.children(graph, wire.GRAPH_NODE):
        if wire.text(node, wire.NODE_DOMAIN) == DOMAIN:
            yield wire.text(node, wire.NODE_TYPE)
        for attribute in wire.children(node, wire.NODE_ATTRIBUTE):
            for inner in wire.children(attribute, wire.ATTRIBUTE_GRAPH):
                yield from _operators(inner)


def _tensor_info(value: memoryview) -> TensorInfo:
    tensor = wire.child(wire.child(value, wire.VALUE_TYPE), 1)
    shape: list[int | str] = []
    for index, dim in enumerate(wire.children(wire.child(tensor, 2), 1)):
        fixed = wire.integers(dim, 1)
        shape.append(fixed[0] if fixed else wire.text(dim, 2) or f"free_{index}")
    (kind,) = wire.integers(tensor, 1)
    return TensorInfo(wire.text(value, wire.VALUE_NAME), np.dtype(DTYPES[kind]), tuple(shape))

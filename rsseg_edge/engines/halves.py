"""A graph in float16 as a processor without half-precision arithmetic runs it: in float32.

ONNX Runtime has hardly any float16 kernels for such a processor. It casts around every operation, and fuses none across
the casts. Widened, the weights keep the values that they were rounded to, and nothing is rounded on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO

import numpy as np
import numpy.typing as npt

from rsseg_edge.engines import onnx_wire as wire

FLOAT16 = 10
# What a message of onnx.proto holds: its kind, by field. Any other field is copied as it stands.
_HOLDS: Mapping[str, Mapping[int, str]] = {
    "model": {wire.MODEL_GRAPH: "graph", wire.MODEL_FUNCTIONS: "function"},
    "graph": {
        wire.GRAPH_NODE: "node",
        wire.GRAPH_INITIALIZER: "tensor",
        wire.GRAPH_INPUT: "value",
        wire.GRAPH_OUTPUT: "value",
        wire.GRAPH_VALUES: "value",
        15: "sparse tensor",
    },
    "function": {wire.FUNCTION_NODE: "node", 11: "attribute", 12: "value"},
    "node": {wire.NODE_ATTRIBUTE: "attribute"},
    "attribute": {
        wire.ATTRIBUTE_TENSOR: "tensor",
        wire.ATTRIBUTE_GRAPH: "graph",
        10: "tensor",
        11: "graph",
        14: "type",
        15: "type",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor"},
    "value": {wire.VALUE_TYPE: "type"},
    "type": {1: "tensor type", 8: "tensor type", 4: "element", 9: "element", 5: "element"},
    "element": {1: "type", 2: "type"},  # of a sequence or an optional value; of a map, whose field 1 is an integer
}
_TYPES = {b"to", b"dtype", b"output_dtype", b"output_datatype", b"stash_type", b"softmax_precision"}
"""Attributes of the standard operators that name the type of a result."""

_SIGNS = tuple(wire.int_field(number, FLOAT16) for number in (wire.TENSOR_TYPE, wire.ATTRIBUTE_INT, 1))
"""One of them is in every message that needs a change; bodies have thousands of nodes that need none."""

Part = bytes | memoryview | npt.NDArray[np.float16]


def widen_halves(model: bytes) -> bytes:
    """The model with float32 in place of float16, weights, results and bodies of functions included.

    The same bytes come back where there is nothing to widen or nothing that may be: where no weight is in float16, the
    model takes or gives float16, its weights lie in other files, or it is none: whoever loads it says what is wrong.
    """
    try:
        if not _is_in_halves(memoryview(model)):
            return model
        parts, _ = _widened(memoryview(model), "model")
    except (ValueError, IndexError):
        return model
    out = BytesIO()  # weights are widened one by one: neither a list of them nor a second copy of all is ever held
    for part in parts:
        out.write(part.astype("<f4").data if isinstance(part, np.ndarray) else part)
    return out.getvalue()


def _is_in_halves(model: memoryview) -> bool:
    graph = wire.child(model, wire.MODEL_GRAPH)
    for where in (wire.GRAPH_INPUT, wire.GRAPH_OUTPUT):
        types = (wire.child(wire.child(value, wire.VALUE_TYPE), 1) for value in wire.children(graph, where))
        if any(wire.integers(kind, 1) == [FLOAT16] for kind in types):
            return False
    weights = wire.children(graph, wire.GRAPH_INITIALIZER)
    return any(wire.integers(tensor, wire.TENSOR_TYPE) == [FLOAT16] for tensor in weights)


def _widened(message: memoryview, kind: str) -> tuple[list[Part], int]:
    """Parts of a message, and how many bytes they will be."""
    if kind == "tensor":
        return _widened_tensor(message)
    if kind in ("function", "node") and not any(sign in bytes(message) for sign in _SIGNS):
        return [message], len(message)
    holds, parts, size = _HOLDS.get(kind, {}), list[Part](), 0
    names_type = kind == "attribute" and bytes(wire.child(message, wire.ATTRIBUTE_NAME)) in _TYPES
    narrow = {"attribute": wire.ATTRIBUTE_INT if names_type else 0, "tensor type": 1}.get(kind, 0)
    for number, value, whole in wire.fields(message):
        new: list[Part] = [whole]
        length = len(whole)
        if isinstance(value, memoryview) and number in holds:
            inner, inside = _widened(value, holds[number])
            head = wire.bytes_head(number, inside)
            new, length = [head, *inner], len(head) + inside
        elif value == FLOAT16 and number == narrow:
            new = [wire.int_field(number, wire.FLOAT)]
        parts += new
        size += length
    return parts, size


def _widened_tensor(tensor: memoryview) -> tuple[list[Part], int]:
    if wire.integers(tensor, wire.TENSOR_TYPE) != [FLOAT16]:
        return [tensor], len(tensor)
    if wire.integers(tensor, wire.TENSOR_LOCATION) not in ([], [0]):
        raise ValueError("its values lie in another file")
    raw = wire.child(tensor, wire.TENSOR_RAW)
    bits = raw if len(raw) else np.array(wire.integers(tensor, wire.TENSOR_INT32S), "<u2").data
    values = np.frombuffer(bits, "<f2")
    beside: list[Part] = [wire.int_field(wire.TENSOR_TYPE, wire.FLOAT), *_beside_values(tensor)]
    beside.append(wire.bytes_head(wire.TENSOR_RAW, 4 * values.size))
    return [*beside, values], sum(map(len, beside)) + 4 * values.size


def _beside_values(tensor: memoryview) -> Iterator[memoryview]:
    """Dimensions, name and whatever else a tensor has."""
    values = (wire.TENSOR_TYPE, wire.TENSOR_INT32S, wire.TENSOR_RAW)
    return (whole for number, _, whole in wire.fields(tensor) if number not in values)

"""The bundle's graph as TensorRT takes it: no bytes inside, our operators as plugins, its own deformable attention.

The bundle keeps one graph for every runtime. What follows is done to a copy in memory when an engine is built.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from rsseg_edge.engines import onnx_wire as wire
from rsseg_edge.kernels.registry import DOMAIN, OPS

DEFORMABLE = "MSDeformAttn"
STOCK_DEFORMABLE = "MultiscaleDeformableAttnPlugin_TRT"
_WIDE = "__wide"
_TO_FLOAT, _TO_INT32, _TO_UINT8 = (wire.int_attribute("to", kind) for kind in (wire.FLOAT, wire.INT32, wire.UINT8))


def widen_bytes(model: bytes) -> bytes:
    """The model with uint8 at its inputs and outputs alone, and float32 in place of it inside.

    TensorRT knows uint8 as a network's input and output only, converted to and from floats. Images and classes are
    whole numbers up to 255, which a float32 holds exactly.
    """
    graph = wire.child(memoryview(model), wire.MODEL_GRAPH)
    inputs = list(_bytes_among(graph, wire.GRAPH_INPUT))
    outputs = list(_bytes_among(graph, wire.GRAPH_OUTPUT))
    renamed = {name: name + _WIDE for name in (*inputs, *outputs)}
    kept = set(_quantised(graph))

    def node(value: memoryview, names: Mapping[str, str]) -> list[bytes]:
        narrows = wire.text(value, wire.NODE_TYPE) == "Cast" and _cast_to(value) == wire.UINT8
        found = wire.rewrite(value, lambda number, part: field(number, part, narrows, names))
        if not narrows:
            return [found]
        # a whole number first, as a cast to uint8 makes it, then a float like all the rest
        name = wire.text(memoryview(found), wire.NODE_OUTPUT)
        whole = wire.rewrite(
            memoryview(found), lambda n, _: (name + "__whole").encode() if n == wire.NODE_OUTPUT else None
        )
        return [whole, wire.node("Cast", [name + "__whole"], name, _TO_FLOAT)]

    def field(number: int, value: memoryview, narrows: bool, names: Mapping[str, str]) -> bytes | None:
        if number in (wire.NODE_INPUT, wire.NODE_OUTPUT):
            new = names.get(bytes(value).decode())
            return None if new is None else new.encode()
        if number == wire.NODE_ATTRIBUTE:
            if narrows:
                return _TO_INT32
            return wire.rewrite(value, lambda n, v: _wide_tensor(v) if n == wire.ATTRIBUTE_TENSOR else None)
        return None

    def part(number: int, value: memoryview) -> bytes | list[bytes] | None:
        if number == wire.GRAPH_NODE:
            return node(value, renamed)
        if number == wire.GRAPH_INITIALIZER and wire.text(value, wire.TENSOR_NAME) not in kept:
            return _wide_tensor(value)
        if number == wire.GRAPH_VALUES and _is_bytes(value):
            return []  # what it says of a tensor inside is no longer so
        return None

    before = b"".join(wire.bytes_field(wire.GRAPH_NODE, wire.node("Cast", [i], renamed[i], _TO_FLOAT)) for i in inputs)
    after = b"".join(wire.bytes_field(wire.GRAPH_NODE, wire.node("Cast", [renamed[o]], o, _TO_UINT8)) for o in outputs)

    def whole(number: int, value: memoryview) -> bytes | None:
        if number == wire.MODEL_GRAPH:
            return before + wire.rewrite(value, part) + after
        if number == wire.MODEL_FUNCTIONS:  # whose names are their own
            return wire.rewrite(value, lambda n, v: node(v, {}) if n == wire.FUNCTION_NODE else None)
        return None

    return wire.rewrite(memoryview(model), whole)


def use_plugins(model: bytes, plugins: Collection[str], *, stock_deformable: str | None = None) -> bytes:
    """The model with some of our operators taken for TensorRT plugins.

    Their nodes get the attributes by which every parser from 10.3 on finds a plugin of our namespace, and their bodies
    go: parsers before 10.7 prefer a body, and those from 10.15 do so unless the node carries the attributes.

    Args:
        model: serialised.
        plugins: operators of ours that have a creator in the registry.
        stock_deformable: version of TensorRT's own plugin for deformable attention, which takes the place of our body
            (several versions of TensorRT build that without a word and compute it wrongly: NVIDIA/TensorRT#4813);
            None leaves the body.
    """
    marks = [wire.text_attribute("plugin_namespace", DOMAIN), wire.text_attribute("plugin_version", "1")]

    def node(value: memoryview) -> bytes:
        ours = wire.text(value, wire.NODE_DOMAIN) == DOMAIN and wire.text(value, wire.NODE_TYPE) in plugins
        changed = wire.rewrite(value, lambda n, v: wire.rewrite(v, attribute) if n == wire.NODE_ATTRIBUTE else None)
        return changed + b"".join(wire.bytes_field(wire.NODE_ATTRIBUTE, m) for m in marks) if ours else changed

    def attribute(number: int, value: memoryview) -> bytes | None:
        return wire.rewrite(value, graph) if number == wire.ATTRIBUTE_GRAPH else None

    def graph(number: int, value: memoryview) -> bytes | None:
        return node(value) if number == wire.GRAPH_NODE else None

    def part(number: int, value: memoryview) -> bytes | list[bytes] | None:
        if number == wire.MODEL_GRAPH:
            return wire.rewrite(value, graph)
        if number == wire.MODEL_FUNCTIONS and wire.text(value, wire.FUNCTION_DOMAIN) == DOMAIN:
            name = wire.text(value, wire.FUNCTION_NAME)
            if name in plugins:
                return []
            if name == DEFORMABLE and stock_deformable is not None:
                return _stock_deformable(stock_deformable)
        return None

    return wire.rewrite(memoryview(model), part)


def _stock_deformable(version: str) -> bytes:
    """Body of deformable attention by TensorRT's plugin, which takes int32 sizes and gives the heads apart.

    Float32 throughout: sampling places in half precision lie whole pixels off in large levels.
    """
    inputs = OPS[DEFORMABLE].input_names
    value, shapes, starts, places, weights = inputs
    plugin = (wire.text_attribute("plugin_version", version), wire.text_attribute("plugin_namespace", ""))
    nodes = [
        wire.node("Cast", [shapes], "shapes32", _TO_INT32),
        wire.node("Cast", [starts], "starts32", _TO_INT32),
        wire.node("Cast", [value], "value32", _TO_FLOAT),
        wire.node("Cast", [places], "places32", _TO_FLOAT),
        wire.node("Cast", [weights], "weights32", _TO_FLOAT),
        wire.node(STOCK_DEFORMABLE, ["value32", "shapes32", "starts32", "places32", "weights32"], "heads", *plugin),
        wire.node("Constant", [], "joined_shape", wire.ints_attribute("value_ints", (0, 0, -1))),
        wire.node("Reshape", ["heads", "joined_shape"], "joined"),
        wire.node("CastLike", ["joined", value], "output"),
    ]
    return (
        wire.bytes_field(wire.FUNCTION_NAME, DEFORMABLE.encode())
        + b"".join(wire.bytes_field(wire.FUNCTION_INPUT, i.encode()) for i in inputs)
        + wire.bytes_field(wire.FUNCTION_OUTPUT, b"output")
        + b"".join(wire.bytes_field(wire.FUNCTION_NODE, n) for n in nodes)
        + wire.bytes_field(wire.FUNCTION_OPSETS, wire.bytes_field(1, b"") + wire.int_field(2, 18))
        + wire.bytes_field(wire.FUNCTION_DOMAIN, DOMAIN.encode())
    )


def _bytes_among(graph: memoryview, where: int) -> Iterator[str]:
    """Names of a graph's inputs or outputs of type uint8."""
    return (wire.text(value, wire.VALUE_NAME) for value in wire.children(graph, where) if _is_bytes(value))


def _is_bytes(value: memoryview) -> bool:
    return wire.integers(wire.child(wire.child(value, wire.VALUE_TYPE), 1), 1) == [wire.UINT8]


def _quantised(graph: memoryview) -> Iterator[str]:
    """Tensors that quantisation reads: their types are its meaning."""
    for node in wire.children(graph, wire.GRAPH_NODE):
        if wire.text(node, wire.NODE_TYPE) in ("QuantizeLinear", "DequantizeLinear"):
            yield from (bytes(name).decode() for name in wire.children(node, wire.NODE_INPUT))


def _cast_to(node: memoryview) -> int:
    for attribute in wire.children(node, wire.NODE_ATTRIBUTE):
        if wire.text(attribute, wire.ATTRIBUTE_NAME) == "to":
            return wire.integers(attribute, wire.ATTRIBUTE_INT)[0]
    return 0


def _wide_tensor(tensor: memoryview) -> bytes | None:
    """A uint8 tensor as float32; None for any other."""
    if wire.integers(tensor, wire.TENSOR_TYPE) != [wire.UINT8]:
        return None
    raw = wire.child(tensor, wire.TENSOR_RAW)
    values = np.frombuffer(raw, np.uint8) if len(raw) else np.array(wire.integers(tensor, wire.TENSOR_INT32S), np.uint8)
    return (
        b"".join(wire.int_field(wire.TENSOR_DIMS, side) for side in wire.integers(tensor, wire.TENSOR_DIMS))
        + wire.int_field(wire.TENSOR_TYPE, wire.FLOAT)
        + wire.bytes_field(wire.TENSOR_NAME, wire.text(tensor, wire.TENSOR_NAME).encode())
        + wire.bytes_field(wire.TENSOR_RAW, values.astype("<f4").tobytes())
    )

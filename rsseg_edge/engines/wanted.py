"""The part of a graph that some of its outputs need.

ONNX Runtime computes every output of a graph, whatever a run asks for: its option to execute only the path to what is
fetched changes nothing on a CPU (1.32).
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

from rsseg_edge.engines import onnx_wire as wire

_GRAPHS = 11  # field of an attribute: a list of graphs


def only_for(model: bytes, outputs: Collection[str]) -> bytes:
    """A model with the nodes and weights that some outputs depend on, and no other output.

    The same bytes come back where that is all of it, where a graph has others inside, whose inputs are not looked for,
    or where it is none: whoever loads it says what is wrong.
    """
    try:
        graph = wire.child(memoryview(model), wire.MODEL_GRAPH)
        nodes = [_Node(content) for content in wire.children(graph, wire.GRAPH_NODE)]
        if any(node.has_graphs for node in nodes):
            return model
        needed, kept = set(outputs), set[int]()
        for index in range(len(nodes) - 1, -1, -1):
            if needed & nodes[index].outputs:
                kept.add(index)
                needed |= nodes[index].inputs
        if len(kept) == len(nodes):
            return model
        place = count()

        def change(number: int, content: memoryview) -> list[bytes] | None:
            if number == wire.GRAPH_NODE:
                return None if next(place) in kept else []
            if number == wire.GRAPH_INITIALIZER:
                return None if wire.text(content, wire.TENSOR_NAME) in needed else []
            if number == wire.GRAPH_OUTPUT:
                return None if wire.text(content, wire.VALUE_NAME) in outputs else []
            return None

        return wire.rewrite(
            memoryview(model),
            lambda number, content: wire.rewrite(content, change) if number == wire.MODEL_GRAPH else None,
        )
    except (ValueError, IndexError):
        return model


class _Node:
    """Names that a node reads and makes."""

    def __init__(self, content: memoryview) -> None:
        self.inputs = {bytes(name).decode() for name in wire.children(content, wire.NODE_INPUT)}
        self.outputs = {bytes(name).decode() for name in wire.children(content, wire.NODE_OUTPUT)} - {""}
        self.has_graphs = any(
            number in (wire.ATTRIBUTE_GRAPH, _GRAPHS) and isinstance(value, memoryview)
            for attribute in wire.children(content, wire.NODE_ATTRIBUTE)
            for number, value, _ in wire.fields(attribute)
        )

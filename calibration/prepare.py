"""A bundle's graph as the rest of this package takes it: in float32, its nodes with names of their own."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.inliner
from onnx import TensorProto, numpy_helper

from rsseg_edge.kernels.registry import DOMAIN, OPS

_BLOCKS = ("SelfAttention", "FeedForward")
"""Operators of ours that are whole blocks of a transformer."""

_INTEGERS = ("QuantizeLinear", *(name for name, op in OPS.items() if op.codes))
"""What stands in a graph that is quantised."""


def prepare(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in float32 whose nodes have names. One in float16 is widened: its weights stay what they were rounded to.

    Raises:
        ValueError: the graph is quantised already.
    """
    # Their bodies are layers like others: what multiplies by weights is quantised on its own.
    made = onnx.inliner.inline_selected_functions(graph, [(DOMAIN, name) for name in _BLOCKS])
    if any(node.op_type in _INTEGERS for node in made.graph.node):
        raise ValueError("it is quantised already")
    names: set[str] = set()
    for i, node in enumerate(made.graph.node):
        if not node.name or node.name in names:
            node.name = f"{node.op_type}_{i}"
        names.add(node.name)
    if any(t.data_type == TensorProto.FLOAT16 for t in made.graph.initializer):
        _widen(made)
    return made


def _widen(model: onnx.ModelProto) -> None:
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    del graph.value_info[:]  # their types would be wrong
    floats = {t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    floats |= {i.name for i in graph.input if i.type.tensor_type.elem_type == TensorProto.FLOAT}
    same: dict[str, str] = {}
    outputs = {o.name for o in graph.output}
    for node in list(graph.node):
        for i, name in enumerate(node.input):
            node.input[i] = same.get(name, name)
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
            if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT16:
                attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float32)))
        to_float = node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT
        if to_float and node.input[0] in floats and node.output[0] not in outputs:
            same[node.output[0]] = node.input[0]
            graph.node.remove(node)
        elif (node.op_type not in _OTHER and all(name in floats or not name for name in node.input[:1])) or to_float:
            floats.update(node.output)


_OTHER = ("Cast", "Shape", "Size", "ArgMax", "ArgMin", "TopK", "Less", "Greater", "Equal", "NonZero", "IsNaN", "IsInf")
"""Operators whose result has another type than their first input."""

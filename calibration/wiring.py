"""Who makes and who reads each tensor of a graph."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx

CLAMPS = ("Relu", "Clip")
"""What runtimes make part of the convolution before it."""

UNBOUND = float(np.finfo(np.float32).max)
"""Where a clamp has no bound."""


class Wiring:
    """Who makes and who reads each tensor of a graph whose nodes have names."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in dict.fromkeys(node.input):
                self.readers.setdefault(name, []).append(node)
        self.outputs = {o.name for o in model.graph.output}

    @cached_property
    def constants(self) -> dict[str, onnx.TensorProto]:
        """Initializers by name."""
        return {tensor.name: tensor for tensor in self.graph.initializer}

    def array(self, name: str) -> npt.NDArray[np.float32]:
        """Values of an initializer."""
        return np.asarray(onnx.numpy_helper.to_array(self.constants[name]))

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """The node that reads a tensor, where it is one and the tensor is no output of the graph."""
        found = self.readers.get(name, [])
        return found[0] if len(found) == 1 and name not in self.outputs else None

    def after_clamp(self, name: str) -> str:
        """The tensor itself, or what the clamp that alone reads it makes of it."""
        reader = self.only_reader(name)
        return str(reader.output[0]) if reader is not None and reader.op_type in CLAMPS else name

    def clamp(self, node: onnx.NodeProto) -> tuple[float, float] | None:
        """Least and greatest value that a clamp gives; None where they are computed."""
        if node.op_type == "Relu":
            return 0.0, UNBOUND
        bounds = [-UNBOUND, UNBOUND]
        for place, name in enumerate(node.input[1:]):
            if name and name not in self.constants:
                return None
            if name:
                bounds[place] = float(self.array(name))
        return bounds[0], bounds[1]


def drop_unread(graph: onnx.GraphProto) -> None:
    """Nodes and constants that nobody reads any more."""
    while True:
        read = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
        unread = [node for node in graph.node if not read & set(node.output)]
        if not unread:
            break
        for node in unread:
            graph.node.remove(node)
    kept = [t for t in graph.initializer if t.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)

"""A PyTorch module as an ONNX graph.

Operators of ours are one node of the domain ``rsseg`` each, with a body in standard operators: a runtime that has our
kernels runs those, any other the body.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from rsseg_edge.kernels.functions import OPSET, attach
from rsseg_edge.kernels.registry import DOMAIN


def trace(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, Any]] | None = None,
) -> onnx.ModelProto:
    """Export in float32, in the opset of the bodies, tidied, with the bodies attached.

    Args:
        module: in evaluation mode.
        example: a value for each input; free dimensions are at least 2 in it.
        inputs: names of ``forward``'s parameters, and of the graph's inputs.
        outputs: names of what it gives.
        dynamic: by input, which of its dimensions are free (``torch.export.Dim``); None fixes all.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        program = torch.onnx.export(
            module,
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=None if dynamic is None else {name: dict(dynamic.get(name, {})) for name in inputs},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = tidy(program.model_proto)
    attach(model)
    return model


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the exporter leaves for its own debugging: it doubles the file and names paths of this machine."""
    del model.metadata_props[:]
    for i, node in enumerate(model.graph.node):
        del node.metadata_props[:]
        node.doc_string = ""
        if node.domain == DOMAIN:  # all of them are "symbolic" to the exporter
            node.name = f"{node.op_type}_{i}"
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    _order_gelu(model.graph)
    _drop_empty_pads(model.graph)
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]  # folding leaves what it folded
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


def _order_gelu(graph: onnx.GraphProto) -> None:
    """x * (0.5 * (1 + erf)) to 0.5 * (x * (1 + erf)): ONNX Runtime makes one node of the second form alone."""
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def only_reader(node: onnx.NodeProto) -> onnx.NodeProto | None:
        found = readers.get(node.output[0], [])
        return found[0] if len(found) == 1 else None

    for erf in graph.node:
        add = only_reader(erf) if erf.op_type == "Erf" else None
        inner = only_reader(add) if add is not None and add.op_type == "Add" else None
        outer = only_reader(inner) if inner is not None and inner.op_type == "Mul" else None
        if add is None or inner is None or outer is None or outer.op_type != "Mul":
            continue
        half = next((i for i, name in enumerate(inner.input) if name != add.output[0]), None)
        root = next((i for i, name in enumerate(outer.input) if name != inner.output[0]), None)
        if half is None or root is None or inner.input[half] in makers:  # the factor is a constant
            continue
        inner.input[half], outer.input[root] = outer.input[root], inner.input[half]


def _drop_empty_pads(graph: onnx.GraphProto) -> None:
    """Padding by nothing, which ONNX Runtime copies."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    same: dict[str, str] = {}
    for node in list(graph.node):
        for i, name in enumerate(node.input):
            node.input[i] = same.get(name, name)
        pads = constants.get(node.input[1]) if node.op_type == "Pad" else None
        if pads is not None and not onnx.numpy_helper.to_array(pads).any():
            same[node.output[0]] = node.input[0]
            graph.node.remove(node)

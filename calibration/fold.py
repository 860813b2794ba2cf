"""The scale of an image's normalisation in the weights of the first convolution, where that stays in float."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rsseg_edge.calibration.wiring import drop_unread

_AFFINE = ("Add", "Sub", "Mul", "Div")


def fold_scale(model: onnx.ModelProto) -> None:
    """Let the first convolution's weights hold the scale of an image's normalisation.

    What is left of (x / 255 - mean) / deviation is one subtraction: zeros that the convolution pads with are zeros of
    both.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        chain: list[onnx.NodeProto] = []
        source = conv.input[0]
        while (node := makers.get(source)) and node.op_type in _AFFINE and node.input[1] in constants:
            chain.append(node)
            source = node.input[0]
        weight = constants.get(conv.input[1])
        if len(chain) < 2 or weight is None or any(a.name == "group" and a.i != 1 for a in conv.attribute):
            continue
        scale, shift = np.ones(weight.shape[1]), np.zeros(weight.shape[1])
        for node in reversed(chain):
            value = constants[node.input[1]].astype(np.float64)
            if value.size > 1 and value.shape not in ((1, len(scale), 1, 1), (len(scale), 1, 1)):
                break
            value = value.reshape(-1)
            if node.op_type in ("Mul", "Div"):
                value = value if node.op_type == "Mul" else 1 / value
                scale, shift = scale * value, shift * value
            else:
                shift = shift + (value if node.op_type == "Add" else -value)
        else:
            between = {name for node in chain for name in node.output}
            readers = [node for node in graph.node if between & set(node.input)]
            if len(readers) > len(chain) or not scale.all():
                continue
            names = [f"{conv.name}/{what}" for what in ("middle", "scaled", "less")]
            middle = (-shift / scale).reshape(1, -1, 1, 1).astype(np.float32)
            scaled = (weight * scale[None, :, None, None]).astype(np.float32)
            for name, value in zip(names, (middle, scaled), strict=False):
                graph.initializer.append(numpy_helper.from_array(value, name))
            graph.node.insert(
                list(graph.node).index(conv), helper.make_node("Sub", [source, names[0]], [names[2]], names[2])
            )
            conv.input[0], conv.input[1] = names[2], names[1]
    drop_unread(graph)

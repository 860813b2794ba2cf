"""Blocks of mobile networks as one operator each on 8-bit codes, for a CPU.

What is between the layers of a block is wider than all else in such networks. The operators keep it in the caches, as
floats around the depthwise convolution; a block reads and gives floats, so that nothing but its products is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from rsseg_edge.calibration.blocks import Block, find_blocks
from rsseg_edge.calibration.clipping import Range
from rsseg_edge.calibration.rounding import Rounding, raise_bias
from rsseg_edge.calibration.steps import step_of, weight_integers
from rsseg_edge.calibration.wiring import Wiring
from rsseg_edge.kernels.functions import attach
from rsseg_edge.kernels.registry import DOMAIN

_LAST, _FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
"""From channels before rows to channels last, and back."""


def fuse(
    model: onnx.ModelProto, chosen: Collection[str], bounds: Mapping[str, Range], roundings: Mapping[str, Rounding]
) -> frozenset[str]:
    """Put operators in the place of the blocks all of whose 1x1 convolutions are chosen.

    Args:
        model: changed.
        chosen: names of convolutions that are to work on integers.
        bounds: of every tensor that these read.
        roundings: of weights, by node; any other becomes the nearest integers.

    Returns:
        Names of the nodes that are gone.

    Raises:
        ValueError: a range is missing or not finite.
    """
    wiring = Wiring(model)
    blocks = [block for block in find_blocks(wiring) if set(block.products) <= set(chosen)]
    if not blocks:
        return frozenset()
    gone = frozenset(name for block in blocks for name in block.nodes)
    nodes = {node.name: node for node in model.graph.node}
    at = {wiring.makers[block.output].name: block for block in blocks}
    last: dict[str, str] = {}  # tensors that there are with channels last
    weights: list[onnx.NodeProto] = []
    ordered: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.name in at:
            block = at[node.name]
            if block.source not in last:
                last[block.source] = f"{block.source}/last"
                ordered.append(
                    helper.make_node("Transpose", [block.source], [last[block.source]], last[block.source], perm=_LAST)
                )
            ordered.append(_operator(block, wiring, nodes, bounds, roundings, last, weights))
            readers = {reader.name for reader in wiring.readers.get(block.output, [])}
            if block.output in wiring.outputs or readers - gone:
                name = f"{block.output}/first"
                ordered.append(helper.make_node("Transpose", [last[block.output]], [block.output], name, perm=_FIRST))
        elif node.name not in gone:
            ordered.append(node)
    del model.graph.node[:]
    model.graph.node.extend([*weights, *ordered])
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    attach(model)
    return gone


def _operator(
    block: Block, wiring: Wiring, nodes: Mapping[str, onnx.NodeProto], bounds: Mapping[str, Range],
    roundings: Mapping[str, Rounding], last: dict[str, str], weights: list[onnx.NodeProto],
) -> onnx.NodeProto:  # fmt: skip
    graph, base = wiring.graph, block.project

    def constant(what: str, value: npt.NDArray[np.float32]) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), f"{base}/{what}"))
        return f"{base}/{what}"

    def steps(what: str, tensor: str) -> str:
        if tensor not in bounds:
            raise ValueError(f"no range of {tensor}")
        step = step_of(bounds[tensor], "cpu")
        return constant(what, np.array([step.scale, step.zero], np.float32))

    def layer(what: str, node: onnx.NodeProto) -> list[str]:
        if node.name in roundings:
            raise_bias(wiring, node, roundings[node.name])
            integers, scale = roundings[node.name].integers, roundings[node.name].steps
        else:
            integers, scale = weight_integers(wiring.array(node.input[1]), 0)
        integers = integers[:, :, 0, 0]
        name = f"{base}/{what}"
        graph.initializer.append(numpy_helper.from_array(integers, f"{name}_integers"))
        step = constant(f"{what}_step", scale)
        column = constant(f"{what}_column", scale[:, None])
        # A quarter of the file; ONNX Runtime computes it once, when it loads the graph.
        weights.append(helper.make_node("Cast", [f"{name}_integers"], [f"{name}_floats"], f"{name}_floats", to=1))
        weights.append(helper.make_node("Mul", [f"{name}_floats", column], [f"{name}_weight"], f"{name}_weight"))
        return [f"{name}_weight", step, _bias(node, constant, f"{what}_bias", len(integers))]

    depth = nodes[block.depth]
    taps = wiring.array(depth.input[1])
    inputs = [last[block.source]]
    if block.expand is not None:
        inputs += [steps("x_step", block.source), *layer("expand", nodes[block.expand])]
    inputs += [constant("depth_weight", taps[:, 0]), _bias(depth, constant, "depth_bias", len(taps))]
    inputs += [steps("hidden_step", block.hidden), *layer("project", nodes[block.project])]
    none = np.zeros((1, 1, 1, 1), np.float32)
    inputs += [last[block.source] if block.residual else constant("addend", none)]
    inputs += [constant("limits", np.array(block.limits, np.float32))]
    last[block.output] = f"{block.output}/last"
    return helper.make_node(
        "QSeparableConv" if block.expand is None else "QInvertedResidual",
        inputs,
        [last[block.output]],
        block.project,
        domain=DOMAIN,
        channels=len(taps),
        stride=block.stride,
        offset=block.offset,
    )


def _bias(
    node: onnx.NodeProto, constant: Callable[[str, npt.NDArray[np.float32]], str], what: str, channels: int
) -> str:
    return node.input[2] if len(node.input) > 2 else constant(what, np.zeros(channels, np.float32))

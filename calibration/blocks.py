"""Blocks of mobile networks: a 1x1 convolution, a depthwise one, a 1x1 again."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import helper

from rsseg_edge.calibration.wiring import CLAMPS, UNBOUND, Wiring


@dataclass(frozen=True)
class Block:
    """Nodes that one operator may replace.

    Attributes:
        expand: the first 1x1 convolution; None for a depthwise separable convolution, which has none.
        depth: the depthwise convolution.
        project: the last 1x1 convolution.
        nodes: of these and what is between and after them, by name.
        source: the tensor that it reads, and adds to its result where it is ``residual``.
        hidden: the tensor that ``project`` reads.
        output: the tensor that it gives.
        residual: see ``source``.
        limits: least and greatest value of the hidden channels, and of the output.
        stride: of the depthwise convolution.
        offset: of its first place from the border.
    """

    expand: str | None
    depth: str
    project: str
    nodes: frozenset[str]
    source: str
    hidden: str
    output: str
    residual: bool
    limits: tuple[float, float, float, float]
    stride: int
    offset: int

    @property
    def products(self) -> tuple[str, ...]:
        """The convolutions whose products are those of codes."""
        return (self.project,) if self.expand is None else (self.expand, self.project)


def find_blocks(wiring: Wiring) -> list[Block]:
    """The blocks of a graph whose nodes have names, in its order."""
    found = (_block(node, wiring) for node in wiring.graph.node)
    return [block for block in found if block is not None]


def _block(project: onnx.NodeProto, wiring: Wiring) -> Block | None:
    """The block that ends with a 1x1 convolution."""
    if not _is_point(project, wiring):
        return None
    before = _sole_maker(project.input[0], wiring)
    limits, nodes = (-UNBOUND, UNBOUND), {project.name}
    if before is not None and before.op_type in CLAMPS:
        clamp = wiring.clamp(before)
        if clamp is None:
            return None
        limits = clamp
        nodes.add(before.name)
        before = _sole_maker(before.input[0], wiring)
    shape = None if before is None else _depthwise(before, wiring)
    if before is None or shape is None:
        return None
    stride, offset = shape
    nodes.add(before.name)
    expand, source, residual = _expand(before, limits, wiring, nodes), before.input[0], False
    output = project.output[0]
    if expand is not None:
        source = expand.input[0]
        following = wiring.only_reader(output)
        if following is not None and following.op_type == "Add" and sorted(following.input) == sorted([output, source]):
            residual, output = True, following.output[0]
            nodes.add(following.name)
    outer = (-UNBOUND, UNBOUND)
    following = wiring.only_reader(output)
    if following is not None and following.op_type in CLAMPS and (clamp := wiring.clamp(following)) is not None:
        outer, output = clamp, following.output[0]
        nodes.add(following.name)
    return Block(
        None if expand is None else expand.name, before.name, project.name, frozenset(nodes), source, project.input[0],
        output, residual, (*limits, *outer), stride, offset,
    )  # fmt: skip


def _expand(
    depth: onnx.NodeProto, limits: tuple[float, float], wiring: Wiring, nodes: set[str]
) -> onnx.NodeProto | None:
    """The 1x1 convolution before a depthwise one, whose result is clamped to the same limits."""
    clamp = _sole_maker(depth.input[0], wiring)
    if clamp is None or clamp.op_type not in CLAMPS or wiring.clamp(clamp) != limits:
        return None
    expand = _sole_maker(clamp.input[0], wiring)
    if expand is None or not _is_point(expand, wiring):
        return None
    nodes.update({clamp.name, expand.name})
    return expand


def _sole_maker(name: str, wiring: Wiring) -> onnx.NodeProto | None:
    """What makes a tensor that only one node reads."""
    return wiring.makers.get(name) if wiring.only_reader(name) is not None else None


def _is_point(node: onnx.NodeProto, wiring: Wiring) -> bool:
    shape = _shape(node, wiring)
    if shape is None or any(i not in wiring.constants for i in node.input[1:]):
        return False
    weight, attributes = shape
    plain = attributes.get("group", 1) == 1 and attributes.get("strides", [1, 1]) == [1, 1]
    return weight[2:] == [1, 1] and plain and attributes.get("pads", [0] * 4) == [0] * 4


def _depthwise(node: onnx.NodeProto, wiring: Wiring) -> tuple[int, int] | None:
    """Stride and offset of a depthwise convolution that the operators compute."""
    shape = _shape(node, wiring)
    if shape is None or any(i not in wiring.constants for i in node.input[1:]):
        return None
    (channels, inputs, *window), attributes = shape
    stride, pads = attributes.get("strides", [1, 1]), attributes.get("pads", [0, 0, 0, 0])
    if inputs != 1 or attributes.get("group", 1) != channels or window not in ([3, 3], [5, 5]):
        return None
    half = window[0] // 2
    for step, offset in ((1, 0), (2, 0), (2, 1)):
        if stride == [step, step] and pads == [half - offset] * 2 + [half] * 2:
            return step, offset
    return None


def _shape(node: onnx.NodeProto, wiring: Wiring) -> tuple[list[int], dict[str, list[int] | int]] | None:
    """The weight's shape and the attributes of a convolution without dilation; None of any other node."""
    if node.op_type != "Conv" or node.domain not in ("", "ai.onnx") or node.input[1] not in wiring.constants:
        return None
    weight = wiring.constants[node.input[1]]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    explicit = attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    if len(weight.dims) != 4 or not explicit or any(d != 1 for d in attributes.get("dilations", [])):
        return None
    numbers = {name: value for name, value in attributes.items() if not isinstance(value, bytes)}
    return list(weight.dims), numbers

"""A feature pyramid between blocks of a mobile network, with its channels last as the blocks have theirs.

Blocks read and give [B, H, W, C]. A 1x1 convolution of what they give, to which the level above is added, has no need
of planes: that spares four copies of each level, in and out of the form that a runtime's convolutions want, and the
enlarged level itself, which an addition repeats.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from rsseg_edge.calibration.wiring import Wiring, drop_unread

FIRST, LAST = [0, 3, 1, 2], [0, 2, 3, 1]
"""Permutations that bring the channels there."""


def keep_channels_last(model: onnx.ModelProto) -> None:
    """Rewrite the levels of a pyramid whose maps are read channels-last or by the next level alone.

    Exact but for the order of roundings.
    """
    graph = model.graph
    last = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Transpose" and _attributes(node).get("perm") == FIRST
    }
    for conv in [node for node in graph.node if node.op_type == "Conv" and node.input[0] in last]:
        wiring = Wiring(model)  # anew: the last one's readers have changed
        if _is_pointwise(conv, wiring):
            _convert(conv, wiring, last)
    drop_unread(graph)


def _convert(conv: onnx.NodeProto, wiring: Wiring, last: dict[str, str]) -> None:
    """Put what a convolution, and an addition after it, give channels-last into the graph, and all readers on it."""
    graph, above = wiring.graph, None
    given = conv
    reader = wiring.only_reader(conv.output[0])
    if reader is not None and reader.op_type == "Add":
        other = next((name for name in reader.input if name != conv.output[0]), "")
        resize = wiring.makers.get(other)
        if resize is None or not _doubles(resize, wiring) or resize.input[0] not in last:
            return
        given, above = reader, last[resize.input[0]]
    output = given.output[0]
    readers = wiring.readers.get(output, [])
    if not _needs_no_planes(output, wiring, last):
        return
    base = f"{conv.name}/last"

    def constant(what: str, value: npt.NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), f"{base}/{what}"))
        return f"{base}/{what}"

    def add(kind: str, inputs: Sequence[str], what: str) -> str:
        made.append(helper.make_node(kind, list(inputs), [f"{base}/{what}"], f"{base}/{what}"))
        return f"{base}/{what}"

    made: list[onnx.NodeProto] = []
    weight = wiring.array(conv.input[1])
    source, channels = last[conv.input[0]], len(weight)
    result = add("MatMul", [source, constant("weight", weight[:, :, 0, 0].T)], "product")
    bias = list(conv.input[2:])
    if above is None:
        result = add("Add", [result, *bias], "map") if bias else result
    else:
        # [B, h, 1, w, 1, C] to [B, h, 2, w, 2, C]: the addition repeats it, and the bias is added where it is small.
        level = add("Add", [above, *bias], "level") if bias else above
        level = add("Unsqueeze", [level, constant("axes", np.array([2, 4]))], "spread")
        few, many = (add("Shape", [name], what) for name, what in ((above, "few"), (source, "many")))

        def part(sizes: str, begin: int, end: int) -> str:
            bounds = [constant(f"{begin}_{end}/{k}", np.array([k])) for k in (begin, end)]
            return add("Slice", [sizes, *bounds], f"{begin}_{end}")

        def joined(parts: Sequence[str], what: str) -> str:
            name = add("Concat", parts, what)
            made[-1].attribute.append(helper.make_attribute("axis", 0))
            return name

        two, each = constant("two", np.array([2])), constant("channels", np.array([channels]))
        squares = add(
            "Reshape", [result, joined([part(few, 0, 2), two, part(few, 2, 3), two, each], "split")], "squares"
        )
        summed = add("Add", [squares, level], "summed")
        result = add("Reshape", [summed, joined([part(many, 0, 3), each], "whole")], "map")
    place = list(graph.node).index(given)
    for node in reversed(made):
        graph.node.insert(place, node)
    last[output] = result
    for reader in readers:
        for node in wiring.readers.get(reader.output[0], []) if _is_last(reader) else []:
            for k, name in enumerate(node.input):
                if name == reader.output[0]:
                    node.input[k] = result


def _needs_no_planes(output: str, wiring: Wiring, last: Collection[str]) -> bool:
    """Whether all who read a level want it channels-last, or enlarge it for a level of which the same holds."""
    if output in wiring.outputs:
        return False
    for node in wiring.readers.get(output, []):
        if _is_last(node):
            continue
        total = wiring.only_reader(node.output[0]) if _doubles(node, wiring) else None
        if total is None or total.op_type != "Add":
            return False
        summed = total.output[0]
        other = wiring.makers.get(next((name for name in total.input if name != node.output[0]), ""))
        if other is None or other.op_type != "Conv" or other.input[0] not in last:
            return False
        if not _is_pointwise(other, wiring) or wiring.only_reader(other.output[0]) is not total:
            return False
        if not _needs_no_planes(summed, wiring, last):
            return False
    return True


def _is_pointwise(conv: onnx.NodeProto, wiring: Wiring) -> bool:
    found = _attributes(conv)
    plain = found.get("strides", [1, 1]) == [1, 1] and not any(found.get("pads", [])) and found.get("group", 1) == 1
    return plain and conv.input[1] in wiring.constants and list(wiring.constants[conv.input[1]].dims[2:]) == [1, 1]


def _is_last(node: onnx.NodeProto) -> bool:
    return node.op_type == "Transpose" and _attributes(node).get("perm") == LAST


def _doubles(node: onnx.NodeProto, wiring: Wiring) -> bool:
    """Whether a node repeats each pixel of [B, C, H, W] twice both ways."""
    if node.op_type != "Resize" or _attributes(node).get("mode", b"nearest") != b"nearest" or len(node.input) < 3:
        return False
    scales = node.input[2]
    return scales in wiring.constants and wiring.array(scales).tolist() == [1, 1, 2, 2]


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}

"""What a traced graph computes, with less work: rewrites that are exact but for the order of roundings."""

from __future__ import annotations

import re

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rsseg_edge.calibration.wiring import drop_unread
from rsseg_edge.kernels.functions import attach
from rsseg_edge.kernels.registry import DOMAIN

_DECIDES = ("Slice", "Squeeze", "Less", "Greater", "Where", "Max", "Mul", "Add", "Cast")
"""What :func:`rsseg_edge.models.decide.decide` is traced to."""

Shape = list[tuple[int, str]]
"""Of each axis a factor and a symbol, which is empty for a number."""


def embed_queries(model: onnx.ModelProto) -> None:
    """Let a last 1x1 convolution of pixels act on the queries that they are multiplied with.

    q (W x + b) is (q W) x + q b, and queries are some dozens where pixels are ten thousands. What is resized between,
    as for masked attention, is resized before the convolution as well as after it. Where the convolution's result is
    an output of the graph it stays for those who ask for it.
    """
    for node in list(model.graph.node):
        if node.op_type == "Conv":
            _embed(model.graph, node)


def reduce_by_means(model: onnx.ModelProto) -> None:
    """Bilinear reductions by an even factor become means of the four values in the middle of each square.

    ONNX Runtime takes ten times longer to find that out at every pixel.
    """
    graph = model.graph
    shapes = _shapes(graph)
    for place, node in enumerate(list(graph.node)):
        factor = _reduction(node, shapes)
        if factor is not None:
            made = helper.make_node(
                "MiddleMean", [node.input[0]], [node.output[0]], f"{node.name}/mean", domain=DOMAIN, factor=factor
            )
            graph.node[place].CopyFrom(made)
    drop_unread(graph)
    attach(model)


def decide_in_one(model: onnx.ModelProto, class_map: str, confidence: str) -> None:
    """Let one operator enlarge the shares and decide on them, where a graph enlarges them four times.

    Args:
        model: whose shares are a quarter of its class map's sides: no graph with free sides tells so.
        class_map: the output that holds the class.
        confidence: the output that holds its share.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {t.name for t in graph.initializer}
    chain: dict[str, onnx.NodeProto] = {}
    sources: dict[str, onnx.NodeProto] = {}
    waiting = [class_map, confidence]
    while waiting:
        name = waiting.pop()
        if name in constants or name in chain or name in sources:
            continue
        node = makers.get(name)
        if node is None or (node.op_type not in _DECIDES and node.op_type != "Resize"):
            return
        (sources if node.op_type == "Resize" else chain)[name] = node
        waiting += node.input if node.op_type != "Resize" else []
    shapes = _shapes(graph)
    resize = next(iter(sources.values()), None)
    if resize is None or len(sources) > 1 or not _is_half_pixel(resize) or resize.input[0] not in shapes:
        return
    shares = resize.input[0]
    classes, symbol = shapes[shares][1]
    others = {name for node in graph.node if node.output[0] not in chain for name in node.input}
    others |= {o.name for o in graph.output} - {class_map, confidence}
    if symbol or [n.op_type for n in chain.values()].count("Max") != classes - 1 or others & {*chain, resize.output[0]}:
        return
    place = list(graph.node).index(resize)
    made = helper.make_node(
        "UpsampleDecide", [shares], [class_map, confidence], "decide", domain=DOMAIN, classes=classes
    )
    for node in (resize, *chain.values()):
        graph.node.remove(node)
    graph.node.insert(place, made)
    inner = [value for value in graph.value_info if value.name in chain or value.name == resize.output[0]]
    for value in inner:
        graph.value_info.remove(value)
    drop_unread(graph)
    attach(model)


def _embed(graph: onnx.GraphProto, conv: onnx.NodeProto) -> None:
    constants = {t.name: t for t in graph.initializer}
    weight = constants.get(conv.input[1])
    if weight is None or len(conv.input) < 3 or conv.input[2] not in constants:
        return
    attributes = {a.name: helper.get_attribute_value(a) for a in conv.attribute}
    outputs, inputs = weight.dims[:2]
    plain = attributes.get("strides", [1, 1]) == [1, 1] and not any(attributes.get("pads", []))
    if list(weight.dims) != [inputs, inputs, 1, 1] or attributes.get("group", 1) != 1 or not plain:
        return
    readers = _readers(graph)
    reading = readers.get(conv.output[0], [])
    ends = [_products(reader, readers) for reader in reading]
    if not reading or any(end is None for end in ends):
        return
    kernel, bias = (numpy_helper.to_array(constants[name]) for name in conv.input[1:3])
    both, pixels, axes = f"{conv.name}/queries", [0, inputs, inputs + 1], f"{conv.name}/last"
    matrix = np.concatenate([kernel.reshape(outputs, inputs), bias.reshape(-1, 1)], 1)
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(matrix), both))
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), axes))
    for at in pixels:
        graph.initializer.append(numpy_helper.from_array(np.array([at], np.int64), f"{both}/{at}"))
    for reader in reading:
        reader.input[0] = conv.input[0]
    for product in [product for end in ends for product in end or ()]:
        place, base, given = list(graph.node).index(product), product.output[0], product.output[0]
        made = [helper.make_node("MatMul", [product.input[0], both], [f"{base}/queries"], f"{product.name}/queries")]
        for what, first in (("weights", 0), ("shift", 1)):
            bounds = [f"{both}/{pixels[first]}", f"{both}/{pixels[first + 1]}", axes]
            made.append(helper.make_node("Slice", [f"{base}/queries", *bounds], [f"{base}/{what}"], f"{base}/{what}"))
        shifted = helper.make_node("Add", [f"{base}/product", f"{base}/shift"], [given], f"{product.name}/shifted")
        product.input[0], product.output[0] = f"{base}/weights", f"{base}/product"
        graph.node.insert(place + 1, shifted)
        for node in reversed(made):
            graph.node.insert(place, node)
    if conv.output[0] not in {o.name for o in graph.output}:
        graph.node.remove(conv)


def _products(reader: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> list[onnx.NodeProto] | None:
    """The products whose right factor comes of a reader by resizing and flattening alone; None where others read it."""
    found = []
    following = readers.get(reader.output[0], [])
    if reader.op_type == "Resize":
        below = [_products(node, readers) if node.op_type == "Reshape" else None for node in following]
        return None if not below or any(b is None for b in below) else [p for b in below for p in b or ()]
    if reader.op_type != "Reshape" or not following:
        return None
    for node in following:
        if node.op_type != "MatMul" or node.input[1] != reader.output[0] or node.input[0] == reader.output[0]:
            return None
        found.append(node)
    return found


def _reduction(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int | None:
    """The even factor by which a node reduces both sides of a tensor [B, C, H, W] bilinearly."""
    if node.op_type != "Resize" or node.input[0] not in shapes or node.output[0] not in shapes:
        return None
    if not _is_half_pixel(node):
        return None
    before, after = shapes[node.input[0]], shapes[node.output[0]]
    if len(before) != 4 or before[:2] != after[:2]:
        return None
    factors = {
        a // b if a_symbol == b_symbol and a % b == 0 else 0
        for (a, a_symbol), (b, b_symbol) in zip(before[2:], after[2:], strict=True)
    }
    factor = factors.pop()
    return factor if not factors and factor >= 2 and factor % 2 == 0 else None


def _is_half_pixel(resize: onnx.NodeProto) -> bool:
    """Whether a Resize is bilinear, as PyTorch's is without aligned corners."""
    attributes = {a.name: helper.get_attribute_value(a) for a in resize.attribute}
    mode = attributes.get("coordinate_transformation_mode", b"half_pixel")
    bilinear = attributes.get("mode") == b"linear" and mode in (b"half_pixel", b"pytorch_half_pixel")
    return bilinear and not attributes.get("antialias", 0)


def _shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    """Of the tensors whose sides the graph states as numbers, or as multiples of one symbol each."""
    found: dict[str, Shape] = {}
    for value in (*graph.value_info, *graph.output, *graph.input):
        sides: Shape = []
        for dim in value.type.tensor_type.shape.dim:
            match = re.fullmatch(r"(?:(\d+)\*)?([A-Za-z_]\w*)", dim.dim_param)
            if dim.dim_value:
                sides.append((dim.dim_value, ""))
            elif match:
                sides.append((int(match[1] or 1), match[2]))
            else:
                break
        else:
            found[value.name] = sides
    return found


def _readers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            readers.setdefault(name, []).append(node)
    return readers

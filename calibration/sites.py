"""Which nodes of a graph can work on integers, and which of them must not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnx

from rsseg_edge.calibration.blocks import find_blocks
from rsseg_edge.calibration.wiring import Wiring

_COLORS = 4
"""Channels of an image at most: a convolution of so few gains little, and what was before it changes its layout."""

_LAYOUT = (
    "Add",
    "Reshape",
    "Transpose",
    "Unsqueeze",
    "Squeeze",
    "Identity",
    "Expand",
    "Mul",
    "Div",
    "Slice",
)
"""What lies between a layer and the product of activations that it feeds."""


@dataclass(frozen=True)
class Site:
    """A convolution or a matrix product with a constant weight.

    Attributes:
        node: its name.
        kind: "conv of the image", "conv of a block", "conv", "depthwise conv" or "matrix product".
        activation: the tensor that it reads.
        weight: the initializer.
        axis: of the weight, along which its output channels lie.
        output: the tensor that comes of it, after a clamp that runtimes make part of it.
        block: part of the network that it belongs to.
    """

    node: str
    kind: str
    activation: str
    weight: str
    axis: int
    output: str
    block: str


def find_sites(model: onnx.ModelProto) -> tuple[list[Site], dict[str, str]]:
    """Every site of a graph, and by name the nodes that would be one but stay higher, each with the reason.

    What stays: the last layers, whose rounding nothing evens out; layers whose result is multiplied with another
    activation outside of attention, as mask embeddings with pixels are, unless it comes of a block of a mobile network,
    which gives what was not rounded; and parts that no image reaches.
    """
    wiring = Wiring(model)
    fed = _reached(
        wiring, [i.name for i in model.graph.input if i.type.tensor_type.elem_type == onnx.TensorProto.UINT8]
    )
    in_blocks = {name for block in find_blocks(wiring) for name in block.products}
    candidates, norms = [], 0
    for node in model.graph.node:
        norms += node.op_type == "LayerNormalization"
        site = _site(node, wiring, norms)
        if site is not None:
            candidates.append(replace(site, kind="conv of a block") if site.node in in_blocks else site)
    names = {site.node for site in candidates}
    kept: dict[str, str] = {}
    for site in candidates:
        if fed and site.activation not in fed:
            kept[site.node] = "no image reaches it"
        elif not any(node.name in names for node in _downstream(wiring, site.output)):
            kept[site.node] = "last layer"
        elif site.kind != "conv of a block" and _meets_activations(wiring, site.output):
            kept[site.node] = "feeds a product of masks or embeddings with pixels"
    return [site for site in candidates if site.node not in kept], kept


def _site(node: onnx.NodeProto, wiring: Wiring, norms: int) -> Site | None:
    if node.op_type not in ("Conv", "MatMul", "Gemm") or node.domain not in ("", "ai.onnx"):
        return None
    activation, weight = node.input[0], node.input[1]
    constant = wiring.constants.get(weight)
    if constant is None or activation in wiring.constants or constant.data_type != onnx.TensorProto.FLOAT:
        return None
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    axis, kind = 1, "matrix product"
    if node.op_type == "Conv":
        axis, kind = 0, _conv_kind(constant.dims[1], attributes.get("group", 1))
    elif len(constant.dims) != 2:
        return None
    elif node.op_type == "Gemm":
        if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1:
            return None
        axis = 0 if attributes.get("transB", 0) else 1
    output = wiring.after_clamp(node.output[0]) if node.op_type == "Conv" else node.output[0]
    return Site(node.name, kind, activation, weight, axis, output, _block(weight, norms))


def _conv_kind(channels: int, groups: int) -> str:
    if groups > 1:
        return "depthwise conv"
    return "conv of the image" if channels <= _COLORS else "conv"


def _block(weight: str, norms: int) -> str:
    """The module that holds a parameter, less its last parts; folded weights have no name but their place."""
    parts = weight.split(".")
    if len(parts) < 3:
        return f"after layer norm {norms}"
    keep = next((i + 2 for i, p in enumerate(parts[:-1]) if p.isdigit() and parts[i + 1].isdigit()), len(parts) - 2)
    return ".".join(parts[: max(keep, 1)])


def _downstream(wiring: Wiring, name: str) -> Iterator[onnx.NodeProto]:
    waiting, seen = [name], {name}
    while waiting:
        for node in wiring.readers.get(waiting.pop(), []):
            yield node
            fresh = [o for o in node.output if o not in seen]
            seen.update(fresh)
            waiting += fresh


def _reached(wiring: Wiring, names: list[str]) -> set[str]:
    return set(names).union(*({o for node in _downstream(wiring, name) for o in node.output} for name in names))


def _meets_activations(wiring: Wiring, name: str) -> bool:
    """Whether a tensor, as it is but for its layout, is a factor of a product of two activations outside attention."""
    waiting, seen = [name], {name}
    while waiting:
        for node in wiring.readers.get(waiting.pop(), []):
            if node.op_type == "MatMul" and not any(i in wiring.constants for i in node.input):
                if not _is_attention(wiring, node):
                    return True
            elif node.op_type in _LAYOUT:
                fresh = [o for o in node.output if o not in seen]
                seen.update(fresh)
                waiting += fresh
    return False


def _is_attention(wiring: Wiring, product: onnx.NodeProto) -> bool:
    """A product before a softmax or with what came of one, through changes of layout."""
    if any(_comes_from_softmax(wiring, name, 6) for name in product.input):
        return True
    waiting = [product.output[0]]
    for _ in range(6):
        readers = [node for name in waiting for node in wiring.readers.get(name, [])]
        if any(node.op_type == "Softmax" for node in readers):
            return True
        waiting = [o for node in readers if node.op_type in _LAYOUT for o in node.output]
    return False


def _comes_from_softmax(wiring: Wiring, name: str, steps: int) -> bool:
    maker = wiring.makers.get(name)
    if maker is None or steps == 0:
        return False
    if maker.op_type == "Softmax":
        return True
    return maker.op_type in _LAYOUT and any(_comes_from_softmax(wiring, i, steps - 1) for i in maker.input)

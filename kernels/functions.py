"""Function bodies in ONNX standard operators, attached to a model so that any runtime can run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx

from rsseg_edge.kernels.adaptive_upsample import onnx_function as adaptive_upsample
from rsseg_edge.kernels.adaptive_upsample_classify import onnx_function as adaptive_upsample_classify
from rsseg_edge.kernels.bilateral_kernel import onnx_function as bilateral_kernel
from rsseg_edge.kernels.conv3x3_relu import onnx_function as conv3x3_relu
from rsseg_edge.kernels.cross_attention import onnx_function as cross_attention
from rsseg_edge.kernels.feed_forward import onnx_function as feed_forward
from rsseg_edge.kernels.fixup_kernel import onnx_function as fixup_kernel
from rsseg_edge.kernels.masked_attention import onnx_function as masked_attention
from rsseg_edge.kernels.middle_mean import onnx_function as middle_mean
from rsseg_edge.kernels.ms_deform_attn import onnx_function as ms_deform_attn
from rsseg_edge.kernels.pixel_mlp import onnx_function as pixel_mlp
from rsseg_edge.kernels.q_inverted_residual import onnx_function as q_inverted_residual
from rsseg_edge.kernels.q_separable_conv import onnx_function as q_separable_conv
from rsseg_edge.kernels.registry import DOMAIN, OPS, VERSION
from rsseg_edge.kernels.self_attention import onnx_function as self_attention
from rsseg_edge.kernels.upsample_conv3x3_relu import onnx_function as upsample_conv3x3_relu
from rsseg_edge.kernels.upsample_decide import onnx_function as upsample_decide

# Parses the reflect padding, ReduceMax with axes as an input and Split with num_outputs that the bodies use.
OPSET = 18


def attach(model: onnx.ModelProto) -> list[str]:
    """Give the model a body for every operator of the domain ``rsseg`` that it uses, in place of those it has.

    Returns:
        The operators' names; empty where the model uses none.

    Raises:
        ValueError: the model's opset is older than 18, an operator is unknown, one is used with two radii or numbers of
            levels or classes (a body is written for one), or the number of levels cannot be read from the graph.
    """
    nodes = [n for n in _nodes(model.graph) if n.domain == DOMAIN]
    if not nodes:
        return []
    default = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if default < OPSET:
        raise ValueError(f"the operators' bodies need opset {OPSET}, the model has {default}: export it again")
    bodies: dict[str, str] = {}
    for node in nodes:
        text = function_text(node, model.graph)
        if bodies.setdefault(node.op_type, text) != text:
            raise ValueError(
                f"{node.op_type}: one model can hold one radius or number of levels or classes, this has two"
            )
    kept = [f for f in model.functions if f.domain != DOMAIN]
    del model.functions[:]
    model.functions.extend([*kept, *map(_parse, bodies.values())])
    if all(o.domain != DOMAIN for o in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, VERSION))
    return list(bodies)


def function_text(node: onnx.NodeProto, graph: onnx.GraphProto) -> str:
    """The body that fits one node, in ONNX's text format."""
    if node.op_type not in OPS:
        raise ValueError(f"{node.op_type} is no operator of the domain {DOMAIN}: it has {', '.join(OPS)}")
    attributes = {a.name: a.i for a in node.attribute}
    for name in OPS[node.op_type].attributes:
        if name not in attributes:
            raise ValueError(f"{node.op_type} {node.name!r} lacks the attribute {name}")
    if node.op_type in _PLAIN:
        return _PLAIN[node.op_type]()
    if node.op_type == "MSDeformAttn":
        return ms_deform_attn.function_text(_levels(node, graph))
    if node.op_type == "UpsampleDecide":
        return upsample_decide.function_text(attributes["classes"])
    return _BY_RADIUS[node.op_type](attributes["radius"])


_PLAIN: dict[str, Callable[[], str]] = {
    "MaskedAttention": masked_attention.function_text,
    "Conv3x3Relu": conv3x3_relu.function_text,
    "UpsampleConv3x3Relu": upsample_conv3x3_relu.function_text,
    "PixelMLP": pixel_mlp.function_text,
    "FixupKernel": fixup_kernel.function_text,
    "SelfAttention": self_attention.function_text,
    "CrossAttention": cross_attention.function_text,
    "FeedForward": feed_forward.function_text,
    "MiddleMean": middle_mean.function_text,
    "QInvertedResidual": q_inverted_residual.function_text,
    "QSeparableConv": q_separable_conv.function_text,
}
_BY_RADIUS: dict[str, Callable[[int], str]] = {
    "BilateralKernel": bilateral_kernel.function_text,
    "AdaptiveUpsample": adaptive_upsample.function_text,
    "AdaptiveUpsampleClassify": adaptive_upsample_classify.function_text,
}


def _parse(text: str) -> onnx.FunctionProto:
    return onnx.parser.parse_function(text)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _levels(node: onnx.NodeProto, graph: onnx.GraphProto) -> int:
    shapes, start, locations = node.input[1:4]
    for initializer in graph.initializer:
        if initializer.name in (shapes, start):
            return int(initializer.dims[0])
    for value in (*graph.input, *graph.value_info):
        dims = value.type.tensor_type.shape.dim
        if value.name in (shapes, start) and dims and dims[0].dim_value:
            return int(dims[0].dim_value)
        if value.name == locations and len(dims) == 6 and dims[3].dim_value:
            return int(dims[3].dim_value)
    for producer in graph.node:
        if producer.op_type == "Constant" and producer.output[0] in (shapes, start):
            return int(onnx.helper.get_node_attr_value(producer, "value").dims[0])
    raise ValueError(f"MSDeformAttn {node.name!r}: spatial_shapes has no constant shape in the graph")

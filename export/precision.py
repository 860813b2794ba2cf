"""FP16 as Cast nodes in the graph, what overflows left in FP32: TensorRT 11 knows only strongly typed networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx

from rsseg_edge.calibration.histogram import Histogram
from rsseg_edge.calibration.ranges import Inputs, float_tensors, measure_ranges
from rsseg_edge.export.request import Say

FP16_MAX = 65504.0
HEADROOM = 4.0
"""A value within this factor of the largest half on the measured images may exceed it on others."""

# Sizes of a Resize are shape arithmetic, and coordinates of positions are wrong by whole pixels in half precision.
_SHAPE_OPERATORS = ["Resize", "Range", "Shape"]


def nodes_to_keep(model: onnx.ModelProto, ranges: Mapping[str, Histogram]) -> list[str]:
    """Names of the nodes that read or write a tensor, or hold a constant, too large for a half."""
    limit = FP16_MAX / HEADROOM
    large = {name for name, histogram in ranges.items() if histogram.greatest > limit}
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            value = onnx.numpy_helper.to_array(tensor)
            # -1e9 stands for "masked" before a softmax; the converter's clamp to a half's range masks as well.
            if value.size > 1 and np.abs(value).max() > limit:
                large.add(tensor.name)
    return [node.name for node in model.graph.node if large & {*node.input, *node.output}]


def halve(model: onnx.ModelProto, samples: Iterable[Inputs], say: Say) -> tuple[onnx.ModelProto, list[str]]:
    """The graph in half precision and the names of the nodes that stay in fp32, as measured on samples."""
    keep = nodes_to_keep(model, measure_ranges(model, float_tensors(model), list(samples)))
    say(f"fp16: {len(keep)} of {len(model.graph.node)} nodes stay in fp32: {', '.join(keep) or 'none overflows'}")
    return to_fp16(model, keep), keep


def to_fp16(model: onnx.ModelProto, keep: Sequence[str]) -> onnx.ModelProto:
    """Half precision but for the nodes named in ``keep``; inputs and outputs keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    half = convert_float_to_float16(
        onnx.shape_inference.infer_shapes(model),
        keep_io_types=True,
        op_block_list=_SHAPE_OPERATORS,
        node_block_list=list(keep),
    )
    return _mend_casts(half, set(keep))


def _mend_casts(model: onnx.ModelProto, keep: set[str]) -> onnx.ModelProto:
    """Repair what the converter does around neighbouring nodes that stay in FP32.

    It takes the tensor between them through a half, where it overflows after all, casts a constant that several of
    them share once for each under one name, and leaves its casts unsorted.
    """
    nodes = {tuple(node.output): node for node in model.graph.node}  # a second cast to the same name is dropped
    made_by = {name: node for node in nodes.values() for name in node.output}

    def stays(name: str) -> bool:
        return name in made_by and (made_by[name].name in keep or made_by[name].op_type in _SHAPE_OPERATORS)

    for node in nodes.values():
        for i, name in enumerate(node.input):
            widening = made_by.get(name)
            narrowing = made_by.get(widening.input[0]) if widening and widening.op_type == "Cast" else None
            if narrowing and narrowing.op_type == "Cast" and stays(narrowing.input[0]) and _to_float(widening):
                node.input[i] = narrowing.input[0]
    read = {name for node in nodes.values() for name in node.input} | {o.name for o in model.graph.output}
    waiting = [node for node in nodes.values() if node.op_type != "Cast" or node.output[0] in read]
    known = {i.name for i in [*model.graph.input, *model.graph.initializer]} | {""}
    ordered: list[onnx.NodeProto] = []
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise ValueError("the converted graph has a cycle")
        ordered += ready
        known.update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not known.issuperset(node.output)]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    return model


def _to_float(cast: onnx.NodeProto | None) -> bool:
    return cast is not None and cast.attribute[0].i == onnx.TensorProto.FLOAT

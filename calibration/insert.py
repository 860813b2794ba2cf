"""Q/DQ nodes in a graph: what TensorRT and ONNX Runtime take for INT8, from one set of ranges for either."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from rsseg_edge.calibration.channels_last import keep_channels_last
from rsseg_edge.calibration.clipping import Range
from rsseg_edge.calibration.fold import fold_scale
from rsseg_edge.calibration.fuse import fuse
from rsseg_edge.calibration.rounding import Rounding, raise_bias
from rsseg_edge.calibration.sites import Site
from rsseg_edge.calibration.steps import Step, Target, step_of, weight_integers
from rsseg_edge.calibration.wiring import Wiring

_BIAS_LIMIT = 2.0**30
"""Runtimes make an int32 of a bias, in steps of activation times weight."""


def quantize(
    model: onnx.ModelProto,
    sites: Sequence[Site],
    bounds: Mapping[str, Range],
    target: Target,
    roundings: Mapping[str, Rounding] | None = None,
) -> onnx.ModelProto:
    """A copy of a float32 graph in which some sites work on integers.

    Each site reads its activation through a Q/DQ pair and has an int8 weight with a DQ, steps per output channel; its
    bias stays a float for ``tensorrt``, and is an int32 with a DQ for ``cpu``. Sums of two tensors that are integers
    anyway become one, and what is enlarged for such a sum by repeating pixels, as in a feature pyramid, stays one.
    For ``cpu`` blocks of mobile networks become operators of ours, which read and give floats; any other convolution
    also gives integers, without which ONNX Runtime has no kernel for it; a matrix product gives floats, which is its
    faster form.

    Args:
        model: nodes have names.
        sites: of this graph; the others stay as they are.
        bounds: of every tensor that a site reads, and for ``cpu`` of those that a convolution gives.
        target: TensorRT takes symmetric int8 only; on a CPU uint8 is the faster form.
        roundings: of weights, by the sites' nodes; any other weight becomes the nearest integers.

    Raises:
        ValueError: a range is missing or not finite.
    """
    roundings = roundings or {}
    made = onnx.ModelProto()
    made.CopyFrom(model)
    fused: frozenset[str] = frozenset()
    if target == "cpu":
        fused = fuse(made, {site.node for site in sites}, bounds, roundings)
        sites = [site for site in sites if site.node not in fused]
    wiring = Wiring(made)
    chosen = {site.node: site for site in sites}
    given = {s.output for s in sites if target == "cpu" and s.kind != "matrix product"} - wiring.outputs
    integer = list(dict.fromkeys([*(s.activation for s in sites), *given]))
    enlarged = _enlarged(wiring, set(integer))
    sums = _sums(wiring, {*integer, *enlarged})
    reading = {*chosen, *(wiring.makers[name].name for name in (*sums, *enlarged))}
    added: dict[str, list[onnx.NodeProto]] = {}
    steps: dict[str, Step] = {}
    for i, name in enumerate([*integer, *enlarged]):
        if name in enlarged:
            steps[name] = steps[enlarged[name]]
        elif name not in bounds:
            raise ValueError(f"no range of {name}")
        else:
            steps[name] = step_of(bounds[name], target)
        added[name] = _pair(made.graph, name, steps[name], i)
        fresh = added[name][1].output[0]
        for node in wiring.readers.get(name, []):
            if name in given or node.name in reading:
                for k, read in enumerate(node.input):
                    if read == name and not (node.name in chosen and k > 0):
                        node.input[k] = fresh
    weights = _quantize_weights(made.graph, wiring, sites, steps, target, roundings)
    _order(made.graph, added, weights)
    if fused:
        keep_channels_last(made)
    if target == "cpu":
        fold_scale(made)
    return made


def _sums(wiring: Wiring, integer: Collection[str]) -> list[str]:
    """Outputs of additions whose operands are integers and whose sum, clamped or not, is one too."""
    return [
        node.output[0]
        for node in wiring.graph.node
        if node.op_type == "Add"
        and all(name in integer for name in node.input)
        and wiring.after_clamp(node.output[0]) in integer
    ]


def _enlarged(wiring: Wiring, integer: Collection[str]) -> dict[str, str]:
    """Repeated pixels of integers that only enter sums of integers, and what they repeat, whose steps they keep."""
    found: dict[str, str] = {}
    for node in wiring.graph.node:
        mode = next((a.s for a in node.attribute if a.name == "mode"), b"nearest")
        if node.op_type != "Resize" or mode != b"nearest" or node.input[0] not in integer:
            continue
        found[node.output[0]] = node.input[0]
        sums = _sums(wiring, {*integer, *found})
        if any(reader.output[0] not in sums for reader in wiring.readers.get(node.output[0], [])):
            del found[node.output[0]]
    return found


def _pair(graph: onnx.GraphProto, name: str, step: Step, index: int) -> list[onnx.NodeProto]:
    scale, zero, q, dq = (f"{name}/{what}" for what in ("scale", "zero", "integer", "rounded"))
    kind = np.int8 if step.signed else np.uint8
    graph.initializer.append(numpy_helper.from_array(np.array(step.scale, np.float32), scale))
    graph.initializer.append(numpy_helper.from_array(np.array(step.zero, kind), zero))
    return [
        helper.make_node("QuantizeLinear", [name, scale, zero], [q], name=f"quantize_{index}"),
        helper.make_node("DequantizeLinear", [q, scale, zero], [dq], name=f"dequantize_{index}"),
    ]


def _quantize_weights(
    graph: onnx.GraphProto,
    wiring: Wiring,
    sites: Sequence[Site],
    steps: Mapping[str, Step],
    target: Target,
    roundings: Mapping[str, Rounding],
) -> list[onnx.NodeProto]:
    nodes = {node.name: node for node in graph.node}
    dequantizers: list[onnx.NodeProto] = []
    used: set[str] = set()
    for i, site in enumerate(sites):
        weight, node = wiring.array(site.weight), nodes[site.node]
        least: npt.NDArray[np.float64] | float = 0.0
        if len(node.input) > 2 and node.input[2] in wiring.constants:
            bias = np.abs(wiring.array(node.input[2]).astype(np.float64)).reshape(-1)
            least = bias / (steps[site.activation].scale * _BIAS_LIMIT)
        found = roundings.get(site.node)
        if found is not None and (found.steps >= least).all():
            raise_bias(wiring, node, found)
            integers, scale = found.integers, found.steps
        else:
            integers, scale = weight_integers(weight, site.axis, least)
        base = f"{site.weight}/{i}"
        for array, what in ((integers, "integer"), (scale, "scale"), (np.zeros(scale.shape, np.int8), "zero")):
            graph.initializer.append(numpy_helper.from_array(array, f"{base}/{what}"))
        parts = [f"{base}/{what}" for what in ("integer", "scale", "zero")]
        dequantizers.append(
            helper.make_node(
                "DequantizeLinear", parts, [f"{base}/rounded"], axis=site.axis, name=f"dequantize_weight_{i}"
            )
        )
        node.input[1] = f"{base}/rounded"
        used.add(site.weight)
        if target == "cpu" and len(node.input) > 2 and node.input[2] in wiring.constants:
            used.add(node.input[2])
            dequantizers.append(_quantize_bias(graph, wiring, node, scale * np.float32(steps[site.activation].scale)))
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name not in used or tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return dequantizers


def _quantize_bias(
    graph: onnx.GraphProto, wiring: Wiring, node: onnx.NodeProto, scale: npt.NDArray[np.float32]
) -> onnx.NodeProto:
    """A bias in steps of activation times weight, as ONNX Runtime adds it; the node that makes numbers of it."""
    name = node.input[2]
    integers = np.round(wiring.array(name).reshape(-1).astype(np.float64) / scale).astype(np.int32)
    base = f"{name}/{node.name}"
    for array, what in ((integers, "integer"), (scale, "scale"), (np.zeros(scale.shape, np.int32), "zero")):
        graph.initializer.append(numpy_helper.from_array(array, f"{base}/{what}"))
    node.input[2] = f"{base}/rounded"
    parts = [f"{base}/{what}" for what in ("integer", "scale", "zero")]
    return helper.make_node("DequantizeLinear", parts, [f"{base}/rounded"], axis=0, name=f"dequantize_bias_{node.name}")


def _order(
    graph: onnx.GraphProto, added: Mapping[str, Sequence[onnx.NodeProto]], first: Sequence[onnx.NodeProto]
) -> None:
    """Nodes in an order in which every tensor is made before it is read."""
    ordered = [*first]
    for name in [i.name for i in graph.input]:
        ordered += added.get(name, ())
    for node in graph.node:
        ordered.append(node)
        for name in node.output:
            ordered += added.get(name, ())
    del graph.node[:]
    graph.node.extend(ordered)

"""Q/DQ nodes in a graph: what TensorRT and ONNX Runtime take for INT8, from one set of ranges for either."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from rsseg_edge.calibration.clipping import Range
from rsseg_edge.calibration.sites import Site, Wiring

Target = Literal["cpu", "tensorrt"]

WEIGHT_LEVEL = 127
"""Greatest integer of a weight."""

_BIAS_LIMIT = 2.0**30
"""Runtimes make an int32 of a bias, in steps of activation times weight."""


@dataclass(frozen=True)
class Step:
    """How integers of a tensor become numbers: ``scale * (q - zero)``, ``signed`` 8 bits or not."""

    scale: float
    zero: int
    signed: bool


def step_of(bounds: Range, target: Target) -> Step:
    """Steps of an activation's range.

    Raises:
        ValueError: the range is empty or not finite.
    """
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        raise ValueError(f"no range: {bounds}")
    if target == "tensorrt":
        return Step(_single(max(-low, high) / 127), 0, True)
    scale = _single((high - low) / 255)
    return Step(scale, int(np.clip(np.round(-low / scale), 0, 255)), False)


def quantize(
    model: onnx.ModelProto, sites: Sequence[Site], bounds: Mapping[str, Range], target: Target
) -> onnx.ModelProto:
    """A copy of a float32 graph in which some sites work on integers.

    Each site reads its activation through a Q/DQ pair and has an int8 weight with a DQ, steps per output channel; its
    bias stays a float for ``tensorrt``, and is an int32 with a DQ for ``cpu``. Sums of two tensors that are integers
    anyway become one, and what is enlarged for such a sum by repeating pixels, as in a feature pyramid, stays one.
    For ``cpu`` a convolution also gives integers, without which ONNX Runtime has no kernel for it; a matrix product
    gives floats, which is its faster form.

    Args:
        model: nodes have names.
        sites: of this graph; the others stay as they are.
        bounds: of every tensor that a site reads, and for ``cpu`` of those that a convolution gives.
        target: TensorRT takes symmetric int8 only; on a CPU uint8 is the faster form.

    Raises:
        ValueError: a range is missing or not finite.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
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
    weights = _quantize_weights(made.graph, wiring, sites, steps, target)
    _order(made.graph, added, weights)
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


def weight_steps(
    weight: npt.NDArray[np.float32], axis: int, levels: int, least: npt.NDArray[np.float64] | float = 0.0
) -> npt.NDArray[np.float32]:
    """Steps of a weight along its output channels, float32 [O], each at least ``least``."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.maximum(np.abs(weight.astype(np.float64)).max(others) / levels, least)
    scale[scale < np.finfo(np.float32).tiny] = 1.0 / levels  # a channel of zeros
    return np.asarray(scale, np.float32)


def _quantize_weights(
    graph: onnx.GraphProto, wiring: Wiring, sites: Sequence[Site], steps: Mapping[str, Step], target: Target
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
        scale = weight_steps(weight, site.axis, WEIGHT_LEVEL, least)
        shape = [-1 if k == site.axis else 1 for k in range(weight.ndim)]
        integers = np.clip(np.round(weight / scale.reshape(shape)), -WEIGHT_LEVEL, WEIGHT_LEVEL).astype(np.int8)
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


def _single(value: float) -> float:
    """A float32 above zero."""
    return float(max(np.float32(value), np.finfo(np.float32).tiny))

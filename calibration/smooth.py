"""Outlier channels between a LayerNorm and matrix products, evened out: exact in float, kinder to eight bits.

Some channels of a transformer are a hundred times as large as the others. Dividing a channel of what LayerNorm gives by
a factor, and multiplying the row of the weights that meets it, changes nothing but who bears the difference
(Xiao et al., "SmoothQuant", ICML 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from rsseg_edge.calibration.exposed import expose_channels, part
from rsseg_edge.calibration.ranges import Progress, Samples
from rsseg_edge.calibration.sites import Site
from rsseg_edge.calibration.wiring import Wiring
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine

STRENGTH = 0.5
"""How much of an activation's outliers the weights take over, 0..1; the paper's value."""

Floats = npt.NDArray[np.float32]


def smoothable(model: onnx.ModelProto, sites: Sequence[Site]) -> dict[str, list[Site]]:
    """LayerNorms with constant scale and shift whose output is read by matrix products of ``sites`` alone: the name of
    the output to the products."""
    wiring = Wiring(model)
    by_node = {site.node: site for site in sites if site.kind == "matrix product"}
    found = {}
    for node in model.graph.node:
        name = node.output[0] if node.op_type == "LayerNormalization" else ""
        readers = wiring.readers.get(name, [])
        if not readers or name in wiring.outputs or any(i not in wiring.constants for i in node.input[1:]):
            continue
        products = [by_node.get(reader.name) for reader in readers]
        sole = all(p is not None and p.activation == name and len(wiring.readers[p.weight]) == 1 for p in products)
        if sole:
            found[name] = [p for p in products if p is not None]
    return found


def channel_maxima(
    model: onnx.ModelProto, names: Sequence[str], samples: Samples, progress: Progress | None = None
) -> dict[str, Floats]:
    """Greatest magnitude of each channel of some tensors over samples, float32 [C]; told after each sample."""
    if not names:
        return {}
    engine = OnnxRuntimeEngine(expose_channels(model, names).SerializeToString(), name="channel measurement")
    greatest: dict[str, Floats] = {}
    for index in range(len(samples)):
        told = engine.infer(samples[index])
        for name in names:
            found = told[part(name, "channels")]
            greatest[name] = np.maximum(greatest.get(name, np.zeros_like(found)), found)
        if progress:
            progress(index + 1, len(samples))
    engine.close()
    return greatest


def smooth(
    model: onnx.ModelProto, products: Mapping[str, Sequence[Site]], maxima: Mapping[str, Floats]
) -> onnx.ModelProto:
    """A copy that computes the same with evened channels. What was measured as not finite is left alone."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    wiring = Wiring(made)
    for name, sites in products.items():
        top = maxima[name].astype(np.float64)
        if not np.isfinite(top).all() or top.max() == 0:
            continue
        weights = {s.weight: wiring.array(s.weight) if s.axis == 1 else wiring.array(s.weight).T for s in sites}
        rows = np.max([np.abs(w).max(1) for w in weights.values()], axis=0).astype(np.float64)
        factor = np.maximum(top, top.max() * 1e-5) ** STRENGTH / np.maximum(rows, rows.max() * 1e-5) ** (1 - STRENGTH)
        factor = (factor / np.exp(np.log(factor).mean())).astype(np.float32)  # the tensor keeps its magnitude
        norm = wiring.makers[name]
        for i, scale in enumerate(norm.input[1:], 1):  # a constant of its own: exporters share equal ones
            norm.input[i] = f"{scale}/{name}"
            value = np.ascontiguousarray(wiring.array(scale) / factor, np.float32)
            made.graph.initializer.append(numpy_helper.from_array(value, norm.input[i]))
        for site in sites:
            shape = (-1, 1) if site.axis == 1 else (1, -1)
            _store(wiring, site.weight, wiring.array(site.weight) * factor.reshape(shape))
    return made


def _store(wiring: Wiring, name: str, value: npt.NDArray[np.float32]) -> None:
    wiring.constants[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))

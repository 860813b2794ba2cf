"""Weights of 1x1 convolutions to the integers that change the least of what comes of real images.

Rounding to the nearest integer treats every error alike; what comes of a clamp is never negative, so that errors of a
row add up to a shift of its output. Weights are rounded one column after the other, and what each rounding changes is
made up for by the columns that follow (Frantar et al., "GPTQ", ICLR 2023); what is left of the shift goes into the bias
(Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from rsseg_edge.calibration.exposed import expose_moments, expose_sizes, part
from rsseg_edge.calibration.ranges import Progress, Samples, prime_from
from rsseg_edge.calibration.sites import Site
from rsseg_edge.calibration.steps import WEIGHT_LEVEL, weight_steps
from rsseg_edge.calibration.wiring import Wiring
from rsseg_edge.engines.onnxruntime import OnnxRuntimeEngine

PLACES = 1024
"""About so many places of a tensor are looked at in an image."""

DAMPING = 0.01
"""Share of a channel's mean square that is added to all: few images do not tell apart what hardly varies."""

_MOST = 2048
"""Channels: the moments of more would take 32 MB and more a layer."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rounding:
    """The integers of a weight.

    Attributes:
        integers: int8, of the weight's shape.
        steps: float32 [O].
        shift: float32 [O], what the bias has to be raised by.
    """

    integers: npt.NDArray[np.int8]
    steps: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]


def round_weights(
    model: onnx.ModelProto, sites: Sequence[Site], samples: Samples, progress: Progress | None = None
) -> dict[str, Rounding]:
    """Of every site that is a 1x1 convolution with a bias, by its node.

    Args:
        model: in float32; nodes have names.
        sites: of it.
        samples: inputs to run it on.
        progress: told after each sample.

    Raises:
        RssegError: the graph does not run.
    """
    wiring = Wiring(model)
    nodes = {node.name: node for node in model.graph.node}
    chosen = [
        site
        for site in sites
        if site.kind in ("conv", "conv of a block")
        and wiring.constants[site.weight].dims[2:] == [1, 1]
        and wiring.constants[site.weight].dims[1] <= _MOST
        and len(nodes[site.node].input) > 2
        and nodes[site.node].input[2] in wiring.constants
    ]
    channels = {site.activation: int(wiring.constants[site.weight].dims[1]) for site in chosen}
    moments = _moments(model, channels, samples, progress)
    return {site.node: _rounding(wiring.array(site.weight), *moments[site.activation]) for site in chosen}


def raise_bias(wiring: Wiring, node: onnx.NodeProto, rounding: Rounding) -> None:
    """Give a convolution a bias of its own that makes up for its rounding."""
    name = f"{node.input[2]}/{node.name}/raised"
    value = wiring.array(node.input[2]) + rounding.shift
    wiring.graph.initializer.append(numpy_helper.from_array(value, name))
    wiring.constants[name] = wiring.graph.initializer[-1]
    node.input[2] = name


def round_columns(weight: Doubles, second: Doubles, steps: Doubles) -> Doubles:
    """Integers of a weight [O, I] in steps [O] that change its products with vectors of given second moments the least.

    Args:
        weight: float64 [O, I].
        second: float64 [I, I], mean of x xT.
        steps: float64 [O].

    Returns:
        Whole numbers, float64 [O, I].
    """
    order = np.argsort(-np.diag(second), kind="stable")
    moment = second[np.ix_(order, order)]
    moment = moment + (DAMPING * np.diag(moment).mean() + 1e-12) * np.eye(len(moment))
    left = weight[:, order].copy()
    factor = np.linalg.cholesky(np.linalg.inv(moment)).T
    integers = np.empty_like(left)
    for column in range(left.shape[1]):
        integers[:, column] = np.clip(np.round(left[:, column] / steps), -WEIGHT_LEVEL, WEIGHT_LEVEL)
        error = (left[:, column] - integers[:, column] * steps) / factor[column, column]
        left[:, column + 1 :] -= np.outer(error, factor[column, column + 1 :])
    result = np.empty_like(integers)
    result[:, order] = integers
    return result


def _rounding(weight: npt.NDArray[np.float32], mean: Doubles, second: Doubles) -> Rounding:
    steps = weight_steps(weight, 0, WEIGHT_LEVEL)
    exact = weight[:, :, 0, 0].astype(np.float64)
    integers = round_columns(exact, second, steps.astype(np.float64))
    shift = (exact - integers * steps[:, None]) @ mean
    return Rounding(integers.astype(np.int8).reshape(weight.shape), steps, shift.astype(np.float32))


def _moments(
    model: onnx.ModelProto, channels: Mapping[str, int], samples: Samples, progress: Progress | None
) -> dict[str, tuple[Doubles, Doubles]]:
    """Mean [C] and second moments [C, C] of the places of tensors [B, C, H, W], each sample counting the same."""
    if not channels:
        return {}
    sizes = OnnxRuntimeEngine(expose_sizes(model, list(channels)).SerializeToString(), name="measurement of moments")
    counts = sizes.infer(samples[0])
    sizes.close()
    strides = {name: prime_from(int(counts[part(name, "size")]) // n // PLACES) for name, n in channels.items()}
    engine = OnnxRuntimeEngine(
        expose_moments(model, channels, strides).SerializeToString(), name="measurement of moments"
    )
    sums = {name: (np.zeros(n), np.zeros((n, n))) for name, n in channels.items()}
    for index in range(len(samples)):
        told = engine.infer(samples[index])
        for name, (mean, second) in sums.items():
            mean += told[part(name, "mean")] / len(samples)
            second += told[part(name, "second")] / len(samples)
        if progress:
            progress(index + 1, len(samples))
    engine.close()
    return sums

"""Weights out of a graph that we exported, back into the network: its BatchNorms are folded into its convolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

Convolutions = Mapping[str, tuple[Tensor, Tensor]]


def convolutions(graph: onnx.ModelProto) -> dict[str, tuple[Tensor, Tensor]]:
    """Kernel and bias of each convolution, float32, by the name that the convolution has in the exported network."""
    values = {i.name: i for i in graph.graph.initializer}

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(numpy_helper.to_array(values[name]).astype(np.float32))

    found = {}
    for node in graph.graph.node:
        if node.op_type == "Conv" and node.input[1] in values:
            weight = tensor(node.input[1])
            has_bias = len(node.input) > 2 and node.input[2] in values
            bias = tensor(node.input[2]) if has_bias else torch.zeros(len(weight))
            # A padded convolution is wrapped for export: its kernel is one name deeper.
            found[node.input[1].removesuffix(".weight").removesuffix(".conv")] = (weight, bias)
    return found


def unfold(module: nn.Module, found: Convolutions, exported: Callable[[str], str]) -> list[str]:
    """Put each kernel in its place, and its bias into the BatchNorm behind it, which then does nothing but add.

    Args:
        module: whose convolutions and BatchNorms are filled.
        found: see :func:`convolutions`.
        exported: from a convolution's name in ``module`` to its name in ``found``.

    Returns:
        Names of what has no counterpart.
    """
    unfit = []
    folded: Tensor | None = None  # of the last convolution, where it awaits a BatchNorm
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            weight, bias = found.get(exported(name), (None, None))
            if weight is None or bias is None or weight.shape != part.weight.shape:
                unfit.append(name)
                continue
            part.weight.data.copy_(weight)
            if part.bias is None:
                folded = bias
            else:
                part.bias.data.copy_(bias)
        elif isinstance(part, nn.BatchNorm2d):
            if folded is None or len(folded) != part.num_features or part.running_mean is None:
                unfit.append(name)
                continue
            assert part.running_var is not None
            part.running_mean.zero_()
            part.running_var.fill_(1 - part.eps)
            part.weight.data.fill_(1)
            part.bias.data.copy_(folded)
            folded = None
    return unfit

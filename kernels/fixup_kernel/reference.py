"""The learned correction of a filter's kernels by themselves and the guidance, in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from rsseg_edge.kernels.pixel_mlp.reference import pixel_mlp


def fixup_kernel(
    kernel: Tensor, guidance: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor
) -> Tensor:
    """kernel + pixel_mlp(kernel and guidance, one after the other); a factor of the correction is in the last weights.

    Args:
        kernel: [B, H, W, T].
        guidance: [B, H, W, G].
        weight1: [D, T + G].
        bias1: [D].
        weight2: [T, D].
        bias2: [T].

    Returns:
        [B, H, W, T].
    """
    return kernel + pixel_mlp(torch.cat((kernel, guidance), -1), weight1, bias1, weight2, bias2)

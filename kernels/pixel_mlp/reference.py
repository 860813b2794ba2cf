"""Two linear layers with a GELU between them for every pixel, in plain PyTorch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pixel_mlp(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """weight2 gelu(weight1 x + bias1) + bias2, with the exact GELU.

    Args:
        x: [B, H, W, C].
        weight1: [D, C].
        bias1: [D].
        weight2: [E, D].
        bias2: [E].

    Returns:
        [B, H, W, E].
    """
    return F.linear(F.gelu(F.linear(x, weight1, bias1)), weight2, bias2)

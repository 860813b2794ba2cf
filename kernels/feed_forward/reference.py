"""A feed-forward block with LayerNorm before and within its branch, in plain PyTorch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def feed_forward(
    x: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    inner_weight: Tensor,
    inner_bias: Tensor,
    weight2: Tensor,
    bias2: Tensor,
) -> Tensor:
    """x + norm(relu(norm(x) weight1 + bias1)) weight2 + bias2, both LayerNorms with an epsilon of 1e-5.

    Args:
        x: [B, N, C].
        norm_weight: of the outer LayerNorm, [C].
        norm_bias: [C].
        weight1: [C, H].
        bias1: [H].
        inner_weight: of the inner LayerNorm, [H].
        inner_bias: [H].
        weight2: [H, C].
        bias2: [C].

    Returns:
        [B, N, C].
    """
    normed = F.layer_norm(x, norm_weight.shape, norm_weight, norm_bias)
    hidden = F.relu(normed @ weight1 + bias1)
    return x + (F.layer_norm(hidden, inner_weight.shape, inner_weight, inner_bias) @ weight2 + bias2)

"""A self-attention block with LayerNorm before and after its attention, in plain PyTorch."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def self_attention(
    x: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight: Tensor,
    addend: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
    out_norm_weight: Tensor,
    out_norm_bias: Tensor,
    num_heads: int,
) -> Tensor:
    """x + norm(attend(norm(x) weight + addend) out_weight + out_bias), both LayerNorms with an epsilon of 1e-5.

    Scores are scaled by 1 / sqrt(C / num_heads).

    Args:
        x: [B, N, C].
        norm_weight: of the LayerNorm before, [C].
        norm_bias: [C].
        weight: of queries, keys and values, [C, 3C].
        addend: their biases, with what positions add to them, [1 or N, 3C].
        out_weight: [C, C].
        out_bias: [C].
        out_norm_weight: of the LayerNorm behind, [C].
        out_norm_bias: [C].
        num_heads: divides C.

    Returns:
        [B, N, C].
    """
    channels = norm_weight.shape
    projected = F.layer_norm(x, channels, norm_weight, norm_bias) @ weight + addend
    q, k, v = projected.reshape(*x.shape[:2], 3, num_heads, -1).permute(2, 0, 3, 1, 4)
    mixed = ((q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)).softmax(-1) @ v
    out = mixed.transpose(1, 2).flatten(2) @ out_weight + out_bias
    return x + F.layer_norm(out, channels, out_norm_weight, out_norm_bias)

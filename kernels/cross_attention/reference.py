"""Cross-attention to words that bring their projections along, in plain PyTorch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cross_attention(
    x: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    position: Tensor,
    keys: Tensor,
    values: Tensor,
    scores: Tensor,
    out_bias: Tensor,
    out_norm_weight: Tensor,
    out_norm_bias: Tensor,
    num_heads: int,
) -> Tensor:
    """x + norm(softmax((norm(x) + position) keys' + scores) values + out_bias), the LayerNorms with an epsilon of 1e-5.

    A head's query and key projections are one matrix, and so are its value and output projections: who makes the keys
    and the values multiplies by both. The softmax is over the words of each head.

    Args:
        x: [B, N, C].
        norm_weight: of the LayerNorm before, [C].
        norm_bias: [C].
        position: [N, C].
        keys: [B, M, C], M the number of heads times that of words, head by head.
        values: [B, M, C].
        scores: added to the products, [B, M]; -1e4 hides a word.
        out_bias: [C].
        out_norm_weight: of the LayerNorm behind, [C].
        out_norm_bias: [C].
        num_heads: divides M.

    Returns:
        [B, N, C].
    """
    channels = norm_weight.shape
    query = F.layer_norm(x, channels, norm_weight, norm_bias) + position
    products = query @ keys.transpose(1, 2) + scores[:, None]
    share = products.reshape(*products.shape[:2], num_heads, -1).softmax(3)
    read = share.flatten(2) @ values + out_bias
    return x + F.layer_norm(read, channels, out_norm_weight, out_norm_bias)

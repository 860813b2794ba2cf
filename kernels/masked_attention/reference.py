"""Masked cross-attention in plain PyTorch."""

from __future__ import annotations

import math

from torch import Tensor


def masked_attention(query: Tensor, key: Tensor, value: Tensor, mask_logits: Tensor, num_heads: int) -> Tensor:
    """Multi-head attention of queries on the positions that their own mask allows.

    A query attends where its mask logit is >= 0 (sigmoid >= 0.5), and everywhere if that is nowhere
    (Cheng et al., Mask2Former, section 3.2.1). Scores are scaled by 1 / sqrt(C / num_heads).

    Args:
        query: [B, N, C].
        key: [B, L, C].
        value: [B, L, C].
        mask_logits: [B, N, L], shared by all heads. No gradient flows through it.
        num_heads: divides C.

    Returns:
        [B, N, C].
    """
    allowed = mask_logits >= 0
    allowed = allowed | ~allowed.any(-1, keepdim=True)
    q, k, v = (x.reshape(*x.shape[:2], num_heads, -1).transpose(1, 2) for x in (query, key, value))
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)  # [B, heads, N, L]
    scores = scores.masked_fill(~allowed[:, None], -math.inf)
    out: Tensor = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    return out

"""From class scores to what is deployed: a class map and a confidence."""

from __future__ import annotations

import torch
from torch import Tensor


def decide(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Best class and its share of the scores, as uint8.

    Written as a chain of comparisons: runtimes execute an argmax over a strided axis one pixel at a time, but
    elementwise operations with vector instructions.

    Args:
        scores: [B, K, H, W], summing to 1 over K. Ties go to the lower class.

    Returns:
        Class map 0..K-1 and confidence 0..255, uint8 [B, H, W] each.
    """
    best, *others = scores.unbind(1)
    classes = (best < 0).to(torch.uint8)  # zeros of the right shape, however that is known
    for k, score in enumerate(others, 1):
        classes = torch.where(score > best, torch.full((), k, dtype=torch.uint8, device=scores.device), classes)
        best = torch.maximum(best, score)
    return classes, (best * 255 + 0.5).to(torch.uint8)

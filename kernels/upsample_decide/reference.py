"""Shares enlarged four times, then the best class and its share as bytes, in plain PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def upsample_decide(shares: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The greatest of the shares at every pixel of four times their height and width, bilinearly between them.

    Args:
        shares: [B, K, h, w], 0..1.
        classes: K.

    Returns:
        Class 0..K-1, the lower one of two that are alike, and 255 times its share, rounded: uint8 [B, 4h, 4w] each.
    """
    assert shares.shape[1] == classes
    wide = F.interpolate(shares, scale_factor=4, mode="bilinear", align_corners=False)
    best, index = wide.max(1)
    return index.to(torch.uint8), (best * 255 + 0.5).to(torch.uint8)

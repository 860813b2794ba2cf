"""Upsampling by two with a kernel of its own for every pixel, in plain PyTorch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def adaptive_upsample(features: Tensor, kernel: Tensor, radius: int) -> Tensor:
    """out(p) = sum over o in the window of kernel(p, o) * up(p + o), up = bicubic x2 of the features.

    Bicubic as PyTorch's: A = -0.75, ``align_corners=False``, borders repeated. The window reaches over the border of
    ``up`` by reflection (SegEarth-OV, section 3.2; ``JBULearnedRange.forward``).

    Args:
        features: [B, h, w, C].
        kernel: [B, 2h, 2w, K * K] with K = 2 * radius + 1, row by row; 2h and 2w are larger than ``radius``.
        radius: of the window.

    Returns:
        [B, 2h, 2w, C].
    """
    height, width = kernel.shape[1:3]
    size = 2 * radius + 1
    up = F.interpolate(features.permute(0, 3, 1, 2), scale_factor=2, mode="bicubic", align_corners=False)
    padded = F.pad(up, [radius] * 4, mode="reflect").permute(0, 2, 3, 1)
    out = features.new_zeros(*kernel.shape[:3], features.shape[3])
    for dy in range(size):
        for dx in range(size):
            weight = kernel[..., dy * size + dx, None]
            out = out + weight * padded[:, dy : dy + height, dx : dx + width]
    return out

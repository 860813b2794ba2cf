"""The joint bilateral kernel of SimFeatUp in plain PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def bilateral_kernel(range_features: Tensor, spatial: Tensor, temperature: Tensor, radius: int) -> Tensor:
    """Weights of a joint bilateral filter: similarity of range features in a window, times a spatial kernel.

    kernel(p, o) = softmax over o of temperature * <r(p + o), r(p)>, times spatial(o), normalised to sum 1 (the sum is
    clamped at 1e-7), with reflect padding (SegEarth-OV, section 3.2; ``JBULearnedRange.get_range_kernel``).

    Args:
        range_features: r, [B, H, W, R]; H and W are larger than ``radius``.
        spatial: [K * K] with K = 2 * radius + 1, row by row: exp(-|o|^2 / (2 sigma^2)), o from -1 to 1.
        temperature: [1], the factor itself: clamp(exp(learned), 1e-4, 1e4).
        radius: of the window.

    Returns:
        [B, H, W, K * K].
    """
    height, width = range_features.shape[1:3]
    size = 2 * radius + 1
    padded = F.pad(range_features.permute(0, 3, 1, 2), [radius] * 4, mode="reflect").permute(0, 2, 3, 1)
    scores = torch.stack(
        [
            (padded[:, dy : dy + height, dx : dx + width] * range_features).sum(-1)
            for dy in range(size)
            for dx in range(size)
        ],
        dim=-1,
    )
    weighted = (temperature * scores).softmax(-1) * spatial
    return weighted / weighted.sum(-1, keepdim=True).clamp(min=1e-7)

"""The mean of the four values in the middle of each square, in plain PyTorch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def middle_mean(x: Tensor, factor: int) -> Tensor:
    """What a bilinear reduction by an even factor is, without aligned corners and without antialiasing.

    Args:
        x: [B, C, H, W], H and W multiples of the factor.
        factor: even.

    Returns:
        [B, C, H / factor, W / factor].
    """
    first = factor // 2 - 1
    middle = x.unflatten(3, (-1, factor))[..., first : first + 2].flatten(3)
    middle = middle.unflatten(2, (-1, factor))[:, :, :, first : first + 2].flatten(2, 3)
    return F.avg_pool2d(middle, 2)

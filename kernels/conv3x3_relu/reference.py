"""A 3x3 convolution with what is added to it and its ReLU, in plain PyTorch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def conv3x3_relu(x: Tensor, weight: Tensor, addend: Tensor) -> Tensor:
    """relu(conv(x) + addend), of stride 1 and padding 1.

    Args:
        x: [B, C, H, W].
        weight: [D, C, 3, 3].
        addend: a bias [1, D, 1, 1], or one that differs from place to place, [1 or B, D, 1 or H, 1 or W].

    Returns:
        [B, D, H, W].
    """
    return F.relu(F.conv2d(x, weight, padding=1) + addend)

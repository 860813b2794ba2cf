"""Bilinear upsampling by two, then a 3x3 convolution with its ReLU, in plain PyTorch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.kernels.conv3x3_relu.reference import conv3x3_relu


def upsample_conv3x3_relu(x: Tensor, weight: Tensor, addend: Tensor) -> Tensor:
    """relu(conv(up(x)) + addend); up is PyTorch's bilinear x2 with ``align_corners=False``.

    Args:
        x: [B, C, h, w].
        weight: [D, C, 3, 3].
        addend: [1 or B, D, 1 or H, 1 or W] with H = 2h and W = 2w.

    Returns:
        [B, D, H, W].
    """
    up = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return conv3x3_relu(up, weight, addend)

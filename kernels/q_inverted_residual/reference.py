"""A block of a mobile network on 8-bit codes, in plain PyTorch: floats rounded to what the codes stand for."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.kernels.q_separable_conv.reference import q_separable_conv, rounded, whole


def q_inverted_residual(
    x: Tensor,
    x_step: Tensor,
    expand_weight: Tensor,
    expand_step: Tensor,
    expand_bias: Tensor,
    depth_weight: Tensor,
    depth_bias: Tensor,
    hidden_step: Tensor,
    project_weight: Tensor,
    project_step: Tensor,
    project_bias: Tensor,
    addend: Tensor,
    limits: Tensor,
    channels: int,
    stride: int,
    offset: int,
) -> Tensor:
    """Sandler et al., "MobileNetV2", CVPR 2018, with the products of its 1x1 convolutions on integers.

    Args:
        x: [B, H, W, C].
        x_step: [2], what a code of x stands for: its step, and the code of zero, 0..255.
        expand_weight: [E, C], rounded to -127..127 times its row's step.
        expand_step: [E].
        expand_bias: [E].
        depth_weight: [E, k, k], k odd; not rounded.
        depth_bias: [E].
        hidden_step: [2], of what the depthwise convolution gives.
        project_weight: [D, E], rounded likewise.
        project_step: [D].
        project_bias: [D].
        addend: [B, h, w, D] or [1, 1, 1, 1].
        limits: [4], least and greatest value of the hidden channels, before and after the depthwise convolution, and of
            the output.
        channels: E.
        stride: of the depthwise convolution.
        offset: of its first place from the border, 0 or 1: what TensorFlow's padding of even sides is.

    Returns:
        [B, h, w, D], h and w being H and W less the offset, over the stride, rounded up.
    """
    wide = F.linear(rounded(x, x_step), whole(expand_weight, expand_step), expand_bias).clamp(limits[0], limits[1])
    middle = (depth_weight, depth_bias, hidden_step, project_weight, project_step, project_bias)
    return q_separable_conv(wide, *middle, addend, limits, channels, stride, offset)

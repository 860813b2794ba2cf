"""A depthwise separable convolution on 8-bit codes, in plain PyTorch: floats rounded to what the codes stand for."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def q_separable_conv(
    x: Tensor,
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
    """A depthwise convolution, and a 1x1 convolution of 8-bit codes of what it gives.

    Args:
        x: [B, H, W, E].
        depth_weight: [E, k, k], k odd; not rounded.
        depth_bias: [E].
        hidden_step: [2], what a code between the layers stands for: its step, and the code of zero, 0..255.
        project_weight: [D, E], rounded to -127..127 times its row's step.
        project_step: [D].
        project_bias: [D].
        addend: [B, h, w, D] or [1, 1, 1, 1].
        limits: [4], least and greatest value of what the depthwise convolution gives, and of the output.
        channels: E.
        stride: of the depthwise convolution.
        offset: of its first place from the border, 0 or 1: what TensorFlow's padding of even sides is.

    Returns:
        [B, h, w, D], h and w being H and W less the offset, over the stride, rounded up.
    """
    planes, padding = x.permute(0, 3, 1, 2), depth_weight.shape[1] // 2
    every = F.conv2d(planes, depth_weight[:, None], depth_bias, padding=padding, groups=channels)
    hidden = every[..., offset::stride, offset::stride].clamp(limits[0], limits[1]).permute(0, 2, 3, 1)
    made = F.linear(rounded(hidden, hidden_step), whole(project_weight, project_step), project_bias)
    return (made + addend).clamp(limits[2], limits[3])


def rounded(x: Tensor, step: Tensor) -> Tensor:
    """What the codes of x stand for."""
    return ((x / step[0] + step[1]).round().clamp(0, 255) - step[1]) * step[0]


def whole(weight: Tensor, step: Tensor) -> Tensor:
    """A weight [O, I] on the integers of its rows' steps [O]."""
    return (weight / step[:, None]).round().clamp(-127, 127) * step[:, None]

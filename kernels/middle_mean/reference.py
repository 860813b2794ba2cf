"""The mean of the four values in the middle of each square, in plain PyTorch."""

from __future__ import annotations

from torch import Tensor


def middle_mean(x: Tensor, factor: int) -> Tensor:
    """What a bilinear reduction by an even factor is, without aligned corners and without antialiasing.

    Args:
        x: [B, C, H, W], H and W multiples of the factor.
        factor: even.

    Returns:
        [B, C, H / factor, W / factor].
    """
    batch, channels, height, width = x.shape
    first = factor // 2 - 1
    squares = x.reshape(batch, channels, height // factor, factor, width // factor, factor)
    return squares[:, :, :, first : first + 2, :, first : first + 2].mean((3, 5))

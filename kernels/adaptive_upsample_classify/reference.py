"""Adaptive upsampling followed by cosine classification, in plain PyTorch."""

from __future__ import annotations

from torch import Tensor

from rsseg_edge.kernels.adaptive_upsample.reference import adaptive_upsample


def adaptive_upsample_classify(features: Tensor, kernel: Tensor, bias: Tensor, text: Tensor, radius: int) -> Tensor:
    """logits(p, q) = <F(p) / |F(p)|, t_q> with F = adaptive_upsample(features) + bias.

    The length |F| is clamped at 1e-12, as ``torch.nn.functional.normalize`` does.

    Args:
        features: [B, h, w, C].
        kernel: [B, 2h, 2w, K * K], see :func:`adaptive_upsample`.
        bias: [C], what remains of the upsampler's last 1x1 convolution when its matrix is applied to the tokens.
        text: [Q, C], rows of length 1 where cosines are wanted.
        radius: of the window.

    Returns:
        [B, 2h, 2w, Q].
    """
    upsampled = adaptive_upsample(features, kernel, radius) + bias
    length = upsampled.square().sum(-1, keepdim=True).sqrt()
    logits: Tensor = (upsampled @ text.T) / length.clamp(min=1e-12)
    return logits

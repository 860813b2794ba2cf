"""From upsampled features back to tokens: how a vision transformer's patch sums up its pixels, learned."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLUR = 2
"""Radius of the Gaussian blur; its standard deviation is 1 pixel."""


class AttentionDownsampler(nn.Module):
    """A token is the mean of its patch's pixels, weighted by a softmax over the patch.

    The softmax is of w * a + b: a is a learned linear function of a pixel's blurred feature, w and b are learned for
    every place in a patch (Fu et al., "FeatUp", ICLR 2024, section 3.2).

    A linear function of features commutes with upsampling, jitter, blur and mean, which treat all channels alike. So
    ``forward`` takes any channels, for instance a random projection of the features, and a as one channel more.

    Args:
        channels: C of the features.
        patch: side of a patch, in pixels.
    """

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.attention = nn.Linear(channels, 1)
        self.w = nn.Parameter(1 + 0.01 * torch.randn(patch, patch))
        self.b = nn.Parameter(0.01 * torch.randn(patch, patch))

    def query(self, batch: int) -> Tensor:
        """The vectors whose product with a feature is its attention but for a constant: [B, C, 1].

        In training a fifth of the channels is left out, others for every image. (The published code draws anew for
        every pixel, for which all channels would have to be there.)
        """
        weight = self.attention.weight.T.expand(batch, -1, 1)
        return F.dropout(torch.ones_like(weight), 0.2, self.training) * weight

    def forward(self, features: Tensor, attention: Tensor) -> Tensor:
        """Tokens of features.

        Args:
            features: [B, H, W, D], H and W multiples of the patch.
            attention: the features, all C channels of them, times :meth:`query`: [B, H, W, 1].

        Returns:
            [B, H / patch, W / patch, D].
        """
        blurred = blur(torch.cat((features, attention), -1))
        patches = blurred.unflatten(2, (-1, self.patch)).unflatten(1, (-1, self.patch))  # [B, h, P, w, P, D + 1]
        patches = patches.transpose(2, 3).flatten(3, 4)
        logits = patches[..., -1] + self.attention.bias
        # A fifth of the patches does without: the mean has to be right where the attention is not.
        keep = F.dropout(torch.ones_like(logits[..., :1]), 0.2, self.training) > 0
        weights = (logits * keep * self.w.flatten() + self.b.flatten()).softmax(-1)
        return torch.einsum("bhwp,bhwpd->bhwd", weights, patches[..., :-1])


def blur(x: Tensor) -> Tensor:
    """Gaussian of 5 x 5 pixels, reflected borders: [B, H, W, D] to the same."""
    offsets = torch.arange(-BLUR, BLUR + 1, device=x.device, dtype=x.dtype)
    gaussian = torch.exp(-offsets.square() / 2)
    weights: list[float] = (gaussian / gaussian.sum()).tolist()
    padded = F.pad(x.permute(0, 3, 1, 2), [BLUR] * 4, mode="reflect").permute(0, 2, 3, 1)
    height, width = x.shape[1:3]
    rows = torch.zeros_like(padded[:, :height])
    for i, weight in enumerate(weights):
        rows = rows + weight * padded[:, i : i + height]
    blurred = torch.zeros_like(x)
    for i, weight in enumerate(weights):
        blurred = blurred + weight * rows[:, :, i : i + width]
    return blurred

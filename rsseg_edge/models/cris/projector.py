"""The projector: a convolution that the sentence writes, text-to-pixel similarity at stride 4."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.models.cris.neck import conv_block

_KERNEL = 3


class Projector(nn.Module):
    """A map [B, C, H, W] and the sentence state [B, D] to logits [B, 1, 4H, 4W].

    With ``detail_channels``, which the published network does not have, edges come from the image: its features at
    stride 4 are added before the last ReLU.
    """

    def __init__(self, channels: int, state_dim: int, detail_channels: int = 0) -> None:
        super().__init__()
        half = channels // 2
        self.upsample = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv_block(channels, channels, 3),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv_block(channels, half, 3),
        )
        if detail_channels:
            self.detail = nn.Sequential(nn.Conv2d(detail_channels, half, 1, bias=False), nn.BatchNorm2d(half))
        self.pixel = nn.Conv2d(half, half, 1)
        self.state = nn.Linear(state_dim, half * _KERNEL**2 + 1)

    def forward(self, x: Tensor, state: Tensor, detail: Tensor | None = None) -> Tensor:
        """Logits; ``detail`` [B or 1, C/2, 4H, 4W] is what ``self.detail`` makes of the image."""
        kernel, offset = self.weights(state)
        if detail is None:
            return similarity(self.upsample(x), kernel, offset)
        *first, last = self.upsample.children()
        for module in first:
            x = module(x)
        conv, norm, _ = last.children()
        return similarity(torch.relu(norm(conv(x)) + detail), kernel, offset)

    def weights(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """What a sentence writes: rows of weights [B, 9, C/2], and what to add to the nine products and their sum.

        The second is [B, 10]. A row is one place of the 3x3 kernel. What lies between two linear maps is one: ``pixel``
        is applied to nine rows instead of to every pixel.
        """
        written = self.state(state)
        assert self.pixel.bias is not None
        kernel = written[:, :-1].unflatten(1, (-1, _KERNEL**2)).transpose(1, 2)
        # A column, not a vector: ONNX Runtime 1.31 fuses transpose() into a product with a vector and gets it wrong.
        offset = torch.cat(((kernel @ self.pixel.bias[:, None])[..., 0], written[:, -1:]), 1)
        return kernel @ self.pixel.weight.flatten(1), offset


def similarity(x: Tensor, kernel: Tensor, offset: Tensor) -> Tensor:
    """Logits [B, 1, H, W] of pixels [B, C, H, W] by what :meth:`Projector.weights` gives."""
    planes = kernel @ x.flatten(2) + offset[:, :-1, None]
    return sum_shifted(planes.unflatten(2, x.shape[2:])) + offset[:, -1:, None, None]


def sum_shifted(planes: Tensor) -> Tensor:
    """The sum of a 3x3 convolution from its nine products: [B, 9, H, W], row by row of the kernel, to [B, 1, H, W].

    With the products as one matrix product this is a convolution whose weights differ from sample to sample, which
    runtimes have no fast kernel for. Zero-padded at the border.
    """
    height, width = planes.shape[2:]
    padded = F.pad(planes, (1, 1, 1, 1))
    shifted = [
        padded[:, i * _KERNEL + j, i : i + height, j : j + width] for i in range(_KERNEL) for j in range(_KERNEL)
    ]
    return torch.stack(shifted, 1).sum(1, keepdim=True)

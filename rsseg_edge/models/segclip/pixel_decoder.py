"""Pixel decoders: backbone features to memory at strides 32, 16, 8 and a per-pixel embedding at stride 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.models.segclip.config import PixelDecoderConfig
from rsseg_edge.models.segclip.deformable import DeformablePixelDecoder


class FPN(nn.Module):
    """A light feature pyramid: lateral 1x1, nearest x2 from above, separable 3x3 (twice for E) at each level.

    Features at strides 4, 8, 16, 32 to ([P5, P4, P3], E), each [B, C, h, w]. BatchNorm folds into the convolutions
    at export.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, config: PixelDecoderConfig) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_conv_bn(c, channels, 1) for c in in_channels)
        self.smooth = nn.ModuleList(_separable(channels, blocks) for blocks in (2, 1, 1, 1))
        self.embed = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        x = self.lateral[3](features[3])
        levels = [self.smooth[3](x)]
        for i in (2, 1, 0):
            x = self.lateral[i](features[i]) + F.interpolate(x, scale_factor=2.0, mode="nearest")
            levels.append(self.smooth[i](x))
        return levels[:3], self.embed(levels[3])


def _conv_bn(c_in: int, c_out: int, kernel: int, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


def _separable(channels: int, blocks: int) -> nn.Sequential:
    def block() -> list[nn.Module]:
        return [_conv_bn(channels, channels, 3, groups=channels), _conv_bn(channels, channels, 1), nn.ReLU()]

    return nn.Sequential(*[layer for _ in range(blocks) for layer in block()])


PIXEL_DECODERS: dict[str, Callable[[Sequence[int], int, PixelDecoderConfig], nn.Module]] = {
    "fpn": FPN,
    "deformable": DeformablePixelDecoder,
}

"""The multi-scale deformable-attention pixel decoder (as in Mask2Former, Cheng et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from rsseg_edge.models.segclip.config import PixelDecoderConfig


class DeformablePixelDecoder(nn.Module):
    def __init__(self, in_channels: Sequence[int], channels: int, config: PixelDecoderConfig) -> None:
        super().__init__()

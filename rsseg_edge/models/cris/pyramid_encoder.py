"""A small image encoder in place of CLIP's: the frozen backbone and feature pyramid of a trained SegCLIP."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsseg_edge.models.cris.config import PyramidVisionConfig
from rsseg_edge.models.cris.image_encoder import check_sides
from rsseg_edge.models.cris.pyramid_weights import load_pyramid
from rsseg_edge.models.segclip.backbone import Backbone
from rsseg_edge.models.segclip.config import BackboneConfig, PixelDecoderConfig
from rsseg_edge.models.segclip.pixel_decoder import FPN


class PyramidEncoder(nn.Module):
    """Image [B, 3, H, W], normalised, to v3, v4, v5 at strides 8, 16, 32 and a finer v2 at stride 4, all [B, C, h, w].

    They tell the classes of SegCLIP apart already, and are not trained further: a step then costs one pass forward of
    the image, whatever the number of its sentences. Weights are those of the configuration unless ``pretrained`` is
    False.

    Raises:
        UsageError: H or W is no multiple of 32; the weights are not there, or do not fit the network.
    """

    def __init__(
        self,
        config: PyramidVisionConfig,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        *,
        pretrained: bool,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(BackboneConfig(name=config.backbone, mean=mean, std=std), pretrained=False)
        self.pyramid = FPN(self.backbone.channels, config.channels, PixelDecoderConfig(kind="fpn"))
        self.channels = (config.channels,) * 3
        self.detail_channels = config.channels
        if pretrained and config.weights:
            load_pyramid(self, config.weights)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> PyramidEncoder:
        """Keeps its batch statistics as well, whatever the mode."""
        return super().train(False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        check_sides(image)
        with torch.no_grad():
            (v5, v4, v3), v2 = self.pyramid(self.backbone(image))
        return v3, v4, v5, v2

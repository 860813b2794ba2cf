"""A small image encoder in place of CLIP's: the features of a timm network at strides 8, 16 and 32."""

from __future__ import annotations

from torch import Tensor, nn

from rsseg_edge.models.cris.config import BackboneVisionConfig
from rsseg_edge.models.cris.image_encoder import check_sides
from rsseg_edge.models.segclip.backbone import Backbone
from rsseg_edge.models.segclip.config import BackboneConfig


class BackboneEncoder(nn.Module):
    """Image [B, 3, H, W], normalised, to v3 [B, c3, H/8, W/8], v4 [B, c4, H/16, W/16], v5 [B, c5, H/32, W/32].

    ``channels`` holds c3, c4, c5. Weights are those of the configuration unless ``pretrained`` is False.

    Raises:
        UsageError: H or W is no multiple of 32; the weights are not there, or do not fit the network.
    """

    def __init__(
        self,
        config: BackboneVisionConfig,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        *,
        pretrained: bool,
    ) -> None:
        super().__init__()
        backbone = BackboneConfig(
            name=config.backbone,
            weights=config.weights,
            freeze_to_stride_4=config.freeze_to_stride_4,
            mean=mean,
            std=std,
        )
        self.backbone = Backbone(backbone, pretrained=pretrained)
        c3, c4, c5 = self.backbone.channels[1:]
        self.channels = (c3, c4, c5)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        check_sides(image)
        _, v3, v4, v5 = self.backbone(image)
        return v3, v4, v5

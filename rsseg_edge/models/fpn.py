"""A plain feature pyramid with a linear classifier: the baseline that SegCLIP is measured against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.models.segclip.backbone import Backbone
from rsseg_edge.models.segclip.config import BackboneConfig


class PlainFPN(nn.Module):
    """Image RGB in 0..255 [B, 3, H, W] to class logits [B, K, H / 4, W / 4]. H and W are multiples of 32."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig, classes: int, channels: int = 128, *, pretrained: bool = True) -> None:
        super().__init__()
        self.backbone = Backbone(config, pretrained=pretrained)
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in self.backbone.channels)
        self.head = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, classes, 1),
        )
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        features = self.backbone((image / 255 - self.mean) / self.std)
        x = self.lateral[3](features[3])
        for i in (2, 1, 0):
            x = self.lateral[i](features[i]) + F.interpolate(x, scale_factor=2.0, mode="nearest")
        logits: Tensor = self.head(x)
        return logits

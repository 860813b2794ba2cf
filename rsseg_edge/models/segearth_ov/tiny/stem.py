"""The patch embedding of a hybrid vision transformer (Dosovitskiy et al., ICLR 2021, "hybrid architecture")."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.models.segclip.backbone import Backbone
from rsseg_edge.models.segearth_ov.tiny.config import TinyConfig

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
STRIDE = 16


class HybridStem(nn.Module):
    """Stands where a vision transformer has its patch convolution: a convolutional network down to stride 16.

    The deepest features, of stride 32, are enlarged and added: they know most of what a thing is.
    Image [B, 3, H, W], normalised as CLIP's, sides multiples of 16, to [B, width, H / 16, W / 16].

    Args:
        config: see :class:`TinyConfig`.
        pretrained: load the backbone's weights.
    """

    kernel_size = (STRIDE, STRIDE)

    scale: Tensor
    shift: Tensor

    def __init__(self, config: TinyConfig, *, pretrained: bool) -> None:
        super().__init__()
        self.backbone = Backbone(config.backbone, pretrained=pretrained)
        *_, middle, deep = self.backbone.channels
        self.middle = nn.Conv2d(middle, config.vit.width, 1, bias=False)
        self.deep = nn.Conv2d(deep, config.vit.width, 1, bias=False)
        scale = torch.tensor(CLIP_STD) / torch.tensor(config.backbone.std)
        shift = (torch.tensor(CLIP_MEAN) - torch.tensor(config.backbone.mean)) / torch.tensor(config.backbone.std)
        self.register_buffer("scale", scale[:, None, None], persistent=False)
        self.register_buffer("shift", shift[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        *_, middle, deep = self.backbone(image * self.scale + self.shift)
        enlarged = F.interpolate(self.deep(deep), middle.shape[2:], mode="bilinear", align_corners=False)
        embedded: Tensor = self.middle(middle) + enlarged
        return embedded


def hybrid_vit(config: TinyConfig, *, pretrained: bool) -> Any:
    """open_clip's vision transformer with a :class:`HybridStem`; its last block has no MLP, which nothing would use."""
    from open_clip.transformer import VisionTransformer

    size = config.vit
    vit = VisionTransformer(size.size, STRIDE, size.width, size.layers, size.heads, 4.0, output_dim=config.text.dim)
    vit.conv1 = HybridStem(config, pretrained=pretrained)
    last = vit.transformer.resblocks[-1]
    last.ln_2, last.mlp = nn.Identity(), nn.Identity()
    return vit

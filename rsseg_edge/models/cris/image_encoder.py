"""CLIP's ResNet with its attention pool applied densely: pixel features that live in CLIP's joint space."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.cris.config import VisionConfig

STRIDE = 32
"""Of the coarsest feature: image sides are multiples of it."""

_HEAD_WIDTH = 64  # of every CLIP model


class ImageEncoder(nn.Module):
    """Image [B, 3, H, W], CLIP-normalised, to v3 [B, 8w, H/8, W/8], v4 [B, 16w, H/16, W/16], v5 [B, D, H/32, W/32].

    w is the width of the ResNet, D the joint embedding's size; ``channels`` holds the three numbers of channels.

    Raises:
        UsageError: H or W is no multiple of 32.
    """

    def __init__(self, config: VisionConfig, embed_dim: int) -> None:
        super().__init__()
        from open_clip.modified_resnet import ModifiedResNet

        deepest = 32 * config.width
        heads = deepest // _HEAD_WIDTH
        self.net = ModifiedResNet(list(config.layers), embed_dim, heads, config.image_size, config.width)
        self.net.attnpool = DenseAttentionPool(config.image_size // STRIDE, deepest, heads, embed_dim)
        self.channels = (8 * config.width, 16 * config.width, embed_dim)
        self.detail_channels = 0

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        check_sides(image)
        v3: Tensor = self.net.layer2(self.net.layer1(self.net.stem(image)))
        v4: Tensor = self.net.layer3(v3)
        v5: Tensor = self.net.attnpool(self.net.layer4(v4))
        return v3, v4, v5


def check_sides(image: Tensor) -> None:
    """Refuse an image [B, 3, H, W] that the pyramid of features would not fit.

    Raises:
        UsageError: H or W is no multiple of 32.
    """
    height, width = image.shape[2:]
    if height % STRIDE or width % STRIDE:
        raise UsageError(f"an image of {width}x{height} pixels: its sides must be multiples of {STRIDE}")


class DenseAttentionPool(nn.Module):
    """CLIP's attention pool in which every position queries every position, with a 1x1 convolution around it.

    Parameters are named as in CLIP. ``positional_embedding`` [1 + grid * grid, C] begins with the class entry, which
    is left out here. Shapes: [B, C, H, W] to [B, D, H, W].
    """

    fixed: Tensor | None

    def __init__(self, grid: int, channels: int, heads: int, embed_dim: int) -> None:
        super().__init__()
        self.grid, self.heads = grid, heads
        self.register_buffer("fixed", None, persistent=False)
        self.positional_embedding = nn.Parameter(torch.randn(grid**2 + 1, channels) / channels**0.5)
        self.q_proj = nn.Linear(channels, channels)
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, embed_dim)
        self.connect = nn.Sequential(nn.Conv2d(channels, embed_dim, 1, bias=False), nn.BatchNorm2d(embed_dim))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        tokens = x.flatten(2).transpose(1, 2) + self.position(height, width)
        q, k, v = (self._split(project(tokens)) for project in (self.q_proj, self.k_proj, self.v_proj))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        pooled: Tensor = self.c_proj(mixed).transpose(1, 2).unflatten(2, (height, width))
        return torch.relu(pooled + self.connect(x))

    def position(self, height: int, width: int) -> Tensor:
        """The position embedding resized bicubically: [1, height * width, C]."""
        if self.fixed is not None and self.fixed.shape[1] == height * width:
            return self.fixed
        grid = self.positional_embedding[1:].T.unflatten(1, (self.grid, self.grid))[None]
        resized = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)
        return resized.flatten(2).transpose(1, 2)

    def fix_position(self, height: int, width: int) -> None:
        """Keep the embedding of a size as a constant: runtimes have no bicubic enlargement."""
        self.fixed = None
        self.fixed = self.position(height, width).detach()

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

"""The multi-scale deformable-attention pixel decoder (Mask2Former, Cheng et al., CVPR 2022, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.models.blocks import FeedForward, sine_position
from rsseg_edge.models.segclip.config import PixelDecoderConfig

Shapes = Sequence[tuple[int, int]]

_GROUPS = 32  # of every GroupNorm, as published


def ms_deform_attn(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """Multi-scale deformable attention (Zhu et al., ICLR 2021, equation 3), without its projections.

    Every query sums bilinear samples of the value maps. Positions follow pixel centres (``align_corners=False``);
    what lies outside a map is zero.

    Args:
        value: [B, L, M, D], the levels' pixels row by row, one level after another, for M heads.
        shapes: (height, width) of each level; their areas sum to L.
        locations: [B, Q, M, levels, P, 2], (x, y) where 0..1 spans the level.
        weights: [B, Q, M, levels, P].

    Returns:
        [B, Q, M * D], heads side by side.
    """
    batch, _, heads, depth = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    grids = (2 * locations - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)  # [levels, B * M, Q, P, 2]
    shares = weights.permute(3, 0, 2, 1, 4).reshape(-1, batch * heads, 1, queries, points)
    out = value.new_zeros(())
    for level, (height, width) in enumerate(shapes):
        start = sum(h * w for h, w in shapes[:level])
        maps = value[:, start : start + height * width].permute(0, 2, 3, 1)  # [B, M, D, h * w]
        sampled = F.grid_sample(maps.reshape(batch * heads, depth, height, width), grids[level], align_corners=False)
        out = out + (sampled * shares[level]).sum(-1)
    return out.reshape(batch, heads * depth, queries).transpose(1, 2)


class DeformableAttention(nn.Module):
    """Each pixel of each level attends to a few points of all levels around itself; residual and LayerNorm after it.

    Shapes: x [B, L, C], position [1, L, C], reference [L, 2] (x, y of each pixel's centre in 0..1), out [B, L, C].
    """

    def __init__(self, channels: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(channels, heads * levels * points * 2)
        self.weights = nn.Linear(channels, heads * levels * points)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self._initialise()

    def _initialise(self) -> None:
        """As Deformable DETR does: each head looks its own way, point p at p + 1 pixels, all with the same weight."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        way = torch.stack((angle.cos(), angle.sin()), 1)
        way = way / way.abs().amax(1, keepdim=True)  # on the unit square, not the circle
        steps = torch.arange(1, self.points + 1)[:, None]
        offsets = (way[:, None, None] * steps).expand(-1, self.levels, -1, -1)  # [heads, levels, points, 2]
        with torch.no_grad():
            self.offsets.bias.copy_(offsets.flatten())
        for zero in (self.offsets.weight, self.weights.weight, self.weights.bias, self.value.bias, self.out.bias):
            nn.init.zeros_(zero)
        nn.init.xavier_uniform_(self.value.weight)
        nn.init.xavier_uniform_(self.out.weight)

    def forward(self, x: Tensor, position: Tensor, reference: Tensor, shapes: Shapes) -> Tensor:
        query = x + position
        value = self.value(x).unflatten(-1, (self.heads, -1))
        around = self.offsets(query).unflatten(-1, (self.heads, self.levels, self.points, 2))
        weights = self.weights(query).unflatten(-1, (self.heads, self.levels * self.points)).softmax(-1)
        # Offsets count pixels of the level that is sampled.
        size = torch.tensor([(w, h) for h, w in shapes], dtype=x.dtype, device=x.device)[:, None]
        locations = reference[:, None, None, None] + around / size
        mixed = ms_deform_attn(value, shapes, locations, weights.unflatten(-1, (self.levels, self.points)))
        return self.norm(x + self.out(mixed))


class DeformableLayer(nn.Module):
    """Deformable attention and a feed-forward block: [B, L, C] to [B, L, C]."""

    def __init__(self, channels: int, levels: int, config: PixelDecoderConfig) -> None:
        super().__init__()
        self.attention = DeformableAttention(channels, config.heads, levels, config.points)
        self.feedforward = FeedForward(channels, config.feedforward)
        nn.init.xavier_uniform_(self.feedforward.linear1.weight)
        nn.init.xavier_uniform_(self.feedforward.linear2.weight)

    def forward(self, x: Tensor, position: Tensor, reference: Tensor, shapes: Shapes) -> Tensor:
        out: Tensor = self.feedforward(self.attention(x, position, reference, shapes))
        return out


class DeformablePixelDecoder(nn.Module):
    """Deformable attention over strides 32, 16 and 8 together, then one pyramid step to stride 4.

    Features at strides 4, 8, 16, 32 to ([P5, P4, P3], E), each [B, C, h, w]. C is a multiple of 32 and of the heads.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, config: PixelDecoderConfig) -> None:
        super().__init__()
        fine, *coarse = in_channels
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, channels, 1), nn.GroupNorm(_GROUPS, channels)) for c in reversed(coarse)
        )
        self.level = nn.Parameter(torch.randn(len(coarse), channels))
        self.layers = nn.ModuleList(DeformableLayer(channels, len(coarse), config) for _ in range(config.layers))
        self.lateral = nn.Sequential(nn.Conv2d(fine, channels, 1, bias=False), nn.GroupNorm(_GROUPS, channels))
        self.smooth = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.GroupNorm(_GROUPS, channels), nn.ReLU()
        )
        self.embed = nn.Conv2d(channels, channels, 1)
        for projection in self.project:
            nn.init.xavier_uniform_(projection[0].weight)  # type: ignore[index]
            nn.init.zeros_(projection[0].bias)  # type: ignore[index]
        for convolution in (self.lateral[0], self.smooth[0], self.embed):
            nn.init.kaiming_uniform_(cast(Tensor, convolution.weight), a=1)
        nn.init.zeros_(cast(Tensor, self.embed.bias))

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        fine, *coarse = features
        maps = [project(feature) for project, feature in zip(self.project, reversed(coarse), strict=True)]
        shapes = [(int(m.shape[2]), int(m.shape[3])) for m in maps]
        channels = maps[0].shape[1]
        position = torch.cat(
            [sine_position(*shape, channels, maps[0]) + self.level[i] for i, shape in enumerate(shapes)], 1
        )
        reference = torch.cat([_centres(*shape, maps[0]) for shape in shapes])
        x = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)
        for layer in self.layers:
            x = layer(x, position, reference, shapes)
        split = x.split([h * w for h, w in shapes], 1)
        memory = [part.transpose(1, 2).unflatten(2, shape) for part, shape in zip(split, shapes, strict=True)]
        lateral = self.lateral(fine)
        above = F.interpolate(memory[-1], size=lateral.shape[2:], mode="bilinear", align_corners=False)
        return memory, self.embed(self.smooth(lateral + above))


def _centres(height: int, width: int, like: Tensor) -> Tensor:
    """Centres of the pixels of a map, row by row: [height * width, 2], (x, y) in 0..1."""
    y = (torch.arange(height, dtype=like.dtype, device=like.device) + 0.5) / height
    x = (torch.arange(width, dtype=like.dtype, device=like.device) + 0.5) / width
    return torch.stack((x.repeat(height), y.repeat_interleave(width)), 1)

"""The multi-scale deformable-attention pixel decoder (Mask2Former, Cheng et al., CVPR 2022, section 3.2)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.kernels.torch_ops import ms_deform_attn
from rsseg_edge.models.blocks import FeedForward, sine_position
from rsseg_edge.models.segclip.config import PixelDecoderConfig

_GROUPS = 32  # of every GroupNorm, as published


@dataclass
class Levels:
    """Where the levels of a pyramid lie in one sequence of their pixels.

    Attributes:
        shapes: int64 [levels, 2], (height, width).
        starts: int64 [levels], the first pixel of each.
        reference: [L, 2], (x, y) of each pixel's centre in 0..1 of its level.
    """

    shapes: Tensor
    starts: Tensor
    reference: Tensor


class DeformableAttention(nn.Module):
    """Each pixel of each level attends to a few points of all levels around itself; residual and LayerNorm after it.

    Shapes: x [B, L, C], position [1, L, C], out [B, L, C]. Exported, the attention is one node, MSDeformAttn.
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

    def forward(self, x: Tensor, position: Tensor, levels: Levels) -> Tensor:
        query = x + position
        value = self.value(x).unflatten(-1, (self.heads, -1))
        around = self.offsets(query).unflatten(-1, (self.heads, self.levels, self.points, 2))
        weights = self.weights(query).unflatten(-1, (self.heads, self.levels * self.points)).softmax(-1)
        # Offsets count pixels of the level that is sampled.
        size = levels.shapes.flip(1).to(around)[:, None]
        locations = levels.reference[:, None, None, None] + around / size
        weights = weights.unflatten(-1, (self.levels, self.points))
        mixed = ms_deform_attn(value, levels.shapes, levels.starts, locations, weights)
        return self.norm(x + self.out(mixed))


class DeformableLayer(nn.Module):
    """Deformable attention and a feed-forward block: [B, L, C] to [B, L, C]."""

    def __init__(self, channels: int, levels: int, config: PixelDecoderConfig) -> None:
        super().__init__()
        self.attention = DeformableAttention(channels, config.heads, levels, config.points)
        self.feedforward = FeedForward(channels, config.feedforward)
        nn.init.xavier_uniform_(self.feedforward.linear1.weight)
        nn.init.xavier_uniform_(self.feedforward.linear2.weight)

    def forward(self, x: Tensor, position: Tensor, levels: Levels) -> Tensor:
        out: Tensor = self.feedforward(self.attention(x, position, levels))
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
        shapes = [(m.shape[2], m.shape[3]) for m in maps]
        channels = maps[0].shape[1]
        position = torch.cat(
            [sine_position(*shape, channels, maps[0]) + self.level[i] for i, shape in enumerate(shapes)], 1
        )
        areas = [height * width for height, width in shapes]
        levels = Levels(
            # On the CPU, wherever the features are: the reference reads them, and a GPU would be waited for.
            torch.tensor(shapes),
            torch.tensor([0, *itertools.accumulate(areas[:-1])]),
            torch.cat([_centres(*shape, maps[0]) for shape in shapes]),
        )
        x = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)
        for layer in self.layers:
            x = layer(x, position, levels)
        split = x.split(areas, 1)
        memory = [part.transpose(1, 2).unflatten(2, shape) for part, shape in zip(split, shapes, strict=True)]
        lateral = self.lateral(fine)
        above = F.interpolate(memory[-1], size=lateral.shape[2:], mode="bilinear", align_corners=False)
        return memory, self.embed(self.smooth(lateral + above))


def _centres(height: int, width: int, like: Tensor) -> Tensor:
    """Centres of the pixels of a map, row by row: [height * width, 2], (x, y) in 0..1."""
    y = (torch.arange(height, dtype=like.dtype, device=like.device) + 0.5) / height
    x = (torch.arange(width, dtype=like.dtype, device=like.device) + 0.5) / width
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)), 2).flatten(0, 1)

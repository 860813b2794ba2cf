"""The neck: the sentence multiplied into the deepest feature, and three levels of the image made one map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_block(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    """Convolution of the same size, BatchNorm, ReLU."""
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class Neck(nn.Module):
    """v3, v4, v5 at strides 8, 16, 32 and the sentence state [B, D] to a map [B, C, H/16, W/16].

    :meth:`project` does what depends on the image alone, :meth:`fuse` the rest: several sentences share one projection.

    Args:
        in_channels: of v3, v4, v5.
        channels: of the three fused levels; C is the second.
        state_dim: D.
    """

    def __init__(self, in_channels: Sequence[int], channels: Sequence[int], state_dim: int) -> None:
        super().__init__()
        c3, c, c5 = channels
        self.state = nn.Sequential(nn.Linear(state_dim, c5, bias=False), nn.BatchNorm1d(c5), nn.ReLU(inplace=True))
        self.project5 = conv_block(in_channels[2], c5, 1)
        self.project4 = conv_block(in_channels[1], c, 3)
        self.project3 = conv_block(in_channels[0], c3, 3)
        self.gated = nn.Sequential(nn.BatchNorm2d(c5), nn.ReLU(inplace=True))
        self.merge4 = conv_block(c5 + c, c, 1)
        self.merge3 = conv_block(c3 + c, c, 1)
        self.refine5 = conv_block(c5, c, 3)
        self.refine4 = conv_block(c, c, 3)
        self.refine3 = conv_block(c, c, 3)
        self.aggregate = conv_block(3 * c, c, 1)
        self.locate = conv_block(c + 2, c, 3)
        self.smooth = conv_block(c, c, 3)

    def forward(self, v3: Tensor, v4: Tensor, v5: Tensor, state: Tensor) -> Tensor:
        return self.fuse(*self.project(v3, v4, v5), state)

    def project(self, v3: Tensor, v4: Tensor, v5: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """p3, p4 at stride 16 and p5 at stride 32, which no sentence changes."""
        return F.avg_pool2d(self.project3(v3), 2), self.project4(v4), self.project5(v5)

    def fuse(self, p3: Tensor, p4: Tensor, p5: Tensor, state: Tensor) -> Tensor:
        """The map [B, C, H/16, W/16] of B sentences about B images, or about one."""
        p3, p4 = (p.expand(len(state), -1, -1, -1) for p in (p3, p4))
        f5 = self.gated(p5 * self.state(state)[..., None, None])
        f4 = self.merge4(torch.cat((p4, upsample(f5)), 1))
        f3 = self.merge3(torch.cat((p3, f4), 1))
        levels = (self.refine3(f3), self.refine4(f4), upsample(self.refine5(f5)))
        fused = self.aggregate(torch.cat(levels, 1))
        fused = self.locate(torch.cat((fused, coordinates(fused)), 1))
        out: Tensor = self.smooth(fused)
        return out


def upsample(x: Tensor) -> Tensor:
    """Twice the size, bilinearly."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def coordinates(x: Tensor) -> Tensor:
    """Columns, then rows, in -1..1: [B, 2, H, W] of a map [B, C, H, W]."""
    batch, _, height, width = x.shape
    columns = torch.linspace(-1, 1, width, dtype=x.dtype, device=x.device).expand(height, width)
    rows = torch.linspace(-1, 1, height, dtype=x.dtype, device=x.device)[:, None].expand(height, width)
    return torch.stack((columns, rows)).expand(batch, -1, -1, -1)

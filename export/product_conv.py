"""3x3 convolutions as matrix products: fewer multiplications where they stand beside an enlargement or in tiles."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_TILE = 4
# Winograd's minimal filtering of 4 outputs by 3 taps in 6 products (Lavin and Gray, 2016, section 4.1).
_INTO = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_TAPS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def fold(block: nn.Sequential) -> nn.Conv2d:
    """The convolution of a convolution and a BatchNorm in evaluation mode; a ReLU after them is left to the caller."""
    conv, norm = copy.deepcopy(block[0]), copy.deepcopy(block[1])
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, norm)


def take_inputs(conv: nn.Conv2d, begin: int, end: int, *, bias: bool) -> nn.Conv2d:
    """The part of a convolution that reads the channels from ``begin`` to ``end``; the parts' sum is the whole."""
    side, padding = conv.kernel_size[0], conv.padding[0]
    assert not isinstance(padding, str)
    part = nn.Conv2d(end - begin, conv.out_channels, side, padding=padding, bias=bias)
    part.weight = nn.Parameter(conv.weight[:, begin:end].detach().clone())
    if bias:
        assert conv.bias is not None
        part.bias = nn.Parameter(conv.bias.detach().clone())
    return part


class EnlargingConv(nn.Module):
    """Bilinear enlargement by two, then a 3x3 convolution of padding 1: [B, C, S, S] to [B, D, 2S, 2S].

    Both are linear. Each of the nine taps is a 1x1 convolution at the small size, a quarter of the multiplications;
    enlarging, shifting and adding the nine results is two products with constant matrices, columns and rows apart.
    """

    out: Tensor

    def __init__(self, conv: nn.Conv2d, size: int) -> None:
        super().__init__()
        channels_out, channels_in = conv.weight.shape[:2]
        # Channels in the order column tap, D, row tap: the row taps of a channel then lie below each other.
        self.taps = nn.Conv2d(channels_in, 9 * channels_out, 1, bias=False)
        self.taps.weight = nn.Parameter(conv.weight.detach().permute(3, 0, 2, 1).reshape(-1, channels_in, 1, 1))
        assert conv.bias is not None
        self.bias = nn.Parameter(conv.bias.detach().reshape(-1, 1, 1))
        self.register_buffer("out", _enlarge_and_shift(size), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2]
        rows = self.out @ self.taps(x).reshape(-1, len(self.bias), 3 * size, size)  # [3 B, D, 2S, S]
        columns = rows.reshape(-1, 3, len(self.bias), 2 * size, size).permute(0, 2, 3, 1, 4).flatten(3)
        return columns @ self.out.T + self.bias


def _enlarge_and_shift(size: int) -> Tensor:
    """[2S, 3S]: what the values of three taps on S pixels add up to on 2S."""
    up = F.interpolate(torch.eye(size)[None], scale_factor=2.0, mode="linear", align_corners=False)[0].T  # [2S, S]
    padded = F.pad(up, (0, 0, 1, 1))
    return torch.cat([padded[tap : tap + 2 * size] for tap in range(3)], 1)


class TiledConv(nn.Module):
    """A 3x3 convolution of stride 1 and padding 1 by Winograd's algorithm in tiles of 4 x 4: a quarter of the products.

    [B, C, S, S] to [B, D, S, S]. Rounding errors are some ten times those of the plain sum: for float32 alone.
    """

    into: Tensor
    out: Tensor
    g: Tensor

    def __init__(self, conv: nn.Conv2d, size: int) -> None:
        super().__init__()
        self.size, self.tiles = size, -(-size // _TILE)
        self.weight = nn.Parameter(conv.weight.detach().clone())
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach().reshape(-1, 1, 1).clone())
        into, out = _tiled(size, self.tiles)
        self.register_buffer("into", into, persistent=False)
        self.register_buffer("out", out, persistent=False)
        self.register_buffer("g", torch.tensor(_TAPS), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        n, p = self.tiles, len(_INTO)
        channels_out, channels_in = self.weight.shape[:2]
        # [6, 6, D, C]: a constant, which a runtime computes once when it loads the graph
        weight = (self.g @ self.weight @ self.g.T).permute(2, 3, 0, 1).reshape(-1, channels_in, 1, 1)
        tiles = self.into @ (x @ self.into.T)  # [B, C, 6n, 6n]
        tiles = tiles.reshape(-1, channels_in, p, n, p, n).permute(0, 2, 4, 1, 3, 5)
        tiles = F.conv2d(tiles.reshape(-1, p * p * channels_in, n, n), weight, groups=p * p)
        tiles = tiles.reshape(-1, p, p, channels_out, n, n).permute(0, 3, 1, 4, 2, 5)
        y = self.out @ (tiles.reshape(-1, channels_out, p * n, p * n) @ self.out.T)
        return y if self.bias is None else y + self.bias


def _tiled(size: int, tiles: int) -> tuple[Tensor, Tensor]:
    """``_INTO`` [6n, S] and ``_OUT`` [S, 6n] for n tiles along an axis of S pixels, products in the outer order."""
    into, out = torch.zeros(len(_INTO), tiles, size), torch.zeros(size, len(_INTO), tiles)
    for tile in range(tiles):
        for i, row in enumerate(_INTO):
            _put(into[i, tile], tile * _TILE - 1, row)
        for i, row in enumerate(_OUT):
            if tile * _TILE + i < size:
                out[tile * _TILE + i, :, tile] = torch.tensor(row, dtype=torch.float32)
    return into.flatten(0, 1), out.flatten(1)


def _put(target: Tensor, begin: int, values: Sequence[float]) -> None:
    for i, value in enumerate(values, begin):
        if 0 <= i < len(target):
            target[i] = value

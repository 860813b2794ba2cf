"""Sums over the window of every pixel, with gradients: what trains the joint bilateral upsampler.

The references go through a window pixel by pixel, and differentiating that takes a tensor of the whole image for each
of its 121 pixels. Here a window row of 16 neighbouring pixels is one banded matrix of 16 x 26: 11 matrix products in
place of 121 passes, forwards and backwards.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 16
"""Pixels of a row that share a matrix product; no less than twice the radius."""


def window_products(features: Tensor, centers: Tensor, radius: int) -> Tensor:
    """Scalar products of every pixel with its window's.

    Args:
        features: [B, H + 2r, W + 2r, C], padded.
        centers: [B, H, W, C].
        radius: r, at most 8.

    Returns:
        [B, H, W, K * K] with K = 2r + 1, row by row: <features(p + o), centers(p)>.
    """
    with torch.autocast(features.device.type, enabled=False):
        products: Tensor = _Products.apply(_wide(features), _wide(centers), radius)
    return products


def window_sums(features: Tensor, weights: Tensor, radius: int) -> Tensor:
    """Weighted sums over every pixel's window.

    Args:
        features: [B, H + 2r, W + 2r, C], padded.
        weights: [B, H, W, K * K], row by row.
        radius: r, at most 8.

    Returns:
        [B, H, W, C]: the sum over o of weights(p, o) * features(p + o).
    """
    with torch.autocast(features.device.type, enabled=False):
        sums: Tensor = _Sums.apply(_wide(features), _wide(weights), radius)
    return sums


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, centers: Tensor, radius: int) -> Tensor:
        ctx.save_for_backward(features, centers)
        ctx.radius = radius
        return _products(features, centers, radius)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, centers = ctx.saved_tensors
        (gradient,) = gradients
        of_features = _spread(centers, gradient, ctx.radius) if ctx.needs_input_grad[0] else None
        of_centers = _sums(features, gradient, ctx.radius) if ctx.needs_input_grad[1] else None
        return of_features, of_centers, None


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weights: Tensor, radius: int) -> Tensor:
        ctx.save_for_backward(features, weights)
        ctx.radius = radius
        return _sums(features, weights, radius)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weights = ctx.saved_tensors
        (gradient,) = gradients
        of_features = _spread(gradient, weights, ctx.radius) if ctx.needs_input_grad[0] else None
        of_weights = _products(features, gradient, ctx.radius) if ctx.needs_input_grad[1] else None
        return of_features, of_weights, None


def _products(features: Tensor, centers: Tensor, radius: int) -> Tensor:
    height, width = centers.shape[1:3]
    size = 2 * radius + 1
    blocks = _neighbours(features, width, radius)
    own = _blocks(centers)  # [B, H, n, P, C]
    rows = []
    for dy in range(size):
        products = own @ blocks[:, dy : dy + height]  # [B, H, n, P, P + 2r], of which the band counts
        rows.append(_band(products, size).flatten(2, 3)[:, :, :width])
    return torch.cat(rows, -1)


def _sums(features: Tensor, weights: Tensor, radius: int) -> Tensor:
    height, width = weights.shape[1:3]
    size = 2 * radius + 1
    blocks = _neighbours(features, width, radius).transpose(-1, -2)
    weights = _blocks(weights)
    band = weights.new_zeros(*weights.shape[:4], BLOCK + 2 * radius)
    out = features.new_zeros(*weights.shape[:4], features.shape[3])
    for dy in range(size):
        _band(band, size).copy_(weights[..., dy * size : (dy + 1) * size])
        out += band @ blocks[:, dy : dy + height]
    return out.flatten(2, 3)[:, :, :width]


def _spread(values: Tensor, weights: Tensor, radius: int) -> Tensor:
    """The transpose of ``_sums``: every pixel gives its value to its window; [B, H + 2r, W + 2r, C]."""
    batch, height, width, channels = values.shape
    size, reach = 2 * radius + 1, 2 * radius
    values, weights = _blocks(values), _blocks(weights)
    count = values.shape[2]
    band = weights.new_zeros(*weights.shape[:4], BLOCK + reach)
    out = values.new_zeros(batch, height + reach, count + 1, BLOCK, channels)
    for dy in range(size):
        _band(band, size).copy_(weights[..., dy * size : (dy + 1) * size])
        given = band.transpose(-1, -2) @ values  # [B, H, n, P + 2r, C]: its last 2r columns are the next block's first
        out[:, dy : dy + height, :-1] += given[..., :BLOCK, :]
        out[:, dy : dy + height, 1:, :reach] += given[..., BLOCK:, :]
    return out.flatten(2, 3)[:, :, : width + reach]


def _blocks(x: Tensor) -> Tensor:
    """[B, H, W, C] to [B, H, n, P, C], the last block filled with zeros."""
    missing = -x.shape[2] % BLOCK
    return F.pad(x, (0, 0, 0, missing)).reshape(*x.shape[:2], -1, BLOCK, x.shape[3])


def _neighbours(features: Tensor, width: int, radius: int) -> Tensor:
    """Padded rows to what each block's windows see: [B, H + 2r, n, C, P + 2r], a view of them filled with zeros."""
    missing = -width % BLOCK
    return F.pad(features, (0, 0, 0, missing)).unfold(2, BLOCK + 2 * radius, BLOCK)


def _band(matrices: Tensor, size: int) -> Tensor:
    """Of contiguous matrices [..., P, P + 2r] the band that windows take: a view [..., P, K], (i, k) -> (i, i + k)."""
    columns = matrices.shape[-1]
    return matrices.as_strided((*matrices.shape[:-1], size), (*matrices.stride()[:-2], columns + 1, 1))


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))

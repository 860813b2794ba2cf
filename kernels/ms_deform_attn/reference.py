"""Multi-scale deformable attention in plain PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def ms_deform_attn(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """Weighted sum of bilinear samples of a feature pyramid (Zhu et al., Deformable DETR, equation 3).

    A location (x, y) in 0..1 spans the level, pixel centres at (i + 0.5) / size; outside of it the value is zero.

    Args:
        value: [B, S, M, D], the levels' pixels one level after the other, M heads.
        spatial_shapes: int64 [L, 2], height and width of every level.
        level_start_index: int64 [L], the first pixel of every level in S.
        sampling_locations: [B, N, M, L, P, 2], x before y.
        attention_weights: [B, N, M, L, P].

    Returns:
        [B, N, M * D].
    """
    batch, _, heads, depth = value.shape
    queries = sampling_locations.shape[1]
    out = value.new_zeros(batch * heads, depth, queries)
    for level, ((height, width), start) in enumerate(
        zip(spatial_shapes.tolist(), level_start_index.tolist(), strict=True)
    ):
        image = value[:, start : start + height * width].permute(0, 2, 3, 1).reshape(-1, depth, height, width)
        grid = (2 * sampling_locations[:, :, :, level] - 1).transpose(1, 2).flatten(0, 1)  # [B * M, N, P, 2]
        samples = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        weights = attention_weights[:, :, :, level].transpose(1, 2).flatten(0, 1)  # [B * M, N, P]
        out = out + torch.einsum("bdnp,bnp->bdn", samples, weights)
    return out.reshape(batch, heads * depth, queries).transpose(1, 2)

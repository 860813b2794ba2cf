"""A SimFeatUp stage the portable way: everything unfolded, as the published code runs without its CUDA extension."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.kernels.bench.upsampler import Stage
from rsseg_edge.kernels.pixel_mlp.reference import pixel_mlp


def published_upsampler(tokens: Tensor, guidance: Tensor, stage: Stage, mixing: Tensor, bias: Tensor) -> Tensor:
    """Four stages of JBUOne on channels-first tensors, the 1x1 convolution last: [1, C, h, w] to [1, C, 16h, 16w]."""
    x = tokens
    for _ in range(4):
        x = _stage(x, F.adaptive_avg_pool2d(guidance, (2 * x.shape[2], 2 * x.shape[3])), stage)
    return F.conv2d(x, mixing.T[:, :, None, None], bias)


def _stage(source: Tensor, guidance: Tensor, stage: Stage) -> Tensor:
    _, _, height, width = guidance.shape
    radius, size = stage.radius, 2 * stage.radius + 1
    last = guidance.permute(0, 2, 3, 1)
    projected = pixel_mlp(last, *stage.range).permute(0, 3, 1, 2)
    queries = F.unfold(F.pad(projected, [radius] * 4, mode="reflect"), size)
    queries = queries.reshape(1, projected.shape[1], size * size, height, width)
    kernel = (stage.temperature * torch.einsum("bckhw,bchw->bkhw", queries, projected)).softmax(1)
    kernel = kernel * stage.spatial[None, :, None, None]
    kernel = (kernel / kernel.sum(1, keepdim=True).clamp(min=1e-7)).permute(0, 2, 3, 1)
    kernel = kernel + pixel_mlp(torch.cat((kernel, last), -1), *stage.fixup)  # whose weights hold the factor of 0.1
    up = F.interpolate(source, (height, width), mode="bicubic")
    unfolded = F.unfold(F.pad(up, [radius] * 4, mode="reflect"), size)
    unfolded = unfolded.reshape(1, source.shape[1], size * size, height, width)
    return torch.einsum("bckhw,bhwk->bchw", unfolded, kernel)

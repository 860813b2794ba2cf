"""The Triton kernels on PyTorch tensors: on a GPU, or on a CPU under TRITON_INTERPRET=1."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rsseg_edge.kernels.adaptive_upsample.triton_kernel import adaptive_upsample_kernel, fold_kernel
from rsseg_edge.kernels.adaptive_upsample_classify.triton_kernel import (
    adaptive_upsample_classify_kernel,
    project_kernel,
)
from rsseg_edge.kernels.bilateral_kernel.triton_kernel import bilateral_kernel_kernel
from rsseg_edge.kernels.masked_attention.triton_kernel import masked_attention_kernel
from rsseg_edge.kernels.plan import TILES, constants


def masked_attention(query: Tensor, key: Tensor, value: Tensor, mask_logits: Tensor, num_heads: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.masked_attention.reference.masked_attention`."""
    batch, queries, channels = query.shape
    depth = channels // num_heads
    out = torch.empty_like(query)
    options = _options("masked_attention_kernel", query, depth=depth)
    grid = (-(-queries // options["BLOCK_N"]), batch * num_heads)
    masked_attention_kernel[grid](
        query, key, value, mask_logits, out, queries, key.shape[1], num_heads, 1 / math.sqrt(depth), **options
    )
    return out


def bilateral_kernel(range_features: Tensor, spatial: Tensor, temperature: Tensor, radius: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.bilateral_kernel.reference.bilateral_kernel`."""
    batch, height, width, channels = range_features.shape
    out = range_features.new_empty(batch, height, width, (2 * radius + 1) ** 2)
    options = _options("bilateral_kernel_kernel", range_features, radius=radius)
    grid = (-(-width // options["BLOCK_X"]), batch * height)
    bilateral_kernel_kernel[grid](
        range_features, spatial, temperature, out, height, width, channels, **options
    )  # fmt: skip
    return out


def adaptive_upsample(features: Tensor, kernel: Tensor, radius: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.adaptive_upsample.reference.adaptive_upsample`."""
    batch, height, width, channels = features.shape
    out = features.new_empty(batch, 2 * height, 2 * width, channels)
    options = _options("adaptive_upsample_kernel", features, radius=radius)
    grid = (-(-channels // options["BLOCK_C"]), -(-width // 8), batch * height)
    adaptive_upsample_kernel[grid](features, _fold(kernel, radius), out, height, width, channels, **options)
    return out


def adaptive_upsample_classify(features: Tensor, kernel: Tensor, bias: Tensor, text: Tensor, radius: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.adaptive_upsample_classify.reference.adaptive_upsample_classify`."""
    batch, height, width, channels = features.shape
    pixels, classes = batch * height * width, text.shape[0]
    projected = features.new_empty(pixels + 1, classes)
    options = _options("project_kernel", features)
    grid = (-(-(pixels + 1) // options["BLOCK_P"]), -(-classes // options["BLOCK_Q"]))
    project_kernel[grid](features, bias, text, projected, pixels, channels, classes, **options)
    out = features.new_empty(batch, 2 * height, 2 * width, classes)
    options = _options("adaptive_upsample_classify_kernel", features, radius=radius)
    adaptive_upsample_classify_kernel[(-(-width // 8), batch * height)](
        features, _fold(kernel, radius), bias, projected, out, pixels, height, width, channels, classes, **options
    )
    return out


def _fold(kernel: Tensor, radius: int) -> Tensor:
    batch, height, width = kernel.shape[0], kernel.shape[1] // 2, kernel.shape[2] // 2
    window = 2 * (radius // 2) + 5
    folded = kernel.new_empty(batch, height, width, 4, window * window)
    options = _options("fold_kernel", kernel, radius=radius)
    # The reflections and sums are per tap: radius 8 and above would not fit the block.
    options["BLOCK_T"] = max(options["BLOCK_T"], 16 if radius < 8 else 32)
    grid = (-(-width // (options["BLOCK_P"] // 4)), batch * height)
    fold_kernel[grid](kernel, folded, height, width, **options)
    return folded


def _options(kernel: str, like: Tensor, radius: int = 0, depth: int = 0) -> dict[str, Any]:
    arch = 80
    if like.is_cuda:
        major, minor = torch.cuda.get_device_capability(like.device)
        arch = max((a for a in TILES if a <= 10 * major + minor), default=80)
    tile = TILES[arch][kernel]
    values: dict[str, Any] = constants(kernel, arch, half=like.dtype == torch.float16, radius=radius, depth=depth)
    return {**values, "num_warps": tile.warps, "num_stages": tile.stages}

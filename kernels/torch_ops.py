"""The operators as a network calls them: differentiable in PyTorch, one node each in an exported ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rsseg_edge.kernels.references import REFERENCES
from rsseg_edge.kernels.registry import DOMAIN, VERSION


def masked_attention(query: Tensor, key: Tensor, value: Tensor, mask_logits: Tensor, num_heads: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.masked_attention.reference.masked_attention`."""
    inputs = (query, key, value, mask_logits)
    return _call("MaskedAttention", inputs, {"num_heads": num_heads}, query.shape)


def bilateral_kernel(range_features: Tensor, spatial: Tensor, temperature: Tensor, radius: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.bilateral_kernel.reference.bilateral_kernel`."""
    shape = (*range_features.shape[:3], (2 * radius + 1) ** 2)
    return _call("BilateralKernel", (range_features, spatial, temperature), {"radius": radius}, shape)


def adaptive_upsample(features: Tensor, kernel: Tensor, radius: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.adaptive_upsample.reference.adaptive_upsample`."""
    shape = (*kernel.shape[:3], features.shape[3])
    return _call("AdaptiveUpsample", (features, kernel), {"radius": radius}, shape)


def adaptive_upsample_classify(features: Tensor, kernel: Tensor, bias: Tensor, text: Tensor, radius: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.adaptive_upsample_classify.reference.adaptive_upsample_classify`."""
    shape = (*kernel.shape[:3], text.shape[0])
    return _call("AdaptiveUpsampleClassify", (features, kernel, bias, text), {"radius": radius}, shape)


def ms_deform_attn(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """See :func:`rsseg_edge.kernels.ms_deform_attn.reference.ms_deform_attn`."""
    inputs = (value, spatial_shapes, level_start_index, sampling_locations, attention_weights)
    shape = (*sampling_locations.shape[:2], value.shape[2] * value.shape[3])
    return _call("MSDeformAttn", inputs, {}, shape)


def _call(op: str, inputs: Sequence[Tensor], attributes: dict[str, int], shape: Sequence[int | torch.SymInt]) -> Tensor:
    if torch.onnx.is_in_onnx_export():
        out: Tensor = torch.onnx.ops.symbolic(
            f"{DOMAIN}::{op}", inputs, {**attributes}, dtype=inputs[0].dtype, shape=list(shape), version=VERSION
        )
        return out
    return REFERENCES[op](*inputs, *attributes.values())

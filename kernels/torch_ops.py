"""The operators as a network calls them: differentiable in PyTorch, one node each in an exported ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.kernels.references import REFERENCES
from rsseg_edge.kernels.registry import DOMAIN, VERSION
from rsseg_edge.kernels.windows import window_products, window_sums


def masked_attention(query: Tensor, key: Tensor, value: Tensor, mask_logits: Tensor, num_heads: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.masked_attention.reference.masked_attention`."""
    inputs = (query, key, value, mask_logits)
    return _call("MaskedAttention", inputs, {"num_heads": num_heads}, query.shape)


def bilateral_kernel(range_features: Tensor, spatial: Tensor, temperature: Tensor, radius: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.bilateral_kernel.reference.bilateral_kernel`."""
    if _is_trained(range_features, spatial, temperature):
        scores = window_products(_reflected(range_features, radius), range_features, radius)
        weighted = (temperature * scores).softmax(-1) * spatial
        return weighted / weighted.sum(-1, keepdim=True).clamp(min=1e-7)
    shape = (*range_features.shape[:3], (2 * radius + 1) ** 2)
    return _call("BilateralKernel", (range_features, spatial, temperature), {"radius": radius}, shape)


def adaptive_upsample(features: Tensor, kernel: Tensor, radius: int) -> Tensor:
    """See :func:`rsseg_edge.kernels.adaptive_upsample.reference.adaptive_upsample`."""
    if _is_trained(features, kernel):
        up = F.interpolate(features.permute(0, 3, 1, 2), scale_factor=2, mode="bicubic", align_corners=False)
        return window_sums(_reflected(up.permute(0, 2, 3, 1), radius), kernel, radius)
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


def conv3x3_relu(x: Tensor, weight: Tensor, addend: Tensor) -> Tensor:
    """See :func:`rsseg_edge.kernels.conv3x3_relu.reference.conv3x3_relu`."""
    return _call("Conv3x3Relu", (x, weight, addend), {}, (x.shape[0], weight.shape[0], *x.shape[2:]))


def upsample_conv3x3_relu(x: Tensor, weight: Tensor, addend: Tensor) -> Tensor:
    """See :func:`rsseg_edge.kernels.upsample_conv3x3_relu.reference.upsample_conv3x3_relu`."""
    shape = (x.shape[0], weight.shape[0], 2 * x.shape[2], 2 * x.shape[3])
    return _call("UpsampleConv3x3Relu", (x, weight, addend), {}, shape)


def pixel_mlp(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """See :func:`rsseg_edge.kernels.pixel_mlp.reference.pixel_mlp`."""
    return _call("PixelMLP", (x, weight1, bias1, weight2, bias2), {}, (*x.shape[:3], weight2.shape[0]))


def fixup_kernel(
    kernel: Tensor, guidance: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor
) -> Tensor:
    """See :func:`rsseg_edge.kernels.fixup_kernel.reference.fixup_kernel`."""
    return _call("FixupKernel", (kernel, guidance, weight1, bias1, weight2, bias2), {}, kernel.shape)


def self_attention(
    x: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight: Tensor,
    addend: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
    out_norm_weight: Tensor,
    out_norm_bias: Tensor,
    num_heads: int,
) -> Tensor:
    """See :func:`rsseg_edge.kernels.self_attention.reference.self_attention`."""
    inputs = (x, norm_weight, norm_bias, weight, addend, out_weight, out_bias, out_norm_weight, out_norm_bias)
    return _call("SelfAttention", inputs, {"num_heads": num_heads}, x.shape)


def cross_attention(
    x: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    position: Tensor,
    keys: Tensor,
    values: Tensor,
    scores: Tensor,
    out_bias: Tensor,
    out_norm_weight: Tensor,
    out_norm_bias: Tensor,
    num_heads: int,
) -> Tensor:
    """See :func:`rsseg_edge.kernels.cross_attention.reference.cross_attention`."""
    words = (position, keys, values, scores)
    inputs = (x, norm_weight, norm_bias, *words, out_bias, out_norm_weight, out_norm_bias)
    return _call("CrossAttention", inputs, {"num_heads": num_heads}, x.shape)


def feed_forward(
    x: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    inner_weight: Tensor,
    inner_bias: Tensor,
    weight2: Tensor,
    bias2: Tensor,
) -> Tensor:
    """See :func:`rsseg_edge.kernels.feed_forward.reference.feed_forward`."""
    inputs = (x, norm_weight, norm_bias, weight1, bias1, inner_weight, inner_bias, weight2, bias2)
    return _call("FeedForward", inputs, {}, x.shape)


def _is_trained(*inputs: Tensor) -> bool:
    # The references have gradients too, at four times the cost; see windows.py.
    return torch.is_grad_enabled() and any(x.requires_grad for x in inputs) and not torch.onnx.is_in_onnx_export()


def _reflected(x: Tensor, radius: int) -> Tensor:
    return F.pad(x.permute(0, 3, 1, 2), [radius] * 4, mode="reflect").permute(0, 2, 3, 1)


def _call(op: str, inputs: Sequence[Tensor], attributes: dict[str, int], shape: Sequence[int | torch.SymInt]) -> Tensor:
    if torch.onnx.is_in_onnx_export():
        out: Tensor = torch.onnx.ops.symbolic(
            f"{DOMAIN}::{op}", inputs, {**attributes}, dtype=inputs[0].dtype, shape=list(shape), version=VERSION
        )
        return out
    found = REFERENCES[op](*inputs, *attributes.values())
    assert isinstance(found, Tensor), "what networks call has one output"
    return found

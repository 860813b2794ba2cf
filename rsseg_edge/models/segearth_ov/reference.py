"""The published order of operations: what the rewrites in ``simfeatup.py`` and ``network.py`` must agree with.

Everything is unfolded and every feature map is written, 12 GB for a crop of 224 x 224: for small sizes and tests.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.models.segearth_ov.network import SegEarthOV
from rsseg_edge.models.segearth_ov.simfeatup import JointBilateralUpsampler, SimFeatUp


def plain_upsample(upsampler: SimFeatUp, features: Tensor, guidance: Tensor) -> Tensor:
    """Features [B, C, h, w] and guidance [B, 3, H, W] to features [B, C, 16h, 16w], the 1x1 last."""
    x = features
    for stage in upsampler.stages:
        x = _plain_stage(stage, x, F.adaptive_avg_pool2d(guidance, (2 * x.shape[2], 2 * x.shape[3])))
    projection = upsampler.projection
    return x + 0.1 * F.conv2d(x, projection.weight[:, :, None, None], projection.bias)


def plain_crop_logits(network: SegEarthOV, image: Tensor, text: Tensor) -> Tensor:
    """:meth:`SegEarthOV.crop_logits` for sides that are multiples of 16-pixel patches: upsample, normalise, compare."""
    tokens, class_token = network.vit(image)
    features = plain_upsample(network.upsampler, tokens.permute(0, 3, 1, 2), image)
    logits = torch.einsum("bchw,qc->bqhw", F.normalize(features, dim=1), text)
    bias = F.normalize(class_token, dim=-1) @ text.T
    return logits + network.inference.cls_token_lambda * bias[:, :, None, None]


def _plain_stage(stage: JointBilateralUpsampler, source: Tensor, guidance: Tensor) -> Tensor:
    channels_last = guidance.permute(0, 2, 3, 1)
    projected = stage.range_proj(channels_last).permute(0, 3, 1, 2)
    similarity = torch.einsum("bckhw,bchw->bkhw", _unfold(projected, stage.radius), projected)
    kernel = (stage.temperature() * similarity).softmax(1) * stage.spatial()[:, None, None]
    kernel = (kernel / kernel.sum(1, keepdim=True).clamp(min=1e-7)).permute(0, 2, 3, 1)
    kernel = kernel + 0.1 * stage.fixup_proj(torch.cat((kernel, channels_last), -1))
    up = F.interpolate(source, guidance.shape[2:], mode="bicubic", align_corners=False)
    return torch.einsum("bckhw,bhwk->bchw", _unfold(up, stage.radius), kernel)


def _unfold(x: Tensor, radius: int) -> Tensor:
    """[B, C, H, W] to the windows [B, C, K * K, H, W], reflected over the border."""
    size = 2 * radius + 1
    windows = F.unfold(F.pad(x, [radius] * 4, mode="reflect"), size)
    return windows.reshape(*x.shape[:2], size * size, *x.shape[2:])

"""A start for SimFeatUp that already sharpens: a joint bilateral filter, which training then improves on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsseg_edge.models.segearth_ov.simfeatup import ChannelDropout, JointBilateralUpsampler, SimFeatUp

RANGE, SPATIAL = 0.3, 0.7
"""Widths of the Gaussians: over normalised colours, and over offsets of -1 to 1 across the window."""
_COLORS = (-2.0, 2.7)  # normalised RGB lies in there
_OFFSET = 14.0  # more would fit better, and lose the difference of two products in half precision


def start_as_bilateral_filter(upsampler: SimFeatUp, range_width: float = RANGE, spatial_width: float = SPATIAL) -> None:
    """Set every stage to softmax(-|g(p + o) - g(p)|² / (2 range²)) · exp(-|o|² / (2 spatial²)), without a correction.

    The range kernel is a softmax over <r(p + o), r(p)>, and r = (g / range, M - |g|² / (2 range² M)) gives
    -|g(p + o) - g(p)|² / (2 range²), a constant of p, and a rest that falls with M². The range projection is fitted to
    this r; its other outputs start small, since from zero a product never learns. The correction, its last layer and
    the mixing of channels start at zero. Dropout is switched off: it would tear a filter apart that is already there.
    """
    generator = torch.Generator().manual_seed(0)
    low, high = _COLORS
    colors = low + (high - low) * torch.rand(4096, 3, generator=generator)
    target = torch.cat(
        (colors / range_width, _OFFSET - colors.square().sum(1, keepdim=True) / (2 * range_width**2 * _OFFSET)), 1
    )
    with torch.no_grad():
        for module in upsampler.modules():
            if isinstance(module, ChannelDropout):
                module.probability = 0.0
        for stage in dict.fromkeys(upsampler.stages):
            _fit(stage, colors, target, generator)
            stage.sigma_spatial.fill_(spatial_width)
            stage.range_temp.zero_()
            _zero(stage.fixup_proj[-1])
        _zero(upsampler.projection)


def _fit(stage: JointBilateralUpsampler, colors: Tensor, target: Tensor, generator: torch.Generator) -> None:
    first, last = stage.range_proj[0], stage.range_proj[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    # |g|² is a sum over the colours: five kinks an axis, from either side, fit it where 30 in random places would not.
    units = torch.arange(len(first.weight)) % 30
    axes, signs, kinks = units % 3, 1.0 - 2.0 * (units // 3 % 2), torch.linspace(*_COLORS, 5)[units // 6]
    first.weight.copy_(nn.functional.one_hot(axes, 3) * signs[:, None])
    first.bias.copy_(-signs * kinks)
    hidden = nn.functional.gelu(first(colors))
    hidden = torch.cat((hidden, torch.ones(len(hidden), 1)), 1).double()
    ridge = 1e-8 * len(colors) * torch.eye(hidden.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(hidden.T @ hidden + ridge, hidden.T @ target.double()).float()
    last.weight.copy_(0.02 * torch.randn(last.weight.shape, generator=generator))
    last.bias.zero_()
    fitted = target.shape[1]
    last.weight[:fitted], last.bias[:fitted] = solution[:-1].T, solution[-1]


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        parameter.zero_()

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp  # noqa: E402
from rsseg_edge.training.simfeatup.bilateral import start_as_bilateral_filter  # noqa: E402

RADIUS = 3


def blocks(height: int, width: int) -> torch.Tensor:
    """Guidance [1, H, W, 3]: patches of normalised colours, smooth within."""
    torch.manual_seed(0)
    coarse = 1.5 * torch.rand(1, 3, 3, 4) - 0.7
    ramp = 0.2 * torch.linspace(-1, 1, width)
    return (F.interpolate(coarse, (height, width)) + ramp).permute(0, 2, 3, 1)


def bilateral_filter(guidance: torch.Tensor, range_width: float, spatial_width: float) -> torch.Tensor:
    """The filter that the start stands for, written out: [H, W, K * K]."""
    padded = F.pad(guidance.permute(0, 3, 1, 2), [RADIUS] * 4, mode="reflect")
    window = F.unfold(padded, 2 * RADIUS + 1).reshape(3, -1, *guidance.shape[1:3]).permute(2, 3, 1, 0)
    distance = (window - guidance[0, :, :, None]).square().sum(-1)
    steps = torch.linspace(-1, 1, 2 * RADIUS + 1)
    spatial = torch.exp(-(steps.square()[:, None] + steps.square()) / (2 * spatial_width**2)).flatten()
    weights = torch.softmax(-distance / (2 * range_width**2), -1) * spatial
    return weights / weights.sum(-1, keepdim=True)


def test_every_stage_starts_as_a_joint_bilateral_filter():
    upsampler = SimFeatUp(4, "jbu_stack").eval()
    start_as_bilateral_filter(upsampler, 0.3, 0.7)
    guidance = blocks(24, 30)
    want = bilateral_filter(guidance, 0.3, 0.7)
    flat = torch.full_like(want, 1 / want.shape[-1])
    for stage in upsampler.stages:
        got = stage(guidance)[0]
        missed = (got - want).abs().sum(-1).mean() / 2
        assert missed < 0.15 < 0.3 < (flat - want).abs().sum(-1).mean() / 2


def test_features_are_not_mixed_and_every_weight_learns():
    upsampler = SimFeatUp(4, "jbu_one")
    start_as_bilateral_filter(upsampler)
    tokens, image = torch.randn(1, 7, 8, 4), blocks(112, 128).permute(0, 3, 1, 2)
    kernels = [kernel.detach() for kernel in upsampler.kernels(image, (7, 8))]
    assert torch.equal(upsampler.upsample(tokens, kernels), upsampler.upsample(tokens, kernels))  # no dropout
    constant = upsampler.upsample(torch.ones_like(tokens), kernels)
    assert torch.allclose(constant, torch.ones_like(constant), atol=1e-4)
    (upsampler.upsample(tokens, upsampler.kernels(image, (7, 8))) ** 2).sum().backward()
    stage = upsampler.stages[0]
    assert stage.range_proj[-1].weight.grad.abs().amin(1).min() > 0
    assert stage.fixup_proj[-1].weight.grad.abs().max() > 0

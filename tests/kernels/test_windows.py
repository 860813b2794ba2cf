"""The upsampler's operators where they are trained: the references' values and gradients, from matrix products."""

import pytest

torch = pytest.importorskip("torch")

from rsseg_edge.kernels import torch_ops  # noqa: E402
from rsseg_edge.kernels.adaptive_upsample.reference import adaptive_upsample  # noqa: E402
from rsseg_edge.kernels.bilateral_kernel.reference import bilateral_kernel  # noqa: E402
from rsseg_edge.kernels.windows import window_products, window_sums  # noqa: E402

SHAPES = [(5, 6, 7), (5, 17, 33), (3, 9, 16), (3, 4, 40), (1, 3, 1)]  # radius, height, width


def leaf(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def agree(ours, theirs, inputs):
    torch.testing.assert_close(ours, theirs)
    direction = torch.randn_like(ours)
    for mine, expected in zip(
        torch.autograd.grad(ours, inputs, direction), torch.autograd.grad(theirs, inputs, direction), strict=True
    ):
        torch.testing.assert_close(mine, expected)


@pytest.mark.parametrize(("radius", "height", "width"), SHAPES[:4])
def test_values_and_gradients_are_the_references(radius, height, width):
    torch.manual_seed(0)
    size = (2 * radius + 1) ** 2
    rang, spatial, temperature = leaf(2, height, width, 4), leaf(size), leaf(1)
    ours, theirs = (
        kernel(rang, spatial.exp(), temperature.exp(), radius)
        for kernel in (torch_ops.bilateral_kernel, bilateral_kernel)
    )
    agree(ours, theirs, (rang, spatial, temperature))
    features, kernel = leaf(2, height, width, 3), leaf(2, 2 * height, 2 * width, size)
    ours, theirs = torch_ops.adaptive_upsample(features, kernel, radius), adaptive_upsample(features, kernel, radius)
    agree(ours, theirs, (features, kernel))


@pytest.mark.parametrize(("radius", "height", "width"), SHAPES)
def test_gradients_are_those_of_finite_differences(radius, height, width):
    torch.manual_seed(1)
    height, width = min(height, 4), min(width, 18)
    padded, own = leaf(1, height + 2 * radius, width + 2 * radius, 2), leaf(1, height, width, 2)
    weights = leaf(1, height, width, (2 * radius + 1) ** 2)
    checked = {"fast_mode": True}
    assert torch.autograd.gradcheck(lambda x, y: window_products(x, y, radius), (padded, own), **checked)
    assert torch.autograd.gradcheck(lambda x, w: window_sums(x, w, radius), (padded, weights), **checked)


def test_without_gradients_the_reference_runs(monkeypatch):
    monkeypatch.setattr(torch_ops, "window_sums", None)
    with torch.no_grad():
        features, kernel = leaf(1, 3, 4, 2), leaf(1, 6, 8, 9)
        assert torch.equal(torch_ops.adaptive_upsample(features, kernel, 1), adaptive_upsample(features, kernel, 1))


def test_mixed_precision_keeps_the_sums_in_float32():
    features, kernel = torch.randn(1, 4, 5, 3), torch.randn(1, 8, 10, 9).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        ours = torch_ops.adaptive_upsample(features, kernel, 1)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, adaptive_upsample(features, kernel, 1), atol=1e-5, rtol=1e-5)
    ours.square().sum().backward()
    assert kernel.grad.dtype == torch.float32

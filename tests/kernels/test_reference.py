"""The references against outputs of the published code, and against themselves in other precisions."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from rsseg_edge.kernels import torch_ops  # noqa: E402
from rsseg_edge.kernels.bench.upsampler import Stage, Upsampler  # noqa: E402
from rsseg_edge.kernels.cases import cases, tolerance  # noqa: E402
from rsseg_edge.kernels.references import REFERENCES, expected, relative_error, stacked  # noqa: E402
from rsseg_edge.kernels.registry import OPS  # noqa: E402

ALL = [case for op in OPS for case in cases(op)]


def weights_of(tensors):
    return {k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")}


def close(got, want, tolerance=1e-4):
    return (got - want).abs().max() <= tolerance * want.abs().max()


@pytest.mark.parametrize("kind", ["jbu_one", "jbu_stack"])
def test_one_stage_gives_the_published_kernels(golden, kind):
    tensors, settings = golden(f"simfeatup_{kind}_stage1")
    stage = Stage(weights_of(tensors), "", settings["radius"])
    guidance = tensors["input.guidance"].permute(0, 2, 3, 1)
    assert close(stage.spatial, tensors["output.spatial_kernel"].flatten())
    with torch.no_grad():
        combined = REFERENCES["BilateralKernel"](
            REFERENCES["PixelMLP"](guidance, *stage.range), stage.spatial, stage.temperature, stage.radius
        )
        fixed = stage(guidance)
        up = REFERENCES["AdaptiveUpsample"](tensors["input.features"].permute(0, 2, 3, 1), fixed, stage.radius)
    assert close(combined.permute(0, 3, 1, 2), tensors["output.combined_kernel"])
    assert close(fixed.permute(0, 3, 1, 2), tensors["output.fixed_kernel"])
    assert close(up.permute(0, 3, 1, 2), tensors["output.upsampled"])


@pytest.mark.parametrize("kind", ["jbu_one", "jbu_stack"])
def test_four_stages_give_the_published_features(golden, kind):
    tensors, settings = golden(f"simfeatup_{kind}")
    upsampler = Upsampler(weights_of(tensors), settings["radius"])
    with torch.no_grad():
        up = upsampler(tensors["input.features"].permute(0, 2, 3, 1), tensors["input.guidance"])
    assert close(up.permute(0, 3, 1, 2), tensors["output.upsampled"])


@pytest.mark.parametrize("case", ALL, ids=lambda c: c.id)
def test_float32_agrees_with_float64(case):
    inputs = [torch.from_numpy(x) for x in case.inputs().values()]
    got = stacked(REFERENCES[case.op](*inputs, *case.attributes.values()))
    assert relative_error(got, expected(case)) <= tolerance(case.op)


@pytest.mark.parametrize("op", [name for name, op in OPS.items() if not op.codes and not op.rewritten])
def test_networks_train_through_the_differentiable_reference(op):
    """What a network calls has the gradients of finite differences, in every floating input but mask logits."""
    case = min(cases(op), key=lambda c: sum(x.size for x in c.inputs().values()))
    inputs = [torch.from_numpy(x) for x in case.inputs().values()]
    inputs = [x.double().requires_grad_() if x.is_floating_point() else x for x in inputs]
    if op == "MaskedAttention":
        inputs[3].requires_grad_(False)
    function = getattr(torch_ops, OPS[op].room)
    assert torch.autograd.gradcheck(lambda *x: function(*x, *case.attributes.values()), inputs, fast_mode=True)


def test_a_row_without_allowed_positions_attends_everywhere():
    q, k, v = (torch.randn(1, n, 8) for n in (1, 6, 6))
    closed = torch.full((1, 1, 6), -1.0)
    everywhere = F.scaled_dot_product_attention(*(x.unflatten(-1, (2, 4)).transpose(1, 2) for x in (q, k, v)))
    got = REFERENCES["MaskedAttention"](q, k, v, closed, 2)
    assert close(got, everywhere.transpose(1, 2).flatten(2), 1e-6)


def test_a_kernel_of_one_tap_leaves_the_bicubic_upsampling():
    features = torch.randn(1, 4, 6, 3)
    kernel = torch.zeros(1, 8, 12, 49)
    kernel[..., 24] = 1
    bicubic = F.interpolate(features.permute(0, 3, 1, 2), scale_factor=2, mode="bicubic").permute(0, 2, 3, 1)
    assert close(REFERENCES["AdaptiveUpsample"](features, kernel, 3), bicubic, 1e-6)


def test_deformable_attention_samples_as_its_definition_says():
    """Against plain loops in float64: bilinear between pixel centres, zero outside."""
    rng = np.random.default_rng(3)
    shapes, starts, heads, depth, queries, points = [(3, 5), (2, 1)], [0, 15], 2, 3, 4, 2
    value = rng.normal(size=(1, 17, heads, depth))
    locations = rng.uniform(-0.4, 1.4, size=(1, queries, heads, 2, points, 2))
    weights = rng.uniform(size=(1, queries, heads, 2, points))
    expected = np.zeros((1, queries, heads, depth))
    for q, m, level, p in np.ndindex(queries, heads, 2, points):
        (height, width), start = shapes[level], starts[level]
        x, y = locations[0, q, m, level, p] * (width, height) - 0.5
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(y - row)) * (1 - abs(x - column)) * weights[0, q, m, level, p]
                    expected[0, q, m] += share * value[0, start + row * width + column, m]
    tensors = [torch.from_numpy(a) for a in (value, locations, weights)]
    got = REFERENCES["MSDeformAttn"](tensors[0], torch.tensor(shapes), torch.tensor(starts), *tensors[1:])
    np.testing.assert_allclose(got.numpy(), expected.reshape(1, queries, -1), atol=1e-12)

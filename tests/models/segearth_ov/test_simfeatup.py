"""SimFeatUp against the published code, and its rewrites against the published order of operations."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.kernels.torch_ops import adaptive_upsample, bilateral_kernel  # noqa: E402
from rsseg_edge.models.segearth_ov import simfeatup  # noqa: E402
from rsseg_edge.models.segearth_ov.reference import plain_upsample  # noqa: E402
from rsseg_edge.models.segearth_ov.simfeatup import ChannelDropout, JointBilateralUpsampler, SimFeatUp  # noqa: E402
from rsseg_edge.models.segearth_ov.weights import load_upsampler_state  # noqa: E402

KINDS = ["jbu_one", "jbu_stack"]
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def weights_of(tensors):
    return {k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")}


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def random_upsampler(kind, channels=12):
    """All parameters random, in float64: what is equal on paper is then equal to 1e-10."""
    torch.manual_seed(3)
    upsampler = SimFeatUp(channels, kind).eval().requires_grad_(False).double()
    for parameter in upsampler.parameters():
        parameter.copy_(torch.randn(parameter.shape) * 0.3 + (parameter.ndim == 0))
    return upsampler


@pytest.mark.parametrize("kind", KINDS)
def test_upsampled_features_are_the_published_ones(golden, relative_error, kind):
    tensors, _ = golden(f"simfeatup_{kind}")
    upsampler = SimFeatUp.from_official(weights_of(tensors), kind)
    upsampled = upsampler(tensors["input.features"], tensors["input.guidance"])
    assert relative_error(upsampled, tensors["output.upsampled"]) <= 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_of_one_stage_are_the_published_ones(golden, relative_error, kind):
    tensors, settings = golden(f"simfeatup_{kind}_stage1")
    stage = JointBilateralUpsampler(settings["radius"]).eval().requires_grad_(False)
    stage.load_state_dict({k: v.flatten(1) if v.ndim == 4 else v for k, v in weights_of(tensors).items()})
    guidance = tensors["input.guidance"].permute(0, 2, 3, 1)
    projected = stage.range_proj(guidance)
    flat = torch.ones_like(stage.spatial())
    range_kernel = bilateral_kernel(projected, flat, stage.temperature(), stage.radius)
    combined = bilateral_kernel(projected, stage.spatial(), stage.temperature(), stage.radius)
    fixed = stage(guidance)
    upsampled = adaptive_upsample(tensors["input.features"].permute(0, 2, 3, 1), fixed, stage.radius)
    assert relative_error(stage.spatial(), tensors["output.spatial_kernel"].flatten()) <= 1e-6
    assert relative_error(range_kernel.permute(0, 3, 1, 2), tensors["output.range_kernel"]) <= 1e-5
    assert relative_error(combined.permute(0, 3, 1, 2), tensors["output.combined_kernel"]) <= 1e-5
    assert relative_error(fixed.permute(0, 3, 1, 2), tensors["output.fixed_kernel"]) <= 1e-5
    assert relative_error(upsampled.permute(0, 3, 1, 2), tensors["output.upsampled"]) <= 1e-5


def test_released_weights_load_and_match_on_a_real_crop(golden, relative_error, official_upsampler):
    tensors, _ = golden("simfeatup_official_clip_jbu_stack")
    upsampler = SimFeatUp.from_official(load_upsampler_state(official_upsampler), "jbu_stack")
    image = tensors["input.image_uint8"].permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    upsampled = upsampler(tensors["input.features"], (image - mean) / std)[0].flatten(1).T
    assert relative_error(upsampled[tensors["output.pixel_index"]], tensors["output.upsampled_at_pixels"]) <= 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_layer_commutes_with_the_upsampling(relative_error, kind):
    upsampler = random_upsampler(kind)
    features, guidance = randn(2, 12, 3, 5), randn(2, 3, 48, 80)
    assert relative_error(upsampler(features, guidance), plain_upsample(upsampler, features, guidance)) <= 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_classifying_needs_no_upsampled_features(relative_error, kind):
    upsampler = random_upsampler(kind)
    tokens, guidance = randn(2, 4, 3, 12), randn(2, 3, 64, 48)
    text = torch.nn.functional.normalize(randn(7, 12), dim=-1)
    features = plain_upsample(upsampler, tokens.permute(0, 3, 1, 2), guidance).permute(0, 2, 3, 1)
    expected = torch.nn.functional.normalize(features, dim=-1) @ text.T
    assert relative_error(upsampler.classify(tokens, upsampler.kernels(guidance, (4, 3)), text), expected) <= 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_of_an_image_serve_any_features_and_text(monkeypatch, kind):
    upsampler = random_upsampler(kind)
    guidance, text = randn(1, 3, 48, 48), torch.nn.functional.normalize(randn(5, 12), dim=-1)
    calls = []
    monkeypatch.setattr(
        simfeatup, "bilateral_kernel", lambda *inputs: calls.append(inputs[0].shape) or bilateral_kernel(*inputs)
    )
    kernels = upsampler.kernels(guidance, (3, 3))
    assert [tuple(shape) for shape in calls] == [(1, side, side, 32) for side in (6, 12, 24, 48)]
    for tokens in randn(2, 1, 3, 3, 12):
        together = upsampler.classify(tokens, kernels, text)
        torch.testing.assert_close(upsampler.classify(tokens, kernels, text[2:4]), together[..., 2:4])
    assert len(calls) == 4


def test_dropout_takes_whole_channels_of_one_image_and_only_in_training():
    torch.manual_seed(0)
    x = torch.ones(3, 4, 5, 400)
    dropout = ChannelDropout(0.25)
    dropped = dropout(x)
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(x))
    torch.testing.assert_close(dropped.unique(), torch.tensor([0, 1 / 0.75]))
    assert 0.2 < (dropped == 0).float().mean() < 0.3
    assert not torch.equal(dropped[0], dropped[1])
    assert dropout.eval()(x) is x


def test_too_small_an_image_is_refused_before_its_border_is_reflected():
    with pytest.raises(UsageError, match="image of 2 x 9 patches: the upsampler needs at least 3 x 3"):
        random_upsampler("jbu_one").kernels(randn(1, 3, 32, 144), (2, 9))
    random_upsampler("jbu_one").kernels(randn(1, 3, 48, 48), (3, 3))
    random_upsampler("jbu_stack").kernels(randn(1, 3, 32, 32), (2, 2))


def test_weights_of_the_other_kind_are_refused():
    state = dict(random_upsampler("jbu_one").state_dict())
    with pytest.raises(UsageError, match=r"upsampler weights for jbu_stack: up1\.range_temp is missing"):
        SimFeatUp.from_official(state, "jbu_stack")
    with pytest.raises(UsageError, match=r"the network has no up\.more"):
        SimFeatUp.from_official(state | {"up.more": torch.zeros(1)}, "jbu_one")
    with pytest.raises(UsageError, match="unknown upsampler 'jbu_two': there are jbu_one, jbu_stack"):
        SimFeatUp.from_official(state, "jbu_two")
    with pytest.raises(UsageError, match=r"no fixup_proj\.1\.weight"):
        SimFeatUp.from_official({}, "jbu_one")

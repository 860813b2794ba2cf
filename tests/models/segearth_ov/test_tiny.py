import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

import torch.nn.functional as F  # noqa: E402

from rsseg_edge.models.segearth_ov.bilinear import Bilinear  # noqa: E402
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp  # noqa: E402
from rsseg_edge.models.segearth_ov.tiny import SegEarthOVTiny  # noqa: E402
from rsseg_edge.models.segearth_ov.tiny.config import load_config  # noqa: E402
from rsseg_edge.models.segearth_ov.tiny.cosines import CosineUpsampler  # noqa: E402
from rsseg_edge.prompts.bank import bank_phrases  # noqa: E402


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    config = load_config("segearth-ov-tiny")
    network = SegEarthOVTiny(config, CosineUpsampler(config.text.dim, config.upsampler)).eval().requires_grad_(False)
    network.text_mean.copy_(0.05 * torch.randn(config.text.dim))
    return network


def test_weights_and_bank_fit_fifteen_megabytes_in_half_precision(network):
    weights = sum(2 * p.numel() for p in network.state_dict().values())
    phrases = bank_phrases()
    bank = 2 * len(phrases) * network.config.text.dim + sum(len(p) + 4 for p in phrases)
    assert weights + bank < 14.5e6  # the rest is for the graph itself


@pytest.mark.parametrize(("height", "width"), [(320, 320), (96, 160), (112, 176)])
def test_patch_tokens_lie_on_a_grid_of_sixteen_pixels(network, height, width):
    tokens, class_token = network.vit(torch.randn(2, 3, height, width))
    assert tokens.shape == (2, height // 16, width // 16, 384)
    assert class_token.shape == (2, 384)


def test_the_common_part_of_the_text_is_taken_off(network):
    image, text = torch.randn(1, 3, 96, 96), F.normalize(torch.randn(3, 384), dim=-1)
    directions = network.directions(text)
    assert torch.allclose(directions.norm(dim=-1), torch.ones(3))
    tokens, class_token = network.vit(image)
    kernels = network.upsampler.kernels(image, (6, 6))
    pixels = network.upsampler.upsample(F.normalize(tokens, dim=-1), kernels)
    bias = F.normalize(class_token, dim=-1) @ directions.T
    want = pixels @ directions.T + network.inference.cls_token_lambda * bias[:, None, None]
    assert torch.allclose(network.crop_logits(image, text), want.permute(0, 3, 1, 2), atol=1e-5)


def test_upsampled_cosines_are_those_of_upsampled_features_where_all_have_one_length(network):
    image, text = torch.randn(2, 3, 96, 96), F.normalize(torch.randn(3, 384), dim=-1)
    one = F.normalize(torch.randn(384), dim=-1)
    kernels = network.upsampler.kernels(image, (6, 6))
    same = one.expand(2, 6, 6, -1)
    got = network.upsampler.classify(same, kernels, text)
    want = SimFeatUp.classify(network.upsampler, same, kernels, text)
    scale = network.upsampler.upsample(same, kernels).norm(dim=-1, keepdim=True)
    assert torch.allclose(got, want * scale, atol=1e-4)


def test_bilinear_enlarges_cosines():
    tokens, text = torch.randn(1, 2, 3, 8), F.normalize(torch.randn(4, 8), dim=-1)
    got = Bilinear(8).classify(tokens, [], text)
    assert got.shape == (1, 32, 48, 4)
    cosine = F.cosine_similarity(tokens[0, 0, 0], text)
    assert torch.allclose(got[0, 0, 0], cosine, atol=1e-6)  # the corner is its nearest token's
    middle = (F.normalize(tokens, dim=-1) @ text.T)[0, 0]
    assert torch.allclose(got[0, 0, 15:17].mean(0), middle[:2].mean(0), atol=1e-6)


def test_misspelt_configuration_is_refused():
    from rsseg_edge.errors import UsageError

    with pytest.raises(UsageError, match="segearth-ov-tiny"):
        load_config("segearth-ov-tin")

"""The whole of SegEarth-OV: the published code's outputs, the rewrites, windows and thresholds, and refusals."""

import pytest

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

import torch.nn.functional as F  # noqa: E402

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.models.segearth_ov.config import load_config  # noqa: E402
from rsseg_edge.models.segearth_ov.network import SegEarthOV, class_scores  # noqa: E402
from rsseg_edge.models.segearth_ov.reference import plain_crop_logits  # noqa: E402
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp  # noqa: E402

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
}
NAMES = ["background", "building, roof", "road"]
FULL = ["segearth_full_a", "segearth_full_b"]


def tiny(*, clip=TINY, upsampler="jbu_stack", channels=24, **settings):
    torch.manual_seed(1)
    state = open_clip.CLIP(**clip).state_dict()
    return SegEarthOV.from_official(
        state,
        SimFeatUp(channels, upsampler).state_dict(),
        clip_config=clip,
        upsampler=upsampler,
        **{"slide_crop": 64, "slide_stride": 32} | settings,
    )


@pytest.fixture(scope="module")
def network():
    return tiny()


@pytest.fixture(scope="module")
def text():
    torch.manual_seed(2)
    return F.normalize(torch.randn(5, 24), dim=-1)


def published(golden, name):
    tensors, settings = golden(name)
    clip, upsampler = (
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        for prefix in ("weights.clip.", "weights.upsampler.")
    )
    names, config = settings.pop("names"), settings.pop("clip")
    settings.pop("templates")
    return SegEarthOV.from_official(clip, upsampler, clip_config=config, **settings), names, tensors


@pytest.mark.parametrize("name", FULL)
def test_text_features_are_the_published_ones(golden, relative_error, name):
    network, names, tensors = published(golden, name)
    text = network.text_features(names)
    assert relative_error(text, tensors["output.query_features"]) <= 1e-5
    assert text.class_index.tolist() == [0, 1, 1, 1, 2, 3, 3, 4]


@pytest.mark.parametrize(("name", "noise"), [("segearth_full_a", 0.3), ("segearth_full_b", 0.1)])
def test_logits_are_the_published_ones_but_for_dropout(golden, relative_error, name, noise):
    """The published code was run with its upsampler in training mode: two calls of it differ by as much as this."""
    network, names, tensors = published(golden, name)
    image, text = tensors["input.image"], network.text_features(names)
    assert relative_error(network.crop_logits(image[..., :64, :64], text), tensors["output.crop_logits"]) <= noise
    assert relative_error(network.logits(image, text), tensors["output.logits"]) <= noise
    agreement = (network.predict(image, text) == tensors["output.prediction"]).float().mean()
    assert agreement >= 0.97


@pytest.mark.parametrize("name", FULL)
def test_classes_follow_from_the_published_logits(golden, monkeypatch, name):
    network, names, tensors = published(golden, name)
    monkeypatch.setattr(network, "logits", lambda image, text: tensors["output.logits"])
    prediction = network.predict(tensors["input.image"], network.text_features(names))
    assert torch.equal(prediction, tensors["output.prediction"])


def test_rewritten_network_is_the_plain_one(relative_error, text):
    for kind in ("jbu_one", "jbu_stack"):
        network = tiny(upsampler=kind).double()
        image = torch.randn(2, 3, 48, 80, dtype=torch.float64)
        expected = plain_crop_logits(network, image, text.double())
        assert relative_error(network.crop_logits(image, text.double()), expected) <= 1e-10


def test_global_bias_is_the_class_tokens_cosine(text):
    image = torch.randn(1, 3, 64, 64)
    with_bias, without = (tiny(cls_token_lambda=value).crop_logits(image, text) for value in (-0.3, 0.0))
    _, class_token = tiny().vit(image)
    expected = -0.3 * F.cosine_similarity(class_token, text)
    torch.testing.assert_close(with_bias - without, expected[None, :, None, None].expand_as(without))


def test_sides_that_are_no_multiple_of_the_patch_are_padded_around(network, text):
    image = torch.randn(1, 3, 61, 66)
    padded = F.pad(image, (7, 7, 1, 2))
    torch.testing.assert_close(network.crop_logits(image, text), network.crop_logits(padded, text)[:, :, 1:62, 7:73])


def test_logits_are_the_mean_over_the_windows(network, text):
    image = torch.randn(1, 3, 64, 107)
    total, count = torch.zeros(1, 5, 64, 107), torch.zeros(107)
    for left in (0, 32, 43):
        total[..., left : left + 64] += network.crop_logits(image[..., left : left + 64], text)
        count[left : left + 64] += 1
    torch.testing.assert_close(network.logits(image, text), total / count)


def test_image_smaller_than_the_window_is_one_window(network, text):
    image = torch.randn(1, 3, 40, 56)
    torch.testing.assert_close(network.logits(image, text), network.crop_logits(image, text))


def test_other_patch_sizes_end_at_the_images_size(text):
    for patch, side in ((8, 32), (32, 128)):
        clip = TINY | {"vision_cfg": TINY["vision_cfg"] | {"patch_size": patch, "image_size": side}}
        logits = tiny(clip=clip).crop_logits(torch.randn(1, 3, side, 2 * side), text)
        assert logits.shape == (1, 5, side, 2 * side)


def test_a_class_scores_as_its_best_synonym():
    logits = torch.randn(2, 4, 3, 5)
    probability = logits.softmax(1)
    scores = class_scores(logits, torch.tensor([0, 1, 1, 2]))
    expected = torch.stack([probability[:, 0], probability[:, 1:3].amax(1), probability[:, 3]], 1)
    torch.testing.assert_close(scores, expected)


def test_unsure_pixels_are_background(monkeypatch, text):
    sure, unsure = [4.0, 0, 0, 0, 0], [0.0, 0, 0.02, 0, 0]
    logits = torch.tensor([sure, unsure]).T[None, :, None]
    for threshold, expected in ((0.5, [0, 1]), (0.0, [0, 2])):
        network = tiny(prob_thd=threshold, bg_idx=1)
        monkeypatch.setattr(network, "logits", lambda image, text: logits)
        assert network.predict(torch.zeros(1, 3, 1, 2), text)[0, 0].tolist() == expected
        assert network.predict(torch.zeros(1, 3, 1, 2), text).dtype == torch.uint8


def test_batch_is_its_images(network, text):
    images = torch.randn(2, 3, 64, 80)
    together = network.logits(images, text)
    for image, logits in zip(images, together, strict=True):
        torch.testing.assert_close(network.logits(image[None], text)[0], logits)


def test_synonyms_are_joined_by_what_text_features_knows():
    network = tiny(clip=TINY | {"text_cfg": TINY["text_cfg"] | {"context_length": 77}})
    image = torch.randn(1, 3, 64, 64)
    text = network.text_features(NAMES)
    assert set(network.predict(image, text).unique().tolist()) <= {0, 1, 2}
    torch.testing.assert_close(
        network.predict(image, text.as_subclass(torch.Tensor), text.class_index), network.predict(image, text)
    )
    torch.testing.assert_close(text.norm(dim=-1), torch.ones(4))


def test_features_of_a_word_do_not_depend_on_the_words_beside_it():
    network = tiny(clip=TINY | {"text_cfg": TINY["text_cfg"] | {"context_length": 77}})
    together = network.text_features(NAMES)
    torch.testing.assert_close(together[1:2], network.text_features(["building"]).as_subclass(torch.Tensor))


def test_weights_are_in_the_state_dict_once_and_frozen(network):
    state = network.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no classes"),
        (["road", "Road"], "'Road' is named twice"),
        ([f"class {i}" for i in range(300)], "256 is the maximum"),
        (["a small red brick building beside a long straight road"], "prompt longer than the text encoder's 16 tokens"),
    ],
)
def test_bad_vocabularies_are_refused_in_a_line(network, names, message):
    with pytest.raises(UsageError, match=message) as raised:
        network.text_features(names)
    assert "\n" not in str(raised.value)


def test_weights_of_another_width_are_refused():
    wide = TINY | {"vision_cfg": TINY["vision_cfg"] | {"width": 48}}
    state = open_clip.CLIP(**wide).state_dict()
    upsampler = SimFeatUp(24, "jbu_one").state_dict()
    with pytest.raises(UsageError, match=r"CLIP weights: the shape of visual\.\S+ is \[48\], the network's \[32\]"):
        SegEarthOV.from_official(state, upsampler, clip_config=TINY)
    with pytest.raises(UsageError, match="upsampler weights are for features of 20 channels; this CLIP's have 24"):
        tiny(channels=20)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "SegMoon"}, "variant: Input should be 'vanilla'"),
        ({"prob_thd": 1.5}, "prob_thd: Input should be less than or equal to 1"),
        ({"slide_stride": 65}, "slide_stride 65 is more than slide_crop 64"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        tiny(**settings)


def test_background_must_be_a_class(text):
    with pytest.raises(UsageError, match="background is class 5, from 0, of 5 classes"):
        tiny(bg_idx=5).predict(torch.zeros(1, 3, 64, 64), text)


def test_the_configuration_is_the_papers():
    config = load_config("segearth-ov")
    assert (config.clip, config.clip_weights, config.upsampler, config.long_side) == (
        "ViT-B-16",
        "openai",
        "jbu_one",
        448,
    )
    inference = config.inference
    assert (inference.variant, inference.cls_token_lambda, inference.logit_scale) == ("SegEarth", -0.3, 50)
    assert (inference.slide_crop, inference.slide_stride) == (224, 112)
    with pytest.raises(UsageError, match="unknown model 'segearth': there are segearth-ov"):
        load_config("segearth")

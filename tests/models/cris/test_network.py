"""The network as a whole: sizes, parts, gradients, inputs that do not fit."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from pydantic import ValidationError  # noqa: E402

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.models.cris.config import CRISConfig, configurations, load_config  # noqa: E402
from rsseg_edge.models.cris.network import CRIS  # noqa: E402


@pytest.mark.parametrize(("name", "v5", "clip_parameters"), [("cris", 1024, 102007137), ("cris-r101", 512, 119688033)])
def test_published_sizes(name, v5, clip_parameters):
    """On the meta device, where nothing is computed but shapes."""
    with torch.device("meta"):
        network = CRIS(load_config(name), pretrained=False).eval()
        image, words = torch.zeros(2, 3, 416, 416), torch.zeros(2, 17, dtype=torch.int64)
        features, (word, state) = network.vision(image), network.text(words)
        logits = network(image, words)
    assert [tuple(f.shape) for f in features] == [(2, 512, 52, 52), (2, 1024, 26, 26), (2, v5, 13, 13)]
    assert (word.shape, state.shape) == ((2, 17, 512), (2, v5))
    assert logits.shape == (2, 1, 104, 104)
    clip = sum(p.numel() for part in (network.vision, network.text) for p in part.parameters())
    added = sum(p.numel() for p in network.vision.net.attnpool.connect.parameters())
    assert clip - added == clip_parameters - 1  # CLIP has one for its temperature


def test_configurations_are_the_published_two_and_a_small_one():
    assert configurations() == ["cris", "cris-r101", "cris-tiny"]
    config = load_config("cris")
    assert (config.word_length, config.neck.channels) == (17, (256, 512, 1024))
    assert (config.decoder.layers, config.decoder.heads, config.decoder.feedforward) == (3, 8, 2048)
    with pytest.raises(UsageError, match="unknown model 'cris-huge': there are cris, cris-r101"):
        load_config("cris-huge")


def test_parts_compose_to_the_whole(small, sentences):
    image = torch.randn(3, 3, 64, 96)
    with torch.no_grad():
        features = small.vision(image)
        words, state = small.text(sentences)
        logits = small.fusion(features, words, state, sentences == 0)
        in_two = small.fusion.read(small.fusion.project(features), words, state, sentences == 0)
        whole = small(image, sentences)
    assert whole.shape == (3, 1, 16, 24)
    assert torch.equal(logits, whole)
    assert torch.equal(in_two, whole)


def test_sentences_about_one_image_share_its_features(small, sentences):
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        together = small(image, sentences)
        apart = torch.cat([small(image, sentence[None]) for sentence in sentences])
    torch.testing.assert_close(together, apart)
    assert (together[0] - together[1]).abs().max() > 1e-2  # the sentence counts


def test_padding_behind_a_sentence_changes_nothing(small, sentences):
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for sentence in sentences:
            cut = sentence[sentence != 0]
            torch.testing.assert_close(small(image, cut[None]), small(image, sentence[None]))


def test_a_row_without_words_gives_numbers(small):
    with torch.no_grad():
        logits = small(torch.randn(1, 3, 64, 64), torch.zeros(1, 9, dtype=torch.int64))
    assert torch.isfinite(logits).all()


def test_every_weight_learns(small, sentences):
    small.train()
    small(torch.randn(3, 3, 64, 64), sentences).square().mean().backward()
    for name, parameter in small.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_normalize_is_clips(small):
    image = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1) * 255
    white = small.normalize(torch.full((1, 3, 1, 1), 255.0)).flatten()
    torch.testing.assert_close(small.normalize(image), torch.zeros(1, 3, 1, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(white, torch.tensor([1.9303, 2.0749, 2.1459]), atol=1e-4, rtol=0)


def test_a_sentence_longer_than_the_context_is_refused(small):
    with pytest.raises(UsageError, match="a sentence of 10 tokens: the model reads 9"):
        small.text(torch.ones(1, 10, dtype=torch.int64))


@pytest.mark.parametrize("size", [(48, 64), (64, 50)])
def test_image_sides_that_do_not_fit_are_refused(small, sentences, size):
    with pytest.raises(UsageError, match=f"an image of {size[1]}x{size[0]} pixels: its sides must be multiples of 32"):
        small(torch.zeros(1, 3, *size), sentences[:1])


@pytest.mark.parametrize(
    ("table", "entry", "value", "message"),
    [
        ("neck", "channels", (16, 64, 24), "pixels of 64 channels cannot attend to words of 32"),
        ("decoder", "heads", 5, "multiple of 4, of 5 and of 2 heads"),
        ("decoder", "depth", 3, "Extra inputs are not permitted"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(small_config, table, entry, value, message):
    data = small_config.model_dump()
    data[table][entry] = value
    with pytest.raises(ValidationError, match=message):
        CRISConfig.model_validate(data)

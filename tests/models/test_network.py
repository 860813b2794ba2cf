"""The whole network in both configurations, with random weights."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.models.segclip.config import configurations, load_config  # noqa: E402
from rsseg_edge.models.segclip.decoder import Prediction  # noqa: E402
from rsseg_edge.models.segclip.network import SegCLIP, class_scores, class_shares  # noqa: E402
from rsseg_edge.training.losses import segclip_loss  # noqa: E402


def labels(*size, classes=5):
    generator = torch.Generator().manual_seed(1)
    truth = torch.randint(0, classes, size, generator=generator)
    truth[:, :9] = 255
    return truth


@pytest.mark.parametrize("name", configurations())
def test_each_configuration_runs_forward_and_backward(name):
    torch.manual_seed(0)
    config = load_config(name)
    network = SegCLIP(config, torch.randn(5, 48), pretrained=False).train()
    image, truth = torch.rand(2, 3, 64, 96) * 255, labels(2, 64, 96)
    output = network(image, truth)
    assert len(output.predictions) == len(output.guided) == config.decoder.layers + 1
    assert output.predictions[-1].class_logits.shape == (2, config.decoder.queries, 6)
    assert output.predictions[-1].mask_logits.shape == (2, config.decoder.queries, 16, 24)
    terms = segclip_loss(output, truth, config.loss.model_copy(update={"points": 112}))
    assert set(terms) == {"classification", "mask", "dice", "guidance"} | (
        {"semantic"} if config.loss.semantic else set()
    )
    sum(terms.values()).backward()
    for parameter_name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name


def test_the_full_model_is_the_methods():
    config = load_config("segclip")
    assert (config.channels, config.decoder.queries, config.decoder.layers) == (256, 100, 9)
    decoder = config.pixel_decoder
    assert (decoder.kind, decoder.layers, decoder.heads, decoder.points) == ("deformable", 6, 8, 4)
    loss = config.loss
    assert (loss.classification, loss.no_object, loss.mask, loss.dice) == (2.0, 0.1, 5.0, 5.0)
    assert loss.points == 12544


def test_text_is_frozen_and_travels_with_the_weights():
    text = torch.randn(5, 48)
    network = SegCLIP(load_config("segclip-tiny"), text, pretrained=False)
    assert torch.equal(network.state_dict()["text"], text)
    assert "text" not in dict(network.named_parameters())


def test_as_many_classes_as_queries_are_refused():
    config = load_config("segclip-tiny")
    queries = config.decoder.queries
    for classes in (queries, queries + 1):
        with pytest.raises(UsageError, match=rf"{queries} queries .* fewer classes than that, not {classes}"):
            SegCLIP(config, torch.randn(classes, 8), pretrained=False)
    SegCLIP(config, torch.randn(queries - 1, 8), pretrained=False)


def test_unknown_model_names_those_that_exist():
    with pytest.raises(UsageError, match="unknown model 'segclip-huge': there are segclip, segclip-tiny"):
        load_config("segclip-huge")


def test_guidance_changes_no_prediction_of_the_network():
    """The whole network in training mode: truth goes in, the reconstruction queries do not notice."""
    torch.manual_seed(4)
    network = SegCLIP(load_config("segclip-tiny"), torch.randn(5, 48), pretrained=False).train()
    image, truth = torch.rand(2, 3, 64, 96) * 255, labels(2, 64, 96)
    alone, steered = network(image), network(image, truth)
    assert alone.guided == []
    assert len(steered.guided) == len(steered.predictions)
    for a, b in zip(alone.predictions, steered.predictions, strict=True):
        assert torch.equal(a.class_logits, b.class_logits)
        assert torch.equal(a.mask_logits, b.mask_logits)


def test_guidance_masks_are_the_truth_with_a_little_noise():
    torch.manual_seed(5)
    network = SegCLIP(load_config("segclip-tiny"), torch.randn(5, 48), pretrained=False)
    truth = torch.full((1, 128, 128), 255)
    truth[0, :64], truth[0, 64:100] = 2, 4
    guidance = network._guidance(truth)
    assert guidance.present.tolist() == [[False, False, True, False, True]]
    wrong = (guidance.masks[0] ^ (truth == torch.arange(5)[:, None, None])).float().mean((1, 2))
    assert wrong[~guidance.present[0]].tolist() == [0, 0, 0]
    noise = network.config.loss.guidance_noise
    assert ((wrong[guidance.present[0]] - noise).abs() < 0.3 * noise).all()
    torch.testing.assert_close(guidance.queries[0], network.prompt.project(network.text))


def test_class_scores_sum_class_probability_times_mask():
    torch.manual_seed(6)
    prediction = Prediction(torch.randn(1, 3, 5), torch.randn(1, 3, 2, 7))
    expected = torch.zeros(1, 4, 2, 7)
    for q in range(3):
        probability = prediction.class_logits[0, q].softmax(0)
        for k in range(4):
            expected[0, k] += probability[k] * prediction.mask_logits[0, q].sigmoid()
    torch.testing.assert_close(class_scores(prediction), expected)
    torch.testing.assert_close(class_shares(prediction).sum(1), torch.ones(1, 2, 7))

"""What CRIS minimises, and how sentences share an image."""

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytest.importorskip("lightning_fabric")

from rsseg_edge.models.cris.config import (  # noqa: E402
    CLIPConfig,
    CRISConfig,
    DecoderConfig,
    LossConfig,
    NeckConfig,
    PyramidVisionConfig,
    TextConfig,
    VisionConfig,
)
from rsseg_edge.models.cris.network import CRIS  # noqa: E402
from rsseg_edge.training.loop import _groups  # noqa: E402
from rsseg_edge.training.recipe import load_recipe  # noqa: E402
from rsseg_edge.training.referring.task import ReferringTask, referring_loss  # noqa: E402


def small(vision=None):
    torch.manual_seed(0)
    config = CRISConfig(
        name="small",
        word_length=6,
        clip=CLIPConfig(
            embed_dim=24,
            vision=vision or VisionConfig(layers=(1, 1, 1, 1), width=4, image_size=64),
            text=TextConfig(width=32, heads=2, layers=1, context_length=6, vocab_size=100),
        ),
        neck=NeckConfig(channels=(16, 32, 24)),
        decoder=DecoderConfig(layers=1, heads=4, feedforward=48),
    )
    return ReferringTask(CRIS(config, pretrained=False))


def test_a_loss_done_by_hand():
    masks = torch.zeros(2, 4, 4, dtype=torch.uint8)
    masks[0, :, 2:] = 1
    masks[1, 0, 0] = 1  # a quarter of a logit's four pixels
    logits = torch.zeros(2, 1, 2, 2)
    logits[0, 0, :, 1] = 2.0
    terms = referring_loss(logits, masks, LossConfig(entropy=3.0, dice=2.0))
    right = math.log(1 + math.exp(-2.0))
    entropy = (2 * right + 2 * math.log(2) + 4 * math.log(2)) / 8  # at 0 it is log 2 whatever the truth
    assert float(terms["entropy"]) == pytest.approx(3 * entropy, rel=1e-5)
    share = 1 / (1 + math.exp(-2.0))
    first = 1 - (2 * 2 * share + 1) / (2 * share + 1 + 2 + 1)
    second = 1 - (2 * 0.5 * 0.25 + 1) / (2 + 0.25 + 1)
    assert float(terms["dice"]) == pytest.approx(2 * (first + second) / 2, rel=1e-5)


def test_the_published_loss_is_entropy_alone():
    terms = referring_loss(torch.randn(2, 1, 4, 4), torch.ones(2, 16, 16), LossConfig())
    assert list(terms) == ["entropy"]


def test_sentences_of_an_image_are_read_one_by_one():
    task = small().eval()
    image = torch.rand(2, 3, 64, 64) * 255
    words = torch.tensor([[98, 5, 99, 0, 0, 0], [98, 7, 8, 99, 0, 0], [98, 9, 99, 0, 0, 0], [98, 3, 2, 1, 99, 0]])
    with torch.no_grad():
        together = task.logits(image, words)
        apart = [task.network(task.network.normalize(image[i // 2 : i // 2 + 1]), words[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-4, atol=1e-4)


def test_every_term_reaches_every_weight():
    task = small().train()
    words = torch.tensor([[98, 5, 99, 0, 0, 0], [98, 7, 8, 99, 0, 0]])
    terms = task(torch.rand(1, 3, 64, 64) * 255, words, torch.ones(2, 64, 64, dtype=torch.uint8))
    sum(terms.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in task.parameters())


def test_what_is_pretrained_learns_slower():
    recipe = load_recipe("cris")
    task = small()
    slow = {id(p) for g in _groups(task, recipe) if g["factor"] == 0.1 for p in g["params"]}
    assert slow == {id(p) for part in (task.network.vision, task.network.text) for p in part.parameters()}


def test_a_feature_pyramid_stays_as_it_was():
    pytest.importorskip("timm")
    task = small(PyramidVisionConfig(backbone="lcnet_035", channels=8)).train()
    before = {name: tensor.clone() for name, tensor in task.network.vision.state_dict().items()}
    optimizer = torch.optim.AdamW(_groups(task, load_recipe("cris-tiny")), lr=1.0)
    words = torch.tensor([[98, 5, 99, 0, 0, 0], [98, 7, 8, 99, 0, 0]])
    terms = task(torch.rand(1, 3, 64, 64) * 255, words, torch.ones(2, 64, 64, dtype=torch.uint8))
    sum(terms.values()).backward()
    optimizer.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in task.network.vision.state_dict().items())
    trained = [p for p in task.network.parameters() if p.requires_grad]
    assert trained
    assert all(p.grad is not None for p in trained)

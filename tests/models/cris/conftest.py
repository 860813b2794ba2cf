"""A CRIS of a few thousand weights, and the sentences that it reads."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from rsseg_edge.models.cris.config import (  # noqa: E402
    CLIPConfig,
    CRISConfig,
    DecoderConfig,
    NeckConfig,
    TextConfig,
    VisionConfig,
)
from rsseg_edge.models.cris.network import CRIS  # noqa: E402


@pytest.fixture(scope="session")
def small_config():
    return CRISConfig(
        name="small",
        word_length=9,
        clip=CLIPConfig(
            embed_dim=24,
            vision=VisionConfig(layers=(1, 2, 1, 1), width=4, image_size=64),
            text=TextConfig(width=32, heads=2, layers=2, context_length=12, vocab_size=100),
        ),
        neck=NeckConfig(channels=(16, 32, 24)),
        decoder=DecoderConfig(layers=2, heads=4, feedforward=48),
    )


@pytest.fixture
def small(small_config):
    torch.manual_seed(0)
    network = CRIS(small_config, pretrained=False).eval()
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.1)
    return network


@pytest.fixture(scope="session")
def sentences():
    """Start 98, end 99, padding 0."""
    rows = [[98, 5, 17, 99], [98, 3, 99], [98, *range(20, 27), 99]]
    return torch.tensor([row + [0] * (9 - len(row)) for row in rows])

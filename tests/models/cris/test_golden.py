"""Every stage against the published code: float32, random weights, sentences of three lengths."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
from safetensors import safe_open  # noqa: E402

from rsseg_edge.models.cris.network import CRIS  # noqa: E402
from rsseg_edge.models.cris.text_encoder import PADDING  # noqa: E402

GOLDEN = Path(__file__).resolve().parents[4] / "shared" / "parity" / "cris_full.safetensors"

pytestmark = pytest.mark.skipif(
    not GOLDEN.is_file(), reason="the golden file lies outside the project: ../shared/parity"
)


@pytest.fixture(scope="module")
def golden():
    with safe_open(GOLDEN, "pt") as file:
        settings = {key: json.loads(value) for key, value in file.metadata().items()}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    return settings, tensors


@pytest.fixture(scope="module")
def network(golden):
    settings, tensors = golden
    state = {key.removeprefix("weights."): t for key, t in tensors.items() if key.startswith("weights.")}
    return CRIS.from_official(state, cfg=settings["cfg"], clip=settings["clip"])


@pytest.fixture(scope="module")
def stages(network, golden):
    image, words = golden[1]["input.image"], golden[1]["input.words"]
    fusion = network.fusion
    with torch.no_grad():
        v3, v4, v5 = network.vision(image)
        word, state = network.text(words)
        neck = fusion.neck(v3, v4, v5, state)
        decoder = fusion.decoder(neck, word, words == PADDING)
        logits = fusion.projector(decoder, state)
    return {"v3": v3, "v4": v4, "v5": v5, "word": word, "state": state, "neck": neck, "decoder": decoder.flatten(2),
            "logits": logits}  # fmt: skip


@pytest.mark.parametrize("stage", ["v3", "v4", "v5", "word", "state", "neck", "decoder", "logits"])
def test_stage_is_the_published_one(stage, stages, golden):
    expected = golden[1][f"output.{stage}"]
    assert stages[stage].shape == expected.shape
    assert (stages[stage] - expected).abs().max() < 1e-4 * expected.abs().max()


def test_the_whole_is_the_published_one(network, golden):
    _, tensors = golden
    lengths = (tensors["input.words"] != PADDING).sum(1).tolist()
    assert len(set(lengths)) == 3
    with torch.no_grad():
        logits = network(tensors["input.image"], tensors["input.words"])
    expected = tensors["output.logits"]
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()
    assert torch.equal(logits > 0, expected > 0)


def test_names_of_distributed_training_are_read(network, golden):
    settings, tensors = golden
    state = {key.replace("weights.", "module."): t for key, t in tensors.items() if key.startswith("weights.")}
    again = CRIS.from_official(state, cfg=settings["cfg"], clip=settings["clip"])
    for name, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name

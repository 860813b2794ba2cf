import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from rsseg_edge.errors import RssegError, UsageError  # noqa: E402
from rsseg_edge.models.segearth_ov.bilinear import Bilinear  # noqa: E402
from rsseg_edge.models.segearth_ov.tiny.config import load_config  # noqa: E402
from rsseg_edge.models.segearth_ov.tiny.cosines import CosineUpsampler  # noqa: E402
from rsseg_edge.training.checkpoint import TrainedModel, save_model  # noqa: E402
from rsseg_edge.training.open_vocabulary import predict  # noqa: E402
from rsseg_edge.training.open_vocabulary.predict import load_network, predictor  # noqa: E402
from rsseg_edge.training.task import Task  # noqa: E402


def test_images_come_back_at_their_size_in_classes_of_the_words(small_tiny):
    network = small_tiny().eval()
    text = F.normalize(torch.randn(4, 8), dim=-1)
    image = np.random.default_rng(0).integers(0, 255, (75, 130, 3), np.uint8)
    index = torch.tensor([0, 0, 1, 2])
    for long_side in (96, 200):
        class_map = predictor(network, text, index, long_side)(image)
        assert class_map.shape == (75, 130)
        assert class_map.dtype == np.uint8
        assert class_map.max() <= 2


def test_larger_images_alone_are_scaled(small_tiny, monkeypatch):
    network = small_tiny().eval()
    seen = []
    monkeypatch.setattr(network, "logits", lambda x, t: seen.append(x.shape) or torch.zeros(1, 2, *x.shape[2:]))
    text = torch.eye(8)[:2]
    for size in ((75, 130), (64, 48)):
        predictor(network, text, long_side=100)(np.zeros((*size, 3), np.uint8))
    assert [tuple(s[2:]) for s in seen] == [(58, 100), (64, 48)]


@pytest.mark.parametrize("upsampled", [False, True])
def test_a_checkpoint_brings_its_upsampler(small_tiny, tmp_path, monkeypatch, upsampled):
    network = small_tiny(CosineUpsampler(8, "jbu_stack") if upsampled else None)
    monkeypatch.setattr(predict, "load_config", lambda name: network.config)
    task = Task()
    task.network = network
    save_model(tmp_path / "model.safetensors", task, TrainedModel("segearth-ov-tiny", None, {}))
    loaded, _ = load_network(tmp_path / "model.safetensors")
    assert isinstance(loaded.upsampler, CosineUpsampler if upsampled else Bilinear)
    assert not loaded.training
    assert torch.equal(loaded.text_mean, network.text_mean)


def test_an_upsampler_of_its_own_file_joins_the_network(small_tiny, tmp_path, monkeypatch):
    network, upsampler = small_tiny(), CosineUpsampler(8, "jbu_stack")
    monkeypatch.setattr(predict, "load_config", lambda name: network.config)
    task = Task()
    task.network = network
    save_model(tmp_path / "model.safetensors", task, TrainedModel("segearth-ov-tiny", None, {}))
    save_file(upsampler.state_dict(), tmp_path / "upsampler.safetensors")
    loaded, _ = load_network(tmp_path / "model.safetensors", tmp_path / "upsampler.safetensors")
    assert torch.equal(loaded.upsampler.projection.weight, upsampler.projection.weight)
    assert torch.equal(loaded.vit.visual.proj, network.vit.visual.proj)


@pytest.mark.parametrize(("channels", "kind"), [(16, "jbu_stack"), (8, "jbu_one")])
def test_an_upsampler_of_another_kind_is_named_with_the_way_to_one(small_tiny, tmp_path, monkeypatch, channels, kind):
    network = small_tiny()
    monkeypatch.setattr(predict, "load_config", lambda name: network.config)
    task = Task()
    task.network = network
    save_model(tmp_path / "model.safetensors", task, TrainedModel("segearth-ov-tiny", None, {}))
    save_file(CosineUpsampler(channels, kind).state_dict(), tmp_path / "other.safetensors")
    message = (
        rf"other\.safetensors: a {kind} for features of {channels} channels, .* needs a jbu_stack for 8: rsseg-train"
    )
    with pytest.raises(UsageError, match=message):
        load_network(tmp_path / "model.safetensors", tmp_path / "other.safetensors")


def test_checkpoint_of_another_size_is_refused(small_tiny, tmp_path):
    task = Task()
    task.network = small_tiny()
    save_model(tmp_path / "model.safetensors", task, TrainedModel("segearth-ov-tiny", None, {}))
    assert load_config("segearth-ov-tiny").text.dim != 8
    with pytest.raises(RssegError, match="does not fit segearth-ov-tiny"):
        load_network(tmp_path / "model.safetensors")

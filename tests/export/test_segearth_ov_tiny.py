"""The small open-vocabulary network leaves as a bundle that runs with words of its bank alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export is the lab side: it needs torch")
pytest.importorskip("open_clip")

import rsseg_edge  # noqa: E402
from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.export import segearth_ov_tiny as module  # noqa: E402
from rsseg_edge.export.build import export  # noqa: E402
from rsseg_edge.export.request import Request  # noqa: E402
from rsseg_edge.models.segearth_ov.bilinear import Bilinear  # noqa: E402
from rsseg_edge.models.segearth_ov.tiny.cosines import CosineUpsampler  # noqa: E402
from rsseg_edge.prompts.bank import bank_phrases  # noqa: E402
from rsseg_edge.training.checkpoint import TrainedModel, save_model  # noqa: E402
from rsseg_edge.training.open_vocabulary import predict  # noqa: E402
from rsseg_edge.training.task import Task  # noqa: E402
from rsseg_edge.types import ClassTable  # noqa: E402

CLASSES = ClassTable(("roof", "water"), ((228, 64, 64), (56, 124, 214)))


class Letters:
    """Stands for the sentence encoder: a word's feature follows from its letters."""

    def __init__(self, name: str, templates: tuple[str, ...]) -> None:
        pass

    def words(self, words: list[str]) -> torch.Tensor:
        rows = [np.random.default_rng([*word.lower().encode()]).normal(size=8) for word in words]
        return torch.nn.functional.normalize(torch.tensor(np.array(rows), dtype=torch.float32), dim=-1)


@pytest.fixture
def checkpoint(small_tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a checkpoint with or without an upsampler."""

    def write(upsampled: bool) -> tuple[Path, torch.nn.Module]:
        network = small_tiny(CosineUpsampler(8, "jbu_stack") if upsampled else None).eval()
        config = network.config.model_copy(update={"long_side": 128})
        monkeypatch.setattr(predict, "load_config", lambda name: config)
        monkeypatch.setattr(module, "WordEncoder", Letters)
        task = Task()
        task.network = network
        path = tmp_path / "model.safetensors"
        save_model(path, task, TrainedModel("segearth-ov-tiny", CLASSES, {"data": "none"}))
        return path, predict.load_network(path)[0]

    return write


def test_the_bundle_gives_the_networks_classes_for_words_of_its_bank(checkpoint, tmp_path: Path) -> None:
    path, network = checkpoint(upsampled=True)
    bundle = tmp_path / "bundle"
    export(Request("segearth-ov-tiny", "fp32", path), bundle, say=lambda line: None)
    segmenter = rsseg_edge.load(bundle)
    assert segmenter.classes == ("roof", "water")
    words = ["lake", "gravel road", "roof"]
    assert set(words) <= set(bank_phrases())
    assert segmenter.set_classes(words).encoded == 0
    image = np.kron(np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    found = segmenter(image)
    wanted = predict.predictor(network, Letters("", ()).words(words))(image)
    assert len(np.unique(wanted)) > 1
    assert np.mean(found.class_map == wanted) > 0.99  # the bank is float16


def test_a_runtime_in_a_hurry_gets_what_bilinear_enlargement_gives(checkpoint, tmp_path: Path) -> None:
    path, network = checkpoint(upsampled=True)
    bundle = tmp_path / "bundle"
    export(Request("segearth-ov-tiny", "fp32", path), bundle, say=lambda line: None)
    words = ["lake", "gravel road", "roof"]
    side = network.inference.slide_crop
    image = np.random.default_rng(3).integers(0, 256, (side, side, 3), np.uint8)
    maps = []
    for fast in (False, True):
        segmenter = rsseg_edge.load(bundle, long_side=side)
        segmenter.set_classes(words)
        segmenter.fast = fast
        maps.append(segmenter(image).class_map)
    network.upsampler = Bilinear(network.vit.channels)
    wanted = predict.predictor(network, Letters("", ()).words(words))(image)
    assert np.mean(maps[1] == wanted) > 0.99  # the bank is float16
    assert np.mean(maps[0] != maps[1]) > 0.01


def test_without_an_upsampler_the_way_to_one_is_named(checkpoint, tmp_path: Path) -> None:
    path, _ = checkpoint(upsampled=False)
    told: list[str] = []
    manifest = export(Request("segearth-ov-tiny", "fp32", path), tmp_path / "bundle", say=told.append)
    assert any("rsseg-train simfeatup --clip" in line for line in told)
    assert manifest.config["upsampler"] == "bilinear"
    with pytest.raises(UsageError, match="needs --checkpoint"):
        export(Request("segearth-ov-tiny", "fp32"), tmp_path / "bundle", say=lambda line: None)

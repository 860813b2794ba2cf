"""One small trained-like checkpoint and one export of it for all tests of this folder: tracing is what takes long."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="export is the lab side: it needs torch")

from rsseg_edge.export.build import export  # noqa: E402
from rsseg_edge.export.request import Request  # noqa: E402
from rsseg_edge.models.segclip.config import load_config  # noqa: E402
from rsseg_edge.models.segclip.network import SegCLIP  # noqa: E402
from rsseg_edge.training.checkpoint import TrainedModel, save_model  # noqa: E402
from rsseg_edge.training.task import SegCLIPTask  # noqa: E402
from rsseg_edge.types import ClassTable  # noqa: E402

CLASSES = ClassTable(("roof", "soil", "water"), ((228, 64, 64), (214, 181, 128), (56, 124, 214)))


@pytest.fixture(scope="session")
def task() -> SegCLIPTask:
    """segclip-tiny with random weights and batch statistics, over three classes."""
    torch.manual_seed(5)
    network = SegCLIP(load_config("segclip-tiny"), torch.randn(len(CLASSES), 384), pretrained=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return SegCLIPTask(network).eval()


@pytest.fixture(scope="session")
def checkpoint(task: SegCLIPTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    save_model(path, task, TrainedModel("segclip-tiny", CLASSES, {"data": "none", "seed": 5, "steps": 0}))
    return path


@pytest.fixture(scope="session")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint exported with free sizes in fp32."""
    folder = tmp_path_factory.mktemp("bundles") / "three"
    export(Request("segclip-tiny", "fp32", checkpoint), folder, say=lambda line: None)
    return folder


CLIP = "rsseg-test-export"
CLIP_CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
NAMES = ("building,roof", "road", "water, river", "bare soil")


@dataclass(frozen=True)
class Weights:
    """A CLIP's and an upsampler's files; ``wide`` is an upsampler of another width."""

    clip: Path
    upsampler: Path
    wide: Path

    def request(self, precision: str = "fp32", **changes: Any) -> Request:
        files = {"clip": CLIP, "clip_weights": str(self.clip), "upsampler_weights": self.upsampler, "classes": NAMES}
        return Request("segearth-ov", precision, **(files | changes))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Random weights of a CLIP that open_clip then knows by the name ``CLIP``, and of upsamplers."""
    import open_clip
    from safetensors.torch import save_file

    from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp

    folder = tmp_path_factory.mktemp("weights")
    (folder / f"{CLIP}.json").write_text(json.dumps(CLIP_CONFIG))
    open_clip.add_model_config(folder)
    torch.manual_seed(7)
    clip = open_clip.CLIP(**CLIP_CONFIG)
    with torch.no_grad():
        clip.token_embedding.weight.mul_(50)  # of itself random text is all alike, and every pixel a tie
    files = Weights(*(folder / f"{name}.safetensors" for name in ("clip", "upsampler", "wide")))
    save_file({key: tensor.contiguous() for key, tensor in clip.state_dict().items()}, files.clip)
    save_file(SimFeatUp(24, "jbu_stack").state_dict(), files.upsampler)
    save_file(SimFeatUp(32, "jbu_one").state_dict(), files.wide)
    return files


@pytest.fixture(scope="session")
def small_windows() -> Any:
    """SegEarth-OV's configuration with windows of 64 pixels on images of 128."""
    from rsseg_edge.models.segearth_ov.config import load_config as load

    def small(name: str, **overrides: Any) -> Any:
        config = load(name, **overrides)
        inference = config.inference.model_copy(update={"slide_crop": 64, "slide_stride": 32})
        return config.model_copy(update={"inference": inference, "long_side": 128})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rsseg_edge.export.segearth_ov.load_config", small)
        yield small


@pytest.fixture(scope="session")
def words_bundle(weights: Weights, small_windows: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small SegEarth-OV exported in fp32."""
    folder = tmp_path_factory.mktemp("bundles") / "words"
    export(weights.request(), folder, say=lambda line: None)
    return folder

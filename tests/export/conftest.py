"""One small trained-like checkpoint and one export of it for all tests of this folder: tracing is what takes long."""

from __future__ import annotations

from pathlib import Path

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

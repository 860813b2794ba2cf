"""The full model: ResNet-50, deformable attention, 100 queries, 9 layers, with random weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="export is the lab side: it needs torch")

import rsseg_edge  # noqa: E402
from rsseg_edge.export.build import export  # noqa: E402
from rsseg_edge.export.request import Request  # noqa: E402
from rsseg_edge.kernels.registry import DOMAIN, ort_library  # noqa: E402
from rsseg_edge.models.segclip.config import load_config  # noqa: E402
from rsseg_edge.models.segclip.network import SegCLIP  # noqa: E402
from rsseg_edge.training.checkpoint import TrainedModel, save_model  # noqa: E402
from rsseg_edge.training.predict import load_checkpoint_segmenter  # noqa: E402
from rsseg_edge.training.task import SegCLIPTask  # noqa: E402
from rsseg_edge.types import ClassTable  # noqa: E402

LOVEDA = ClassTable(
    ("background", "building", "road", "water", "barren", "forest", "agriculture"),
    ((255, 255, 255), (255, 0, 0), (255, 255, 0), (0, 0, 255), (159, 129, 183), (0, 255, 0), (255, 195, 128)),
)


def test_full_model_exports_in_half_precision_from_a_users_checkpoint_and_runs(tmp_path: Path) -> None:
    torch.manual_seed(2)
    network = SegCLIP(load_config("segclip"), torch.randn(len(LOVEDA), 512), pretrained=False)
    checkpoint = tmp_path / "model.safetensors"
    save_model(checkpoint, SegCLIPTask(network), TrainedModel("segclip", LOVEDA, {"data": "none"}))
    said: list[str] = []
    manifest = export(Request("segclip", "fp16", checkpoint, size=(64, 96)), tmp_path / "full", said.append)
    assert manifest.parity is not None
    assert manifest.parity.agreement >= 0.995
    ways = [line for line in said if line.startswith("parity of the ")]
    assert [way.split()[3] for way in ways] == ["fp32"] * (len(ways) // 2) + ["fp16"] * (len(ways) // 2)
    assert len(ways) == (2 if ort_library() is None else 4)  # by standard operators, and by the compiled kernels
    graph = onnx.load(tmp_path / "full" / "model.onnx")
    assert Counter(n.op_type for n in graph.graph.node if n.domain == DOMAIN) == {
        "MaskedAttention": 9,
        "MSDeformAttn": 6,
        "MiddleMean": 3,
        "UpsampleDecide": 1,
    }
    assert {f.name for f in graph.functions} == {"MaskedAttention", "MSDeformAttn", "MiddleMean", "UpsampleDecide"}
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    exported, trained = rsseg_edge.load(tmp_path / "full")(image), load_checkpoint_segmenter(checkpoint)(image)
    assert exported.classes == LOVEDA.names
    assert np.mean(exported.class_map == trained.class_map) > 0.99

"""A CLIP that open_clip knows by name, small enough to export in seconds, and files of its weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file

from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp

NAME = "rsseg-test-export"
CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@dataclass(frozen=True)
class Files:
    """Where the weights lie; all are random."""

    clip: Path
    upsampler: Path


def write(folder: Path) -> Files:
    """Register the model and write its weights and an upsampler's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder)
    torch.manual_seed(7)
    clip = open_clip.CLIP(**CONFIG)
    with torch.no_grad():
        clip.token_embedding.weight.mul_(50)  # of itself random text is all alike, and every pixel a tie
    files = Files(folder / "clip.safetensors", folder / "upsampler.safetensors")
    save_file({k: v.contiguous() for k, v in clip.state_dict().items()}, files.clip)
    save_file(SimFeatUp(24, "jbu_stack").state_dict(), files.upsampler)
    return files

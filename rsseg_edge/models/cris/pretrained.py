"""CLIP's weights, from open_clip by name or from a local file."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.cris.config import CLIPConfig
from rsseg_edge.models.cris.state_dict import load_renamed


def load_clip(vision: nn.Module, text: nn.Module, config: CLIPConfig) -> None:
    """Load the weights that ``config`` names into both encoders. What CRIS adds to CLIP keeps its random start.

    Raises:
        UsageError: they cannot be had, or are of another network.
    """
    what = f"CLIP weights {config.weights}"
    state = read_state(Path(config.weights), what) if _is_file(config.weights) else _download(config)
    encoders = nn.ModuleDict({"vision": vision, "text": text})
    load_renamed(encoders, state, _rename, what, optional=("vision.net.attnpool.connect.",))


def _is_file(weights: str) -> bool:
    return Path(weights).suffix != "" or Path(weights).is_file()


def _rename(name: str) -> str | None:
    if name in {"logit_scale", "input_resolution", "context_length", "vocab_size"}:
        return None
    return f"vision.net.{name.removeprefix('visual.')}" if name.startswith("visual.") else f"text.net.{name}"


def read_state(file: Path, what: str) -> dict[str, Tensor]:
    """The state dict in a file: its own, or that of its entry "state_dict", as training codes write it.

    Raises:
        UsageError: there is none that can be read without running code; ``what`` names the file.
    """
    if not file.is_file():
        raise UsageError(f"{what}: no such file")
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        return {name.removeprefix("module."): tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    except Exception as error:  # torch.load raises pickle, zip and runtime errors alike
        raise UsageError(
            f"{what}: neither safetensors nor a PyTorch state dict of tensors alone ({type(error).__name__})"
        ) from None


def _download(config: CLIPConfig) -> dict[str, Tensor]:
    import open_clip

    try:
        model = open_clip.create_model(config.name, pretrained=config.weights)
    except Exception as error:  # open_clip passes on whatever its hub, its files or its registry raise
        raise UsageError(
            f"CLIP weights '{config.weights}' of {config.name} cannot be had ({str(error).splitlines()[0]}); "
            f"a local file will do"
        ) from None
    state: dict[str, Tensor] = model.state_dict()
    return state

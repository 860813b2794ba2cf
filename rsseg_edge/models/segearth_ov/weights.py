"""Weights of SegEarth-OV: open_clip models by name or file, published upsamplers."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.foreign import read_state
from rsseg_edge.models.segearth_ov.config import UpsamplerKind


def load_weights(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load a complete state dict.

    Args:
        module: filled in place.
        state: tensors by name; half precision is widened to the module's.
        source: what the error calls the state dict.

    Raises:
        UsageError: a tensor is missing, too many, or of another shape.
    """
    ours = module.state_dict()
    for key in ours:
        if key not in state:
            raise UsageError(f"{source}: {key} is missing")
        if state[key].shape != ours[key].shape:
            shapes = f"{list(state[key].shape)}, the network's {list(ours[key].shape)}"
            raise UsageError(f"{source}: the shape of {key} is {shapes}; the two are of different sizes")
    if extra := [key for key in state if key not in ours]:
        raise UsageError(f"{source}: the network has no {extra[0]}")
    module.load_state_dict(dict(state))


def load_clip(name: str, weights: str) -> tuple[Any, Any]:
    """An open_clip model and its tokenizer.

    Args:
        name: of the model, for instance "ViT-B-16"; also "hf-hub:..." and "local-dir:...", which bring their weights.
            Weights fine-tuned from OpenAI's want the name that ends in "-quickgelu".
        weights: a tag that open_clip downloads ("openai", "laion2b_s34b_b88k"), or a local file: safetensors, a
            PyTorch state dict or training checkpoint. TorchScript, as OpenAI's own files are, is code and is refused.

    Raises:
        UsageError: no such model, or weights that cannot be had or are another model's.
    """
    import open_clip

    try:
        if open_clip.get_model_config(name) is None:
            raise UsageError(f"open_clip has no model '{name}'; among others it has ViT-B-16, ViT-B-32 and ViT-L-14")
        if Path(weights).is_file() and _is_torchscript(Path(weights)):
            raise UsageError(
                f"CLIP weights {weights}: a TorchScript archive is code, and not run; give safetensors or a state "
                f"dict, or the tag 'openai', which open_clip downloads"
            )
        # OpenAI's models and some others were trained with another GELU; of itself open_clip only warns.
        quick_gelu = bool((open_clip.get_pretrained_cfg(name, weights) or {}).get("quick_gelu"))
        model = open_clip.create_model(name, pretrained=weights, force_quick_gelu=quick_gelu, require_pretrained=True)
        return model, open_clip.get_tokenizer(name)
    except UsageError:
        raise
    except Exception as error:  # open_clip passes on whatever its hub, torch's and safetensors' readers raise
        raise UsageError(f"CLIP {name} with weights '{weights}' cannot be loaded: {_reason(error)}") from None


def load_upsampler_state(file: Path) -> dict[str, Tensor]:
    """Published key names to tensors, from a checkpoint of SimFeatUp: safetensors, state dict or training checkpoint.

    Raises:
        UsageError: there is no such file, or it holds no upsampler.
    """
    state = read_state(file, f"upsampler weights {file}")
    prefix = "upsampler."  # of the training code's checkpoints, beside which they keep other networks
    if any(key.startswith(prefix) for key in state):
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    if "fixup_proj.1.weight" not in state:
        raise UsageError(f"upsampler weights {file}: no upsampler in it")
    return state


def upsampler_kind(file: Path) -> UpsamplerKind:
    """Which upsampler a checkpoint is of.

    Raises:
        UsageError: see :func:`load_upsampler_state`.
    """
    return "jbu_stack" if any(key.startswith("up1.") for key in load_upsampler_state(file)) else "jbu_one"


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(entry.endswith("/constants.pkl") for entry in archive.namelist())


def _reason(error: Exception) -> str:
    """The line of an error that says most: for torch's list of mismatches the first of the list."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[1] if len(lines) > 1 and lines[0].startswith("Error(s) in loading") else lines[0]

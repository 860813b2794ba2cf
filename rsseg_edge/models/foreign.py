"""Checkpoints that others wrote: tensors by name, read without running what is in the file."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from rsseg_edge.errors import UsageError


def read_state(file: Path, what: str) -> dict[str, Tensor]:
    """The state dict in a file: its own, or that of its entry "state_dict", as training codes write it.

    Args:
        file: safetensors, or what ``torch.save`` wrote of tensors; the order of the names is the file's.
        what: the file, in the words of an error.

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

"""Weights of a backbone and feature pyramid: from a SegCLIP bundle, or from a ``model.safetensors`` of rsseg-train."""

from __future__ import annotations

from pathlib import Path

import onnx
from torch import nn

from rsseg_edge.bundle import open_bundle
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.models.folded import convolutions, unfold
from rsseg_edge.models.foreign import read_state

_PARTS = {"network.backbone.": "backbone.", "network.pixel_decoder.": "pyramid."}  # in a graph: in the encoder


def load_pyramid(encoder: nn.Module, weights: str) -> None:
    """Fill an encoder's ``backbone`` and ``pyramid``.

    Args:
        encoder: see :class:`rsseg_edge.models.cris.pyramid_encoder.PyramidEncoder`.
        weights: an fp32 SegCLIP bundle by name or folder, or ``model.safetensors`` of a trained SegCLIP or small CRIS.

    Raises:
        UsageError: it cannot be read, or is of another network.
    """
    what = f"vision weights '{weights}'"
    if Path(weights).suffix == ".safetensors":
        named = {_own(name): tensor for name, tensor in read_state(Path(weights), what).items()}
        missing = encoder.load_state_dict({name: tensor for name, tensor in named.items() if name}, strict=False)
        unfit = [*missing.missing_keys, *missing.unexpected_keys]
    else:
        try:
            bundle = open_bundle(weights)
            found = convolutions(onnx.load_model_from_string(bundle.read("model.onnx")))
            unfit = unfold(encoder, found, _exported)
        except (RssegError, KeyError) as error:
            raise UsageError(
                f"{what}: {str(error).splitlines()[0]}; it takes a SegCLIP bundle or a .safetensors"
            ) from None
    if unfit:
        raise UsageError(f"{what}: they are of another network than the configuration's: {unfit[0]}")


def _own(name: str) -> str:
    """The encoder's name of a tensor of a SegCLIP, or of the image encoder of a small CRIS; "" for any other."""
    name = name.removeprefix("vision.").replace("pixel_decoder.", "pyramid.", 1)
    return name if name.startswith(("backbone.", "pyramid.")) else ""


def _exported(name: str) -> str:
    """What a part of the encoder is called in the graph of a SegCLIP."""
    old, new = next((old, new) for old, new in _PARTS.items() if name.startswith(new))
    return old + name.removeprefix(new)

"""Weights of a backbone and feature pyramid: from a SegCLIP bundle, or from a ``model.safetensors`` of rsseg-train."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from rsseg_edge.bundle import open_bundle
from rsseg_edge.errors import RssegError, UsageError
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
            unfit = _load_folded(encoder, _convolutions(onnx.load_from_string(bundle.read("model.onnx"))))
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


def _convolutions(graph: onnx.ModelProto) -> dict[str, tuple[Tensor, Tensor]]:
    """Kernel and bias of each convolution, by the name that its kernel has in the network."""
    values = {i.name: i for i in graph.graph.initializer}
    found = {}
    for node in graph.graph.node:
        if node.op_type == "Conv" and node.input[1] in values:
            weight = torch.from_numpy(numpy_helper.to_array(values[node.input[1]]).copy())
            has_bias = len(node.input) > 2 and node.input[2] in values
            bias = (
                torch.from_numpy(numpy_helper.to_array(values[node.input[2]]).copy())
                if has_bias
                else torch.zeros(len(weight))
            )
            # A padded convolution is wrapped for export: its kernel is one name deeper.
            found[node.input[1].removesuffix(".weight").removesuffix(".conv")] = (weight, bias)
    return found


def _load_folded(encoder: nn.Module, convolutions: dict[str, tuple[Tensor, Tensor]]) -> list[str]:
    """Put each kernel in its place, and its bias into the BatchNorm that was folded into it; returns what is missing.

    That BatchNorm then does nothing but add the bias.
    """
    unfit = []
    folded: tuple[str, Tensor] | None = None  # the last convolution's name, and its bias where it awaits a BatchNorm
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Conv2d):
            old = next(old for old, new in _PARTS.items() if name.startswith(new))
            weight, bias = convolutions.get(old + name.removeprefix(_PARTS[old]), (None, None))
            if weight is None or bias is None or weight.shape != module.weight.shape:
                unfit.append(name)
                continue
            module.weight.data.copy_(weight)
            if module.bias is None:
                folded = (name, bias)
            else:
                module.bias.data.copy_(bias)
        elif isinstance(module, nn.BatchNorm2d):
            if folded is None or len(folded[1]) != module.num_features:
                unfit.append(name)
                continue
            module.running_mean.zero_()  # type: ignore[union-attr]
            module.running_var.fill_(1 - module.eps)  # type: ignore[union-attr]
            module.weight.data.fill_(1)
            module.bias.data.copy_(folded[1])
            folded = None
    return unfit

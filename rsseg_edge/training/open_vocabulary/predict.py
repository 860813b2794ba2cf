"""A trained open-vocabulary network at work in torch: what its exported bundle is compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.errors import UsageError
from rsseg_edge.models.segearth_ov.network import class_scores
from rsseg_edge.models.segearth_ov.tiny.config import load_config
from rsseg_edge.models.segearth_ov.tiny.cosines import CosineUpsampler
from rsseg_edge.models.segearth_ov.tiny.network import SegEarthOVTiny
from rsseg_edge.models.segearth_ov.tiny.stem import CLIP_MEAN, CLIP_STD
from rsseg_edge.models.segearth_ov.weights import load_upsampler_state, upsampler_kind
from rsseg_edge.training.checkpoint import TrainedModel, fill, read_model
from rsseg_edge.types import UInt8Array


def predictor(
    network: SegEarthOVTiny,
    text: Tensor,
    class_index: Tensor | None = None,
    long_side: int | None = None,
    threshold: float = 0.0,
    background: int | None = None,
) -> Callable[[UInt8Array], UInt8Array]:
    """A function from images, uint8 [H, W, 3] RGB, to class maps, uint8 [H, W].

    Args:
        network: in evaluation mode.
        text: [Q, D], rows of length 1.
        class_index: int64 [Q], class of each query; None makes every query a class.
        long_side: larger images are scaled down to it, in pixels; None takes the model's.
        threshold: pixels whose best class has a smaller probability, 0..1, become ``background``.
        background: index of a class, or None where the threshold is 0.
    """
    index = torch.arange(len(text), device=text.device) if class_index is None else class_index
    limit = long_side or network.config.long_side
    mean, std = (torch.tensor(v, device=text.device)[:, None, None] * 255 for v in (CLIP_MEAN, CLIP_STD))

    @torch.inference_mode()
    def predict(image: UInt8Array) -> UInt8Array:
        height, width = image.shape[:2]
        scale = min(1.0, limit / max(height, width))
        if scale < 1:
            image = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        pixels = (torch.from_numpy(image).to(text.device).permute(2, 0, 1)[None].float() - mean) / std
        logits = network.inference.logit_scale * network.logits(pixels, text)
        if scale < 1:
            logits = F.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
        best, class_map = class_scores(logits, index).max(1)
        if background is not None:
            class_map[best < threshold] = background
        return class_map[0].to(torch.uint8).cpu().numpy()

    return predict


def load_network(path: Path, upsampler_weights: Path | None = None) -> tuple[SegEarthOVTiny, TrainedModel]:
    """The network of a ``model.safetensors``: frozen, in evaluation mode.

    Args:
        path: the file.
        upsampler_weights: a SimFeatUp that was trained on this network's features; None takes the one in ``path``, and
            where it has none, cosines are enlarged bilinearly.

    Raises:
        UsageError: there is no such file, or the upsampler is of other features.
        RssegError: it is damaged, or of another model.
    """
    weights, trained = read_model(path)
    config = load_config("segearth-ov-tiny")
    if upsampler_weights is not None:
        state, kind = load_upsampler_state(upsampler_weights), upsampler_kind(upsampler_weights)
        channels = state["fixup_proj.1.weight"].shape[0]
        if (kind, channels) != (config.upsampler, config.text.dim):
            raise UsageError(
                f"upsampler weights {upsampler_weights}: a {kind} for features of {channels} channels, and {path} "
                f"needs a {config.upsampler} for {config.text.dim}: rsseg-train simfeatup --clip {path} "
                f"--upsampler {config.upsampler}"
            )
        upsampler = CosineUpsampler.from_official(state, config.upsampler)
        weights = {k: v for k, v in weights.items() if not k.startswith("upsampler.")}
        weights |= {f"upsampler.{k}": v for k, v in upsampler.state_dict().items()}
    elif any(name.startswith("upsampler.") for name in weights):
        upsampler = CosineUpsampler(config.text.dim, config.upsampler)
    else:
        upsampler = None
    network = SegEarthOVTiny(config, upsampler)
    fill(network, weights, path, "segearth-ov-tiny")
    network.eval().requires_grad_(False)
    return network, trained


def load_weights(network: SegEarthOVTiny, path: Path) -> None:
    """Weights of a run into a network without SimFeatUp.

    Raises:
        UsageError: there is no such file.
        RssegError: it is damaged, or of another model.
    """
    weights, _ = read_model(path)
    fill(network, {k: v for k, v in weights.items() if not k.startswith("upsampler.")}, path, "segearth-ov-tiny")

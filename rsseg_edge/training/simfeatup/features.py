"""The frozen vision transformer whose tokens are upsampled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rsseg_edge.models.segearth_ov.config import load_config
from rsseg_edge.models.segearth_ov.vit import DenseViT
from rsseg_edge.models.segearth_ov.weights import load_clip
from rsseg_edge.training.open_vocabulary.predict import load_network

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class VisionTransformer(Protocol):
    """What gives tokens: called with normalised images [B, 3, H, W], tokens [B, h, w, C] and class token [B, C]."""

    @property
    def patch_size(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]: ...


class FrozenFeatures:
    """Tokens as inference sees them.

    No module, so that a task which holds it neither trains, averages nor saves the transformer.

    Args:
        name: of the transformer and its weights, for the record.
        vit: see :class:`VisionTransformer`; put into evaluation mode.
        crop: side of the windows that inference cuts images into, in pixels.
        mean: of the images that it takes, as a share of 255.
        std: likewise.
    """

    def __init__(
        self,
        name: str,
        vit: VisionTransformer,
        crop: int,
        mean: tuple[float, float, float] = CLIP_MEAN,
        std: tuple[float, float, float] = CLIP_STD,
    ) -> None:
        self.name, self.crop = name, crop
        self._vit: Any = vit
        if isinstance(vit, nn.Module):
            vit.eval().requires_grad_(False)
        self._mean, self._std = mean, std

    @property
    def channels(self) -> int:
        """C of a token."""
        return int(self._vit.channels)

    @property
    def patch_size(self) -> int:
        """Side of a token's patch, in pixels."""
        return int(self._vit.patch_size)

    def normalised(self, image: Tensor) -> Tensor:
        """RGB [B, 3, H, W] in 0..255 to what the transformer takes and the upsampler is guided by."""
        mean, std = (image.new_tensor(values).view(3, 1, 1) for values in (self._mean, self._std))
        return (image / 255 - mean) / std

    @torch.no_grad()
    def tokens(self, image: Tensor) -> Tensor:
        """Normalised images [B, 3, H, W] to tokens [B, h, w, C]."""
        if isinstance(self._vit, nn.Module):
            self._vit.to(image.device)
        tokens: Tensor = self._vit(image)[0]
        return tokens

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenFeatures:
        return self  # the moving average of a task shares it


def load_features(clip: str, weights: str | None = None) -> FrozenFeatures:
    """The image tower of an open_clip model, with the last block that SegEarth-OV gives it, or of a trained small one.

    Args:
        clip: name of an open_clip model, or a ``model.safetensors`` of segearth-ov-tiny.
        weights: its tag or file; None takes SegEarth-OV's own.

    Raises:
        UsageError: see :func:`rsseg_edge.models.segearth_ov.weights.load_clip`.
    """
    if clip.endswith(".safetensors"):
        network, trained = load_network(Path(clip))
        return FrozenFeatures(f"{trained.model} {Path(clip).name}", network.vit, network.inference.slide_crop)
    config = load_config("segearth-ov")
    weights = weights or config.clip_weights
    model, _ = load_clip(clip, weights)
    vit = DenseViT(model.visual, config.inference.variant, ignore_residual=config.inference.ignore_residual)
    return FrozenFeatures(f"{clip} {weights}", vit, config.inference.slide_crop)

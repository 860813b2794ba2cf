"""SegEarth-OV small enough for the edge, aligned with a sentence encoder by our own training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.models.segearth_ov.bilinear import Bilinear
from rsseg_edge.models.segearth_ov.network import OpenVocabulary
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp
from rsseg_edge.models.segearth_ov.tiny.config import TinyConfig
from rsseg_edge.models.segearth_ov.tiny.cosines import CosineUpsampler
from rsseg_edge.models.segearth_ov.tiny.stem import hybrid_vit
from rsseg_edge.models.segearth_ov.vit import DenseViT


class SegEarthOVTiny(OpenVocabulary):
    """A hybrid ViT in the form that SegEarth-OV gives CLIP's, and an upsampler.

    Text features are the sentence encoder's own. They all share a large part, the more so within one template: "an
    aerial photo of a ship" and "... of a meadow" have a cosine near 0.7. The network takes that part off first, so
    that opposites come out below zero, and a word that was never trained lies nearest its synonyms by a wide margin.

    Args:
        config: see :class:`TinyConfig`.
        upsampler: None enlarges bilinearly, as the network is trained.
        pretrained: load the backbone's weights; a checkpoint brings its own.

    Attributes:
        text_mean: [D], what the features of many words have in common.
    """

    text_mean: Tensor

    def __init__(
        self, config: TinyConfig, upsampler: CosineUpsampler | None = None, *, pretrained: bool = False
    ) -> None:
        inference = config.inference
        vit = DenseViT(
            hybrid_vit(config, pretrained=pretrained), inference.variant, ignore_residual=inference.ignore_residual
        )
        super().__init__(vit, upsampler or Bilinear(config.text.dim), inference)
        self.config = config
        self.register_buffer("text_mean", torch.zeros(config.text.dim))

    def directions(self, text: Tensor) -> Tensor:
        """What features [Q, D] are compared with: the common part of the text taken off, rows of length 1."""
        return F.normalize(text - self.text_mean, dim=-1)

    def upsampled_logits(self, image: Tensor, text: Tensor, *upsamplers: SimFeatUp | Bilinear) -> list[Tensor]:
        """As :meth:`OpenVocabulary.upsampled_logits`; ``text`` is the sentence encoder's."""
        return super().upsampled_logits(image, self.directions(text), *upsamplers)

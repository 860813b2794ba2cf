"""SegEarth-OV small enough for the edge, aligned with a sentence encoder by our own training."""

from __future__ import annotations

import torch
from torch import Tensor

from rsseg_edge.models.segearth_ov.bilinear import Bilinear
from rsseg_edge.models.segearth_ov.network import OpenVocabulary
from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp
from rsseg_edge.models.segearth_ov.tiny.config import TinyConfig
from rsseg_edge.models.segearth_ov.tiny.stem import hybrid_vit
from rsseg_edge.models.segearth_ov.vit import DenseViT


class SegEarthOVTiny(OpenVocabulary):
    """A hybrid ViT in the form that SegEarth-OV gives CLIP's, and an upsampler.

    Text features are not its business: :class:`~rsseg_edge.models.segearth_ov.tiny.sentence.WordEncoder` makes them,
    with the mean that this network was trained with, ``text_mean`` [D].

    Args:
        config: see :class:`TinyConfig`.
        upsampler: None enlarges bilinearly, as the network is trained.
        pretrained: load the backbone's weights; a checkpoint brings its own.
    """

    text_mean: Tensor

    def __init__(self, config: TinyConfig, upsampler: SimFeatUp | None = None, *, pretrained: bool = False) -> None:
        inference = config.inference
        vit = DenseViT(
            hybrid_vit(config, pretrained=pretrained), inference.variant, ignore_residual=inference.ignore_residual
        )
        super().__init__(vit, upsampler or Bilinear(config.text.dim), inference)
        self.config = config
        self.register_buffer("text_mean", torch.zeros(config.text.dim))

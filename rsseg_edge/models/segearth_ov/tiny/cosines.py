"""SimFeatUp for the small network: cosines are upsampled in place of features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp


class CosineUpsampler(SimFeatUp):
    """SimFeatUp's kernels over the cosines of the tokens: as many channels as words, and not as features.

    The method upsamples features and divides by their length at every pixel. Lengths hardly differ between the tokens
    that a kernel joins, so that dividing first changes little; upsampling then commutes with the product with the
    text, and five words take a small part of the arithmetic of 384 channels.
    """

    def classify(self, tokens: Tensor, kernels: list[Tensor], text: Tensor) -> Tensor:
        """Tokens [B, h, w, C] and text [Q, C], rows of length 1, to cosines [B, 16h, 16w, Q]."""
        return self.upsample(F.normalize(tokens, dim=-1), kernels, text.T[None])

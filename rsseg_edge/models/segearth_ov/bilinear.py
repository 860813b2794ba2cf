"""The upsampling that SimFeatUp is measured against."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 16


class Bilinear(nn.Module):
    """Cosines of the tokens, enlarged bilinearly: in SimFeatUp's place, without weights.

    Args:
        channels: C of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def kernels(self, guidance: Tensor, grid: tuple[int, int]) -> list[Tensor]:
        """None: the image guides nothing."""
        return []

    def classify(self, tokens: Tensor, kernels: list[Tensor], text: Tensor) -> Tensor:
        """Tokens [B, h, w, C] and text [Q, C], rows of length 1, to cosines [B, 16h, 16w, Q]."""
        cosines = (F.normalize(tokens, dim=-1) @ text.T).permute(0, 3, 1, 2)
        return F.interpolate(cosines, scale_factor=SCALE, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)

"""CRIS: CLIP-driven referring image segmentation (METHODS 2; Wang et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rsseg_edge.models.cris.config import CRISConfig, PyramidVisionConfig
from rsseg_edge.models.cris.decoder import Decoder
from rsseg_edge.models.cris.image_encoder import ImageEncoder
from rsseg_edge.models.cris.neck import Neck
from rsseg_edge.models.cris.official import load_official, official_config
from rsseg_edge.models.cris.pretrained import load_clip
from rsseg_edge.models.cris.projector import Projector
from rsseg_edge.models.cris.pyramid_encoder import PyramidEncoder
from rsseg_edge.models.cris.text_encoder import PADDING, TextEncoder
from rsseg_edge.models.cris.words import load_meanings


class Fusion(nn.Module):
    """Image features and one sentence to the mask that it refers to: neck, decoder, projector.

    Args:
        in_channels: of v3, v4, v5.
        config: see :class:`CRISConfig`.
        detail_channels: of a finer v2, where the image encoder has one.
    """

    def __init__(self, in_channels: tuple[int, int, int], config: CRISConfig, detail_channels: int = 0) -> None:
        super().__init__()
        channels, state_dim = config.neck.channels[1], config.clip.embed_dim
        self.neck = Neck(in_channels, config.neck.channels, state_dim)
        self.decoder = Decoder(channels, config.decoder)
        self.projector = Projector(channels, state_dim, detail_channels)

    def forward(self, features: Sequence[Tensor], words: Tensor, state: Tensor, padding: Tensor) -> Tensor:
        """Logits [B, 1, H/4, W/4] of B sentences about B images, or about one.

        Args:
            features: v3 [B, c3, H/8, W/8], v4 [B, c4, H/16, W/16], v5 [B, c5, H/32, W/32], and v2 [B, c2, H/4, W/4] of
                an encoder that has it; a batch of 1 is an image that B sentences share.
            words: word features [B, L, C].
            state: sentence states [B, D].
            padding: bool [B, L], True where there is no word.
        """
        return self.read(self.project(features), words, state, padding)

    def project(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What depends on the image alone: that of :meth:`Neck.project`, and the detail of v2 where there is one."""
        v3, v4, v5, *finer = features
        return (*self.neck.project(v3, v4, v5), *(self.projector.detail(v2) for v2 in finer))

    def read(self, projected: Sequence[Tensor], words: Tensor, state: Tensor, padding: Tensor) -> Tensor:
        """Logits from what :meth:`project` makes of the image, which is the same for every sentence."""
        p3, p4, p5, *detail = projected
        x = self.decoder(self.neck.fuse(p3, p4, p5, state), words, padding)
        logits: Tensor = self.projector(x, state, *detail)
        return logits


class CRIS(nn.Module):
    """The network. Its parts ``text``, ``vision`` and ``fusion`` compose to :meth:`forward` and can be used alone.

    Args:
        config: see :class:`CRISConfig`.
        pretrained: load the weights that the configuration names, of CLIP or of what stands in its place.

    Raises:
        UsageError: those weights are not there, or do not fit the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: CRISConfig, *, pretrained: bool = True) -> None:
        super().__init__()
        self.config = config
        vision = config.clip.vision
        self.vision: ImageEncoder | PyramidEncoder
        if isinstance(vision, PyramidVisionConfig):
            self.vision = PyramidEncoder(vision, config.mean, config.std, pretrained=pretrained)
        else:
            self.vision = ImageEncoder(vision, config.clip.embed_dim)
        self.text = TextEncoder(config)
        self.fusion = Fusion(self.vision.channels, config, self.vision.detail_channels)
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)
        if pretrained and config.clip.weights:
            load_clip(self.vision, self.text, config.clip)
        if pretrained and config.clip.text.words:
            load_meanings(self.text, config)

    @classmethod
    def from_official(cls, state: Mapping[str, Tensor], *, cfg: Mapping[str, Any], clip: Mapping[str, Any]) -> CRIS:
        """The network of the authors' checkpoint, in evaluation mode.

        Args:
            state: their state dict, as it is or as their distributed training saved it ("module." before each name).
            cfg: their settings: word_len, fpn_in, fpn_out, num_layers, vis_dim, num_head, dim_ffn, dropout, word_dim.
            clip: sizes of their CLIP: embed_dim, image_resolution, vision_layers, vision_width, context_length,
                transformer_width, transformer_heads, transformer_layers.

        Raises:
            UsageError: a setting is missing or contradicts another, or the state dict is of another network.
        """
        network = cls(official_config(cfg, clip), pretrained=False)
        load_official(network, state)
        return network.eval()

    def normalize(self, image: Tensor) -> Tensor:
        """RGB in 0..255 [B, 3, H, W] as :meth:`forward` takes it: mean 0 and deviation 1 over what the encoder saw."""
        return (image / 255 - self.mean) / self.std

    def forward(self, image: Tensor, words: Tensor) -> Tensor:
        """Mask logits [B, 1, H/4, W/4].

        Args:
            image: normalised, [B, 3, H, W], H and W multiples of 32; or [1, 3, H, W] for B sentences about one image.
            words: token ids int64 [B, L], L up to ``config.word_length``, 0 behind the end token.

        Raises:
            UsageError: another size of the image, or too many tokens.
        """
        return self.fusion(self.vision(image), *self.text(words), words == PADDING)

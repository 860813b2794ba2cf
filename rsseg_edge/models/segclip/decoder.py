"""The masked-attention decoder with ground-truth text guidance (METHODS 1.4, 1.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.models.blocks import MLP, Attention, FeedForward, sine_position
from rsseg_edge.models.segclip.config import DecoderConfig


@dataclass
class Prediction:
    """What the heads say: class logits [B, N, K + 1], "no object" last; mask logits [B, N, H / 4, W / 4]."""

    class_logits: Tensor
    mask_logits: Tensor


@dataclass
class Guidance:
    """Ground-truth text guidance of a batch, training only.

    Attributes:
        queries: [B, t, C], from the prompts of the classes.
        masks: bool [B, t, H, W], where the guidance query attends: its class's true mask, noise applied.
        present: bool [B, t], False where the image lacks the class: a padded row.
    """

    queries: Tensor
    masks: Tensor
    present: Tensor


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward, each with residual and LayerNorm after it."""

    def __init__(self, channels: int, config: DecoderConfig) -> None:
        super().__init__()
        self.cross_attention = Attention(channels, config.heads)
        self.self_attention = Attention(channels, config.heads)
        self.feedforward = FeedForward(channels, config.feedforward)

    def attend_to_image(self, queries: Tensor, position: Tensor, memory: _Memory, mask_logits: Tensor) -> Tensor:
        """Masked cross-attention: queries [B, N, C], each where its mask logits [B, N, L] are >= 0."""
        crossed: Tensor = self.cross_attention(queries, memory.tokens, position, memory.position, mask_logits)
        return crossed

    def attend_to_queries(self, queries: Tensor, position: Tensor) -> Tensor:
        """Self-attention and feed-forward of the reconstruction queries [B, N, C]."""
        out: Tensor = self.feedforward(self.self_attention(queries, queries, position, position))
        return out

    def attend_to_all(
        self, guided: Tensor, guided_position: Tensor, others: Tensor, position: Tensor, present: Tensor
    ) -> Tensor:
        """Self-attention and feed-forward of the guidance queries [B, t, C], which also see ``others`` [B, N, C].

        Together with :meth:`attend_to_queries` this is the method's self-attention mask, written as two calls so that
        the reconstruction queries do not depend on the guidance queries by construction, down to the last bit.
        """
        seen = torch.cat((others, guided), 1)
        seen_position = torch.cat((position, guided_position.expand(guided.shape[1], -1)), 0)
        visible = torch.cat((present.new_ones(others.shape[:2]), present), 1)[:, None].expand(-1, guided.shape[1], -1)
        logits = as_mask_logits(visible)
        out: Tensor = self.feedforward(self.self_attention(guided, seen, guided_position, seen_position, logits))
        return out


class MaskedDecoder(nn.Module):
    """Queries [B, N, C] through the layers, round robin over the memory levels (strides 32, 16, 8)."""

    def __init__(self, channels: int, classes: int, config: DecoderConfig, levels: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(channels, config) for _ in range(config.layers))
        self.position = nn.Parameter(torch.randn(config.queries, channels) * 0.02)
        self.guided_position = nn.Parameter(torch.randn(1, channels) * 0.02)
        self.level = nn.Parameter(torch.randn(levels, channels) * 0.02)
        self.norm = nn.LayerNorm(channels)
        self.classify = nn.Linear(channels, classes + 1)
        self.mask_embed = MLP(channels, channels, channels, 3)

    def forward(
        self, queries: Tensor, memory: Sequence[Tensor], embedding: Tensor, guidance: Guidance | None = None
    ) -> tuple[list[Prediction], list[Prediction]]:
        """Predictions from the initial queries and after each layer, and likewise from the guidance queries.

        In evaluation mode only the last prediction is made. The guidance list is empty without guidance.

        Args:
            queries: [B, N, C].
            memory: P5, P4, P3, each [B, C, h, w].
            embedding: E, [B, C, H / 4, W / 4].
            guidance: see :class:`Guidance`.
        """
        read, guided = self._through_layers(queries, memory, embedding, guidance)
        return self._predict(read, embedding), self._predict(guided, embedding)

    def last(self, queries: Tensor, memory: Sequence[Tensor], embedding: Tensor) -> tuple[Tensor, Tensor]:
        """The last prediction before its mask queries meet E, evaluation mode; arguments as of :meth:`forward`.

        Returns:
            Mask queries [B, N, C], whose products with E are the mask logits, and class logits [B, N, K + 1].
        """
        read, _ = self._through_layers(queries, memory, embedding, None)
        return self._mask_queries(read[-1]), self.classify(self.norm(read[-1]))

    def _through_layers(
        self, queries: Tensor, memory: Sequence[Tensor], embedding: Tensor, guidance: Guidance | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Queries and guidance queries, [B, n, C] each, that are to be predicted from."""
        levels = [_Memory(m, self.level[i], embedding) for i, m in enumerate(memory)]
        read = [queries] if self.training else []
        guided = guidance.queries if guidance else None
        guided_read = [guided] if guided is not None else []
        for i, layer in enumerate(cast("list[DecoderLayer]", list(self.layers))):
            level = levels[i % len(levels)]
            mask_logits = self._mask_queries(queries) @ level.embedding
            crossed = layer.attend_to_image(queries, self.position, level, mask_logits)
            queries = layer.attend_to_queries(crossed, self.position)
            if self.training or i == len(self.layers) - 1:
                read.append(queries)
            if guided is not None and guidance is not None:
                mask_logits = as_mask_logits(_true_mask_at(guidance.masks, level.size))
                guided = layer.attend_to_image(guided, self.guided_position, level, mask_logits)
                guided = layer.attend_to_all(guided, self.guided_position, crossed, self.position, guidance.present)
                guided_read.append(guided)
        return read, guided_read

    def _mask_queries(self, queries: Tensor) -> Tensor:
        masks: Tensor = self.mask_embed(self.norm(queries))
        return masks

    def _predict(self, read: list[Tensor], embedding: Tensor) -> list[Prediction]:
        """The heads on queries [B, n, C] of several layers. One product with E serves them all."""
        if not read:
            return []
        masks = torch.cat([self._mask_queries(queries) for queries in read], 1) @ embedding.flatten(2)
        split = masks.unflatten(2, embedding.shape[2:]).split(read[0].shape[1], 1)
        return [Prediction(self.classify(self.norm(q)), m) for q, m in zip(read, split, strict=True)]


class _Memory:
    """One level of the pyramid as the decoder needs it: tokens, their positions, and E at that level's size."""

    def __init__(self, feature: Tensor, level: Tensor, embedding: Tensor) -> None:
        self.size = feature.shape[2:]
        self.tokens = feature.flatten(2).transpose(1, 2) + level
        self.position = sine_position(feature.shape[2], feature.shape[3], feature.shape[1], feature)
        # Resizing and the dot product with E are both linear. To resize E once a level equals resizing the masks of
        # every layer that attends to it, and leaves full-size masks to the predictions that somebody reads.
        resized = F.interpolate(embedding, size=self.size, mode="bilinear", align_corners=False)
        self.embedding = resized.flatten(2).detach()


def as_mask_logits(mask: Tensor) -> Tensor:
    """A boolean mask in the form that attention takes: 0.5 where true, -0.5 where not."""
    return mask.float() - 0.5


def _true_mask_at(masks: Tensor, size: Sequence[int]) -> Tensor:
    """bool [B, t, H, W] to [B, t, h * w]: true where any of the pixel's block is."""
    return F.adaptive_max_pool2d(masks.float(), (size[0], size[1])).flatten(2) > 0

"""TMP and CFF: text features become the decoder's queries (METHODS 1.2, 1.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsseg_edge.models.blocks import Attention, FeedForward


class TextMappingPrompt(nn.Module):
    """Q_text = pad(T W) + Q_ctx: text features [n, D] to queries [N, C] with a learnable context."""

    def __init__(self, text_dim: int, channels: int, queries: int) -> None:
        super().__init__()
        self.project = nn.Linear(text_dim, channels)
        self.context = nn.Parameter(torch.randn(queries, channels) * 0.02)

    def forward(self, text: Tensor) -> Tensor:
        blank = self.context.shape[0] - text.shape[0]
        return nn.functional.pad(self.project(text), (0, 0, 0, blank)) + self.context


class CrossModalFusion(nn.Module):
    """Self-attention over the queries, cross-attention to the stride-32 feature, feed-forward.

    The padded rows carry no class: self-attention lets the positions exchange and suppress that blank.
    Shapes: queries [B, N, C], visual [B, L, C], visual_position [1, L, C]; out [B, N, C].
    """

    def __init__(self, channels: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.among_queries = Attention(channels, heads)
        self.to_image = Attention(channels, heads)
        self.feedforward = FeedForward(channels, feedforward)

    def forward(self, queries: Tensor, visual: Tensor, visual_position: Tensor) -> Tensor:
        queries = self.among_queries(queries, queries)
        queries = self.to_image(queries, visual, memory_position=visual_position)
        fused: Tensor = self.feedforward(queries)
        return fused

"""The vision-language decoder: pixels attend to each other, then to the words."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rsseg_edge.models.cris.config import DecoderConfig


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention to the words, feed-forward; each with LayerNorm before and within its branch."""

    def __init__(self, channels: int, config: DecoderConfig) -> None:
        super().__init__()

        def attention() -> nn.MultiheadAttention:
            return nn.MultiheadAttention(channels, config.heads, config.dropout, batch_first=True)

        self.self_norm, self.self_attention, self.self_out = nn.LayerNorm(channels), attention(), nn.LayerNorm(channels)
        self.cross_norm, self.cross_attention = nn.LayerNorm(channels), attention()
        self.cross_out = nn.LayerNorm(channels)
        self.feedforward_norm = nn.LayerNorm(channels)
        self.feedforward = nn.Sequential(
            nn.Linear(channels, config.feedforward),
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout),
            nn.LayerNorm(config.feedforward),
            nn.Linear(config.feedforward, channels),
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, pixels: Tensor, position: Tensor, words: Tensor, located: Tensor, mask: Tensor) -> Tensor:
        """Pixels [B, N, C] after the layer.

        Args:
            pixels: [B, N, C].
            position: of the pixels, [N, C].
            words: [B, L, C].
            located: words with their positions added, [B, L, C].
            mask: added to the scores of words, [B, L].
        """
        x = self.self_norm(pixels)
        query = x + position
        pixels = pixels + self.dropout(self.self_out(self.self_attention(query, query, x, need_weights=False)[0]))
        query = self.cross_norm(pixels) + position
        read = self.cross_attention(query, located, words, key_padding_mask=mask, need_weights=False)[0]
        pixels = pixels + self.dropout(self.cross_out(read))
        return pixels + self.dropout(self.feedforward(self.feedforward_norm(pixels)))


class Decoder(nn.Module):
    """A map [B, C, H, W] that has read the words [B, L, C]; ``padding`` bool [B, L] is True where there is no word."""

    def __init__(self, channels: int, config: DecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(channels, config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, words: Tensor, padding: Tensor) -> Tensor:
        channels, height, width = x.shape[1:]
        position = sine_position_2d(height, width, channels, x)
        located = words + sine_position(words.shape[1], channels, words)
        # Not -inf: a row without a word must not become NaN, nor half precision overflow.
        lowest = -1e4 if x.dtype == torch.float16 else -1e9
        mask = torch.zeros_like(padding, dtype=x.dtype).masked_fill(padding, lowest)
        pixels = x.flatten(2).transpose(1, 2)
        for layer in self.layers:
            pixels = layer(pixels, position, words, located, mask)
        return self.norm(pixels).transpose(1, 2).unflatten(2, (height, width))


def sine_position(length: int, channels: int, like: Tensor) -> Tensor:
    """Sine positions of the Transformer (Vaswani et al., 2017): [length, channels], sine and cosine alternating."""
    position = torch.arange(length, dtype=torch.float32, device=like.device)
    even = torch.arange(0, channels, 2, dtype=torch.float32, device=like.device)
    angle = position[:, None] * torch.exp(even * (-math.log(10000.0) / channels))
    return torch.stack((angle.sin(), angle.cos()), 2).flatten(1).to(like.dtype)


def sine_position_2d(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Positions of a map: [height * width, channels], the column in the first half of the channels, then the row."""
    columns = sine_position(width, channels // 2, like)[None].expand(height, -1, -1)
    rows = sine_position(height, channels // 2, like)[:, None].expand(-1, width, -1)
    return torch.cat((columns, rows), 2).flatten(0, 1)

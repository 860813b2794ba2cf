"""Blocks that the networks share."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from rsseg_edge.kernels.torch_ops import masked_attention


class MLP(nn.Sequential):
    """Linear layers with ReLU between them: [..., d_in] to [..., d_out]."""

    def __init__(self, d_in: int, d_hidden: int, d_out: int, layers: int) -> None:
        sizes = [d_in, *[d_hidden] * (layers - 1), d_out]
        steps: list[nn.Module] = []
        for i, (a, b) in enumerate(itertools.pairwise(sizes)):
            steps += [nn.Linear(a, b)] + [nn.ReLU(inplace=True)] * (i < layers - 1)
        super().__init__(*steps)


class FeedForward(nn.Module):
    """Post-norm feed-forward block: LayerNorm(x + W2 relu(W1 x)), [..., C] to [..., C]."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.linear2(torch.relu(self.linear1(x))))


class Attention(nn.Module):
    """Multi-head attention with positions added to queries and keys, as in DETR; residual and LayerNorm after it.

    Shapes: x [B, N, C], memory [B, L, C], mask_logits [B, N, L], out [B, N, C]. A query attends where its mask logit is
    >= 0, and everywhere if that is nowhere; without mask logits every query attends everywhere.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(channels, channels)
        self.k = nn.Linear(channels, channels)
        self.v = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        for layer in (self.q, self.k, self.v, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        x_position: Tensor | None = None,
        memory_position: Tensor | None = None,
        mask_logits: Tensor | None = None,
    ) -> Tensor:
        q = self.q(x if x_position is None else x + x_position)
        k = self.k(memory if memory_position is None else memory + memory_position)
        v = self.v(memory)
        if mask_logits is None:
            mixed = self._attend_everywhere(q, k, v)
        else:
            mixed = masked_attention(q, k, v, mask_logits, self.heads)
        return self.norm(x + self.out(mixed))

    def _attend_everywhere(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def sine_position(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Fixed 2-D sine positions of DETR: [1, height * width, channels], y in the first half, x in the second."""

    def encode(size: int) -> Tensor:
        position = torch.arange(1, size + 1, device=like.device, dtype=torch.float32)
        position = position / (position[-1] + 1e-6) * (2 * math.pi)
        half = channels // 2
        octave = torch.arange(half // 2, device=like.device, dtype=torch.float32) * (2 / half)
        angle = position[:, None] / 10000.0**octave  # [size, half / 2]
        return torch.stack((angle.sin(), angle.cos()), dim=2).flatten(1)  # [size, half]

    y = encode(height)[:, None].expand(height, width, channels // 2)
    x = encode(width)[None].expand(height, width, channels // 2)
    return torch.cat((y, x), dim=2).reshape(1, height * width, channels).to(like.dtype)

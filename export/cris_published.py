"""CRIS as its authors run it: the baseline of benchmarks, never what is deployed.

The weights and the results are those of :class:`CRIS`; what differs is how some steps are computed. Their code runs the
whole network for each sentence; its attention returns weights that nobody reads, which rules the fused kernel out; and
its projector is a 1x1 convolution at stride 4, then a convolution with a group for each sample.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.models.cris.decoder import DecoderLayer, sine_position, sine_position_2d
from rsseg_edge.models.cris.network import CRIS
from rsseg_edge.models.cris.text_encoder import PADDING


class PublishedCRIS(nn.Module):
    """``forward(image, words)``: normalised images [B, 3, H, W] and token ids [B, L] to logits [B, 1, H/4, W/4]."""

    def __init__(self, network: CRIS) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, words: Tensor) -> Tensor:
        fusion = self.network.fusion
        levels = self.network.vision(image)
        word, state = self.network.text(words)
        v3, v4, v5 = levels  # of CLIP alone
        x = fusion.neck(v3, v4, v5, state)
        x = self._decode(x, word, words == PADDING)
        return self._project(x, state)

    def _decode(self, x: Tensor, words: Tensor, padding: Tensor) -> Tensor:
        decoder, (height, width) = self.network.fusion.decoder, x.shape[2:]
        position = sine_position_2d(height, width, x.shape[1], x)
        located = words + sine_position(words.shape[1], x.shape[1], words)
        pixels = x.flatten(2).transpose(1, 2)
        for layer in decoder.layers:
            assert isinstance(layer, DecoderLayer)
            y = layer.self_norm(pixels)
            query = y + position
            pixels = pixels + layer.dropout(layer.self_out(layer.self_attention(query, query, y)[0]))
            query = layer.cross_norm(pixels) + position
            read = layer.cross_attention(query, located, words, key_padding_mask=padding)[0]
            pixels = pixels + layer.dropout(layer.cross_out(read))
            pixels = pixels + layer.dropout(layer.feedforward(layer.feedforward_norm(pixels)))
        return decoder.norm(pixels).transpose(1, 2).unflatten(2, (height, width))

    def _project(self, x: Tensor, state: Tensor) -> Tensor:
        projector = self.network.fusion.projector
        x = projector.pixel(projector.upsample(x))
        batch, channels, height, width = x.shape
        written = projector.state(state)
        kernel, bias = written[:, :-1].reshape(batch, channels, 3, 3), written[:, -1]
        grouped = F.conv2d(x.reshape(1, batch * channels, height, width), kernel, bias, padding=1, groups=batch)
        return torch.transpose(grouped, 0, 1)

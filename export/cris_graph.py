"""CRIS as three graphs: what depends on the sentence alone, on the image alone, and on both.

All rewrites are exact but for rounding. What a layer computes from the image alone or from the sentence alone is moved
to that graph, up to the next layer that is not linear; a 1x1 convolution is applied before an enlargement instead of
after it; BatchNorm is part of the convolution before it; positions are constants.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.export.conv_parts import ConvRelu, UpsampleConvRelu, fold, take_inputs
from rsseg_edge.kernels.torch_ops import cross_attention, feed_forward, self_attention
from rsseg_edge.models.cris.decoder import Decoder, DecoderLayer, sine_position, sine_position_2d
from rsseg_edge.models.cris.image_encoder import DenseAttentionPool, ImageEncoder
from rsseg_edge.models.cris.neck import coordinates, upsample
from rsseg_edge.models.cris.network import CRIS
from rsseg_edge.models.cris.projector import similarity
from rsseg_edge.models.cris.text_encoder import PADDING
from rsseg_edge.models.segearth_ov.vit import transformer_block

TEXT_OUTPUTS = ("gate", "keys", "values", "scores", "kernel", "offset")
VISION_OUTPUTS = ("level3", "level4", "level5")
DETAIL = "detail"
"""Further output of the vision graph, and last input of the fusion graph, of a network that has it."""

# Channels from which our operator is faster on a CPU than ONNX Runtime's convolution, 1.6 to 2.5 times, a change of
# layout on either side of it included: ONNX Runtime's convolutions keep their channels in blocks.
_OURS_FROM = 128
# Added to the score of a word that is not there. A half holds it, and exp() of it is 0 in any precision.
_MASKED = -1e4


class DeployedText(nn.Module):
    """Sentences to all that the image does not change.

    ``forward(tokens)`` takes int64 [B, l] of l up to L, the network's ``word_length``: columns of padding alone may be
    left out, and cost nothing then. It gives ``gate`` [B, C5] for the deepest level; for the cross-attention of D
    decoder layers with H heads ``keys`` and ``values`` [B, D, H L, C], which pixels meet without projections of their
    own, and ``scores`` [B, D, H L], which are added; ``kernel`` [B, 9, C/2] and ``offset`` [B, 10]: what the projector
    multiplies pixels by, and adds to the nine products and to their sum.
    """

    position: Tensor
    causal: Tensor

    def __init__(self, network: CRIS) -> None:
        super().__init__()
        network = copy.deepcopy(network).eval()
        self.encoder, self.gate = network.text, network.fusion.neck.state
        layers: Any = network.fusion.decoder.layers
        self.layers = nn.ModuleList(layer.cross_attention for layer in layers)
        self.projector = network.fusion.projector
        length = network.config.word_length
        position = sine_position(length, network.config.neck.channels[1], torch.zeros(0))
        self.length = length
        self.register_buffer("position", position, persistent=False)
        self.register_buffer("causal", _MASKED * torch.ones(length, length).triu(1), persistent=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        words, state = self._encode(tokens)
        mask = (tokens == PADDING).to(words.dtype) * _MASKED
        read = [self._read(layer, words, mask) for layer in self.layers]
        keys, values, scores = (torch.stack(parts, 1) for parts in zip(*read, strict=True))
        kernel, offset = self.projector.weights(state)
        return self.gate(state), keys, values, scores, kernel, offset

    def _encode(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        # What TextEncoder.forward does, its attention as matrix products: a third of the nodes.
        net, length = self.encoder.net, tokens.shape[1]
        x = net.token_embedding(tokens) + net.positional_embedding[:length]
        for block in net.transformer.resblocks:
            x = transformer_block(block, x, mask=self.causal[:length, :length])
        x = net.ln_final(x)
        end = tokens.argmax(1)[:, None, None].expand(-1, 1, x.shape[2])
        return x, x.gather(1, end)[:, 0] @ net.text_projection

    def _read(self, layer: Any, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # softmax((x Wq + bq)(k Wk + bk)') (v Wv + bv) Wo: Wq and the keys are one matrix, and the values and Wo.
        heads = layer.num_heads
        w_q, w_k, w_v = layer.in_proj_weight.chunk(3)
        b_q, b_k, b_v = layer.in_proj_bias.chunk(3)
        scale = 1 / math.sqrt(layer.head_dim)
        k = (
            (F.linear(words + self.position[: words.shape[1]], w_k, b_k) * scale)
            .unflatten(2, (heads, -1))
            .transpose(1, 2)
        )
        v = F.linear(words, w_v, b_v).unflatten(2, (heads, -1)).transpose(1, 2)  # [B, H, L, C/H]
        keys = k @ w_q.unflatten(0, (heads, -1))
        values = v @ layer.out_proj.weight.T.unflatten(0, (heads, -1))
        scores = (k @ b_q.unflatten(0, (heads, -1, 1)))[..., 0] + mask[:, None]
        # Columns of padding that were left out.
        missing = self.length - words.shape[1]
        keys, values = (F.pad(part, (0, 0, 0, missing)) for part in (keys, values))
        scores = F.pad(scores, (0, missing), value=_MASKED)
        return keys.flatten(1, 2), values.flatten(1, 2), scores.flatten(1)


class DeployedVision(nn.Module):
    """An image to all that the sentences do not change.

    ``forward(image)`` takes uint8 RGB [1, S, S, 3] and gives ``level3`` and ``level4`` [1, C, S/16, S/16]: the image's
    part of the neck's two merges, before their ReLU; ``level5`` [1, C5, S/32, S/32]; and where the image encoder has a
    finer level, ``detail`` [1, C/2, S/4, S/4].
    """

    def __init__(self, network: CRIS, size: int) -> None:
        super().__init__()
        self.network = network = copy.deepcopy(network).eval()
        for module in network.vision.modules():
            if isinstance(module, DenseAttentionPool):
                module.fix_position(size // 32, size // 32)
        if isinstance(network.vision, ImageEncoder):
            net: Any = network.vision.net
            for block in (*net.layer1, *net.layer2, *net.layer3, *net.layer4):
                if block.conv2.in_channels >= _OURS_FROM:  # a stage's stride is a pooling behind its ReLU
                    block.conv2 = ConvRelu(fold(nn.Sequential(block.conv2, block.bn2)))
                    block.bn2 = block.act2 = nn.Identity()
        neck: Any = network.fusion.neck
        self.merge3 = take_inputs(fold(neck.merge3), 0, neck.project3[0].out_channels, bias=True)
        self.merge4 = take_inputs(fold(neck.merge4), 0, neck.project4[0].out_channels, bias=True)
        neck.project3, neck.project4 = (ConvRelu(fold(block)) for block in (neck.project3, neck.project4))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.look(self.network.normalize(image.permute(0, 3, 1, 2).float()))

    def look(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The same from normalised pixels, [1, 3, S, S]."""
        p3, p4, p5, *detail = self.network.fusion.project(self.network.vision(pixels))
        return self.merge3(p3), self.merge4(p4), p5, *detail


class DeployedFusion(nn.Module):
    """What is left for a pair of image and sentence.

    ``forward(*vision, *text)`` takes the outputs of :class:`DeployedVision` and, for B sentences, of
    :class:`DeployedText`, and gives ``mask_logits`` [B, S/4, S/4].

    Args:
        network: in evaluation mode.
        size: S.
    """

    def __init__(self, network: CRIS, size: int) -> None:
        super().__init__()
        fusion = copy.deepcopy(network.fusion).eval()
        neck: Any = fusion.neck
        grid = size // 16

        merge3, merge4, aggregate, locate = (fold(b) for b in (neck.merge3, neck.merge4, neck.aggregate, neck.locate))
        c3, c = neck.project3[0].out_channels, aggregate.out_channels
        self.gated = neck.gated
        self.merge4 = take_inputs(merge4, c, merge4.in_channels, bias=False)
        self.merge3 = take_inputs(merge3, c3, merge3.in_channels, bias=False)
        self.refine3, self.refine4, self.refine5 = (
            ConvRelu(fold(b)) for b in (neck.refine3, neck.refine4, neck.refine5)
        )
        self.aggregate3 = take_inputs(aggregate, 0, c, bias=True)
        self.aggregate4 = take_inputs(aggregate, c, 2 * c, bias=False)
        self.aggregate5 = take_inputs(aggregate, 2 * c, 3 * c, bias=False)
        with torch.no_grad():
            place = take_inputs(locate, c, c + 2, bias=True)(coordinates(torch.zeros(1, c, grid, grid)))
        self.locate = ConvRelu(take_inputs(locate, 0, c, bias=False), place)
        self.smooth = ConvRelu(fold(neck.smooth))
        self.decoder = DeployedDecoder(fusion.decoder, c, grid)
        upsample: Any = fusion.projector.upsample
        _, first, _, second = upsample
        self.enlarge = nn.ModuleList((UpsampleConvRelu(fold(first)), UpsampleConvRelu(fold(second))))

    def forward(
        self,
        level3: Tensor,
        level4: Tensor,
        level5: Tensor,
        gate: Tensor,
        keys: Tensor,
        values: Tensor,
        scores: Tensor,
        kernel: Tensor,
        offset: Tensor,
        detail: Tensor | None = None,
    ) -> Tensor:
        f5 = self.gated(level5 * gate[..., None, None])
        f4 = torch.relu(level4 + upsample(self.merge4(f5)))
        f3 = torch.relu(level3 + self.merge3(f4))
        x = self.aggregate3(self.refine3(f3)) + self.aggregate4(self.refine4(f4))
        x = torch.relu(x + upsample(self.aggregate5(self.refine5(f5))))
        x = self.decoder(self.smooth(self.locate(x)), keys, values, scores)
        first, second = self.enlarge
        return similarity(second(first(x), detail), kernel, offset)[:, 0]


class DeployedDecoder(nn.Module):
    """The decoder for S/16 = ``grid`` and words as :class:`DeployedText` gives them."""

    position: Tensor

    def __init__(self, decoder: Decoder, channels: int, grid: int) -> None:
        super().__init__()
        self.layers, self.norm = decoder.layers, decoder.norm
        self.register_buffer("position", sine_position_2d(grid, grid, channels, torch.zeros(0)), persistent=False)
        self.attention = nn.ModuleList(_SelfAttention(layer, self.position) for layer in decoder.layers)
        self.feedforward = nn.ModuleList(_FeedForward(layer) for layer in decoder.layers)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, scores: Tensor) -> Tensor:
        size = x.shape[2:]
        pixels = x.flatten(2).transpose(1, 2)
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, DecoderLayer)
            before, cross, after = layer.cross_norm, layer.cross_attention, layer.cross_out
            assert before.eps == after.eps == 1e-5, "the operator's"
            pixels = self.attention[i](pixels)
            pixels = cross_attention(
                pixels,
                before.weight,
                before.bias,
                self.position,
                keys[:, i],
                values[:, i],
                scores[:, i],
                cross.out_proj.bias,
                after.weight,
                after.bias,
                cross.num_heads,
            )
            pixels = self.feedforward[i](pixels)
        return self.norm(pixels).transpose(1, 2).unflatten(2, size)


class _SelfAttention(nn.Module):
    """That of a decoder's layer with its norms and its residual, one operator of ours: [B, N, C] to the same shape."""

    def __init__(self, layer: Any, position: Tensor) -> None:
        super().__init__()
        attention, before, after = layer.self_attention, layer.self_norm, layer.self_out
        assert before.eps == after.eps == 1e-5, "the operator's"
        weight, channels = attention.in_proj_weight.detach(), position.shape[1]
        # Queries and keys read the positions, values do not.
        located = F.linear(position, weight[: 2 * channels])
        addend = attention.in_proj_bias + F.pad(located, (0, channels))
        out = attention.out_proj
        self.parts = _constants(
            before.weight, before.bias, weight.T, addend, out.weight.T, out.bias, after.weight, after.bias
        )
        self.heads = attention.num_heads

    def forward(self, x: Tensor) -> Tensor:
        before_weight, before_bias, weight, addend, out_weight, out_bias, after_weight, after_bias = self.parts
        return self_attention(
            x, before_weight, before_bias, weight, addend, out_weight, out_bias, after_weight, after_bias, self.heads
        )


class _FeedForward(nn.Module):
    """That of a decoder's layer with its norms and its residual, one operator of ours: [B, N, C] to the same shape."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        first, _, _, inner, second = layer.feedforward
        outer = layer.feedforward_norm
        assert outer.eps == inner.eps == 1e-5, "the operator's"
        self.parts = _constants(
            outer.weight,
            outer.bias,
            first.weight.T,
            first.bias,
            inner.weight,
            inner.bias,
            second.weight.T,
            second.bias,
        )

    def forward(self, x: Tensor) -> Tensor:
        return feed_forward(x, *self.parts)


def _constants(*values: Tensor) -> nn.ParameterList:
    return nn.ParameterList(value.detach().contiguous() for value in values)

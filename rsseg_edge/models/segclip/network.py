"""SegCLIP: text-prompted mask classification (METHODS 1; Zhang et al., IEEE TGRS)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.blocks import sine_position
from rsseg_edge.models.segclip.backbone import Backbone
from rsseg_edge.models.segclip.config import SegCLIPConfig
from rsseg_edge.models.segclip.decoder import Guidance, MaskedDecoder, Prediction
from rsseg_edge.models.segclip.pixel_decoder import PIXEL_DECODERS
from rsseg_edge.models.segclip.prompt import CrossModalFusion, TextMappingPrompt


@dataclass
class SegCLIPOutput:
    """Predictions in the order of depth, the last one is the result; ``guided`` is empty without guidance."""

    predictions: list[Prediction]
    guided: list[Prediction] = field(default_factory=list)


@dataclass(frozen=True)
class Parts:
    """What class shares are made of. Queries of one image may meet the pixels of another.

    Attributes:
        embedding: E, the features of every pixel, [B, C, H / 4, W / 4].
        mask_queries: [B, N, C], whose products with E are the mask logits.
        query_shares: [B, N, K], the probability of each class, adjusted; 0 or more.
    """

    embedding: Tensor
    mask_queries: Tensor
    query_shares: Tensor

    def shares(self) -> Tensor:
        """Class shares: [B, K, H / 4, W / 4], sums to 1 over K."""
        mask_logits = (self.mask_queries @ self.embedding.flatten(2)).unflatten(2, self.embedding.shape[2:])
        return _normalised(_mixed(self.query_shares, mask_logits))


class SegCLIP(nn.Module):
    """The network over a closed set of classes.

    Args:
        config: see :class:`SegCLIPConfig`.
        text: frozen text features of the classes' prompts, float [n, D]; kept in the state dict.
        pretrained: load the backbone weights that the configuration names.

    Attributes:
        adjustment: float [n], added to the logarithms of the class shares: what inference prefers beyond training.

    Raises:
        UsageError: the classes do not fit the configuration's queries (N > n), or weights are missing.
    """

    text: Tensor
    adjustment: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: SegCLIPConfig, text: Tensor, *, pretrained: bool = True) -> None:
        super().__init__()
        if text.shape[0] >= config.decoder.queries:
            raise UsageError(
                f"{config.name} has {config.decoder.queries} queries and needs fewer classes than that, "
                f"not {text.shape[0]}"
            )
        self.config = config
        channels = config.channels
        self.backbone = Backbone(config.backbone, pretrained=pretrained)
        self.pixel_decoder = PIXEL_DECODERS[config.pixel_decoder.kind](
            self.backbone.channels, channels, config.pixel_decoder
        )
        self.prompt = TextMappingPrompt(text.shape[1], channels, config.decoder.queries)
        self.fusion = CrossModalFusion(channels, config.decoder.heads, config.decoder.feedforward)
        self.decoder = MaskedDecoder(channels, text.shape[0], config.decoder)
        self.register_buffer("text", text.float())
        self.register_buffer("adjustment", torch.zeros(text.shape[0]))
        self.register_buffer("mean", torch.tensor(config.backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.backbone.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor, truth: Tensor | None = None) -> SegCLIPOutput:
        """Masks and classes of every query.

        Args:
            image: RGB in 0..255, [B, 3, H, W], H and W multiples of 32; normalised here.
            truth: class indices [B, H, W], 255 = ignore. Given, guidance queries are added (training).
        """
        queries, memory, embedding = self._encode(image)
        guidance = self._guidance(truth) if truth is not None else None
        return SegCLIPOutput(*self.decoder(queries, memory, embedding, guidance))

    def parts(self, image: Tensor) -> Parts:
        """What the shares of an image as for :meth:`forward` are made of; evaluation mode."""
        queries, memory, embedding = self._encode(image)
        mask_queries, class_logits = self.decoder.last(queries, memory, embedding)
        return Parts(embedding, mask_queries, class_logits.softmax(-1)[..., :-1] * self.adjustment.exp())

    def shares(self, image: Tensor) -> Tensor:
        """Class shares of an image as for :meth:`forward`, adjusted: [B, K, H / 4, W / 4], sums to 1 over K."""
        return self.parts(image).shares()

    def _encode(self, image: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Initial queries [B, N, C], memory P5, P4, P3 and E of images as for :meth:`forward`."""
        memory, embedding = self.pixel_decoder(self.backbone((image / 255 - self.mean) / self.std))
        top = memory[0]
        queries = self.prompt(self.text).expand(image.shape[0], -1, -1)
        queries = self.fusion(
            queries, top.flatten(2).transpose(1, 2), sine_position(top.shape[2], top.shape[3], top.shape[1], top)
        )
        return queries, memory, embedding

    def _guidance(self, truth: Tensor) -> Guidance:
        """One guidance query a class: the prompt's feature, attending to the true mask with a little noise."""
        classes = torch.arange(self.text.shape[0], device=truth.device)
        masks = truth[:, None] == classes[:, None, None]
        present = masks.flatten(2).any(-1)
        flip = torch.rand(masks.shape, device=masks.device) < self.config.loss.guidance_noise
        queries = self.prompt.project(self.text).expand(truth.shape[0], -1, -1)
        return Guidance(queries, masks ^ (flip & present[..., None, None]), present)


def class_scores(prediction: Prediction) -> Tensor:
    """score(k) = sum over q of softmax(class)[q, k] * sigmoid(mask)[q]: [B, K, H / 4, W / 4], 0 or more."""
    return _mixed(prediction.class_logits.softmax(-1)[..., :-1], prediction.mask_logits)


def class_shares(prediction: Prediction) -> Tensor:
    """Class scores that sum to 1 at every pixel: [B, K, H / 4, W / 4]."""
    return _normalised(class_scores(prediction))


def _mixed(query_shares: Tensor, mask_logits: Tensor) -> Tensor:
    scores = query_shares.transpose(1, 2) @ mask_logits.sigmoid().flatten(2)
    return scores.unflatten(2, mask_logits.shape[2:])


def _normalised(scores: Tensor) -> Tensor:
    return scores / scores.sum(1, keepdim=True).clamp(min=1e-6)


def upsample(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of scores [B, K, h, w] to [B, K, *size]."""
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=False)

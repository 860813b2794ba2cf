"""SimFeatUp in training: upsampled features that are jittered and downsampled are those of the jittered image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.models.segearth_ov.simfeatup import SimFeatUp
from rsseg_edge.training.simfeatup.downsampler import AttentionDownsampler
from rsseg_edge.training.simfeatup.features import FrozenFeatures
from rsseg_edge.training.simfeatup.jitter import Jitter, draw_jitter
from rsseg_edge.training.task import Task


@dataclass(frozen=True)
class SimFeatUpLoss:
    """The loss of METHODS 3.5.

    Attributes:
        jitters: views of an image.
        pad: reflected border of a view, in pixels.
        zoom: its greatest enlargement.
        projection: dimensions that features are compared in.
        image_weight: of the reconstruction of the view from its upsampled features.
        hidden: channels of the network that reconstructs it.
    """

    jitters: int = 5
    pad: int = 20
    zoom: float = 2.0
    projection: int = 30
    image_weight: float = 0.1
    hidden: int = 64


AS_PUBLISHED = SimFeatUpLoss()


class SimFeatUpTask(Task):
    """The upsampler (``network``) with what it is trained by.

    Upsampling, jitter and downsampling are linear in the features and the same for every channel. What the loss takes
    from the upsampled features is linear too: their random projection, their attention, and the first layer of the
    network that reconstructs the image. So these maps are applied to the 14 x 14 tokens, and 30 + 1 + 64 channels
    are upsampled in place of 512: the loss is the same, at a fifth of the cost and memory. For it the projection and
    the upsampling, with its dropout, are drawn once a step for all views, and not once a view.

    Args:
        features: gives the tokens.
        upsampler: to be trained, of as many channels.
        loss: see :class:`SimFeatUpLoss`.
    """

    def __init__(self, features: FrozenFeatures, upsampler: SimFeatUp, loss: SimFeatUpLoss = AS_PUBLISHED) -> None:
        super().__init__()
        channels = features.channels
        self.features = features
        self.loss = loss
        self.network: SimFeatUp = upsampler
        self.downsampler = AttentionDownsampler(channels, features.patch_size)
        self.uncertainty = Uncertainty(channels)
        self.painter = Painter(channels, loss.hidden)

    def forward(self, *batch: Tensor) -> dict[str, Tensor]:
        """Loss terms of RGB images, float [B, 3, S, S] in 0..255."""
        image = self.features.normalised(batch[0])
        tokens = self.features.tokens(image)
        projection = random_projection(len(image), tokens.shape[-1], self.loss.projection).to(tokens)
        first_layer = self.painter.first.weight.T.expand(len(image), -1, -1)
        maps = torch.cat((projection, self.downsampler.query(len(image)), first_layer), -1)
        upsampled = self.upsample(tokens, image, maps)
        pixels = image.permute(0, 2, 3, 1)
        features_terms, image_terms = [], []
        for jitter in self.draw_jitters(image):
            view = jitter(pixels)
            target = self.features.tokens(view.permute(0, 3, 1, 2))
            features, attention, hidden = jitter(upsampled).split((self.loss.projection, 1, self.loss.hidden), -1)
            error = (self.downsampler(features, attention) - target @ projection[:, None]).square()
            scale = self.uncertainty(target)
            features_terms.append((error / (2 * scale.square()) + scale.log()).mean())
            image_terms.append((self.painter(hidden) - view).square().mean())
        return {
            "features": torch.stack(features_terms).mean(),
            "image": self.loss.image_weight * torch.stack(image_terms).mean(),
        }

    def upsample(self, tokens: Tensor, image: Tensor, maps: Tensor) -> Tensor:
        """Upsampled tokens [B, h, w, C] under linear maps [B, C, D]: [B, H, W, D]."""
        kernels = self.network.kernels(image, (tokens.shape[1], tokens.shape[2]))
        return to_size(self.network.upsample(tokens, kernels, maps), (image.shape[2], image.shape[3]))

    def draw_jitters(self, image: Tensor, generator: torch.Generator | None = None) -> list[Jitter]:
        """The views of a step."""
        height, width = image.shape[2:]
        return [
            draw_jitter(height, width, pad=self.loss.pad, zoom=self.loss.zoom, generator=generator)
            for _ in range(self.loss.jitters)
        ]


class Uncertainty(nn.Module):
    """The error to expect of a token [B, h, w, C]: positive, [B, h, w, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        return (self.linear(tokens) + 0.1).exp().clamp_min(1e-4)


class Painter(nn.Module):
    """The image from upsampled features, so that they keep its detail: linear, LayerNorm, GELU, linear, tanh.

    The first linear layer has the width of the features in the published code; it is ``hidden`` here.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels, hidden)
        self.rest = nn.Sequential(nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, 3), nn.Tanh())

    def forward(self, hidden: Tensor) -> Tensor:
        """Features times the first layer's weights, [B, H, W, hidden], to normalised RGB [B, H, W, 3]."""
        painted: Tensor = self.rest(hidden + self.first.bias)
        return painted


def random_projection(batch: int, channels: int, dimensions: int, generator: torch.Generator | None = None) -> Tensor:
    """Gaussian columns of length 1 for every image: [B, C, D]."""
    return F.normalize(torch.randn(batch, channels, dimensions, generator=generator), dim=1)


def to_size(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[B, H, W, D] at ``size``, bilinearly: the upsampling is by 16, and not every patch is of 16 pixels."""
    if x.shape[1:3] == size:
        return x
    return F.interpolate(x.permute(0, 3, 1, 2), size, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)

"""CRIS in training, and what it minimises."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from rsseg_edge.errors import UsageError
from rsseg_edge.models.cris.config import LossConfig, PyramidVisionConfig, configurations, load_config
from rsseg_edge.models.cris.network import CRIS
from rsseg_edge.models.cris.text_encoder import PADDING
from rsseg_edge.training.checkpoint import TrainedModel, fill, read_model
from rsseg_edge.training.task import Task


class ReferringTask(Task):
    """``forward(image, words, masks)``: images float [B, 3, S, S] RGB in 0..255; token ids int64 [B * n, L] of n
    sentences about each image, one image's after the other's; their masks uint8 [B * n, S, S], 1 where it is meant.
    """

    def __init__(self, network: CRIS) -> None:
        super().__init__()
        self.network: CRIS = network
        if not isinstance(network.config.clip.vision, PyramidVisionConfig):
            self.pretrained = ("vision", "text")  # CLIP

    def forward(self, *batch: Tensor) -> dict[str, Tensor]:
        image, words, masks = batch
        return referring_loss(self.logits(image, words), masks, self.network.config.loss)

    def logits(self, image: Tensor, words: Tensor) -> Tensor:
        """Mask logits [B * n, 1, S/4, S/4] of n sentences about each of B images."""
        network = self.network
        features = network.fusion.project(network.vision(network.normalize(image)))
        shared = [feature.repeat_interleave(len(words) // len(image), 0) for feature in features]
        word, state = network.text(words)
        return network.fusion.read(shared, word, state, words == PADDING)


def referring_loss(logits: Tensor, masks: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """Weighted loss terms of masks: binary cross-entropy over all pixels (the text-to-pixel contrast), and dice.

    Args:
        logits: [N, 1, h, w].
        masks: [N, H, W], 0 or 1; a logit's truth is the mean over the pixels that it stands for.
        config: weights.
    """
    logits = logits[:, 0].float()
    height, width = logits.shape[1:]
    truth = F.adaptive_avg_pool2d(masks[:, None].float(), (height, width))[:, 0]
    terms = {"entropy": config.entropy * F.binary_cross_entropy_with_logits(logits, truth)}
    if config.dice:
        shares = logits.sigmoid()
        common, total = (shares * truth).sum((1, 2)), shares.sum((1, 2)) + truth.sum((1, 2))
        terms["dice"] = config.dice * (1 - (2 * common + 1) / (total + 1)).mean()
    return terms


def build_referring(model: str, *, backbone_weights: str | None = None, pretrained: bool = True) -> ReferringTask:
    """A network of that name, ready to train, or, not ``pretrained``, to load a checkpoint into.

    Args:
        model: a configuration of CRIS.
        backbone_weights: where its image encoder's weights come from, in place of the configuration's: a file, for a
            small model also a SegCLIP bundle, for CLIP weights of both encoders.
        pretrained: load the weights that it starts from.

    Raises:
        UsageError: no such model, or its weights cannot be had.
    """
    config = load_config(model)
    if backbone_weights is not None:
        vision = config.clip.vision
        if isinstance(vision, PyramidVisionConfig):
            clip = config.clip.model_copy(update={"vision": vision.model_copy(update={"weights": backbone_weights})})
        else:
            clip = config.clip.model_copy(update={"weights": backbone_weights})
        config = config.model_copy(update={"clip": clip})
    return ReferringTask(CRIS(config, pretrained=pretrained))


def is_referring(model: str) -> bool:
    """Whether a model of this name segments what sentences refer to."""
    return model in configurations()


def load_referring(path: Path) -> tuple[ReferringTask, TrainedModel]:
    """Rebuild the network of a ``model.safetensors``, in evaluation mode.

    Raises:
        UsageError: there is no such file, or it is of another kind of model.
        RssegError: it is damaged, or not one of ours.
    """
    weights, trained = read_model(path)
    if not is_referring(trained.model):
        raise UsageError(
            f"{path} is a {trained.model}, which reads no sentences: it takes {', '.join(configurations())}"
        )
    with torch.random.fork_rng():
        task = build_referring(trained.model, pretrained=False)
    fill(task.network, weights, path, trained.model)
    return task.eval(), trained

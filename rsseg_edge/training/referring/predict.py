"""A network in training as what :func:`rsseg_edge.evaluation.referring.evaluate_referring` asks."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from rsseg_edge.evaluation.referring import BoolArray
from rsseg_edge.models.cris.config import CRISConfig
from rsseg_edge.preprocess.letterbox import from_letterbox, letterbox
from rsseg_edge.training.referring.task import ReferringTask
from rsseg_edge.training.referring.tokens import tokenizer_of
from rsseg_edge.types import UInt8Array


def border_of(config: CRISConfig) -> tuple[int, int, int]:
    """The colour around a letterboxed image, RGB in 0..255: the mean, so that it is 0 to the network."""
    red, green, blue = (round(255 * value) for value in config.mean)
    return red, green, blue


class TorchReferring:
    """From an image, uint8 [H, W, 3] RGB, and sentences to their masks, bool [H, W]; ``task`` is in evaluation mode."""

    def __init__(self, task: ReferringTask) -> None:
        self._task, self._config = task, task.network.config
        self._tokenizer, self._border = tokenizer_of(self._config), border_of(self._config)
        self._device = next(task.parameters()).device

    @torch.inference_mode()
    def __call__(self, image: UInt8Array, sentences: list[str]) -> list[BoolArray]:
        square = torch.from_numpy(letterbox(image, self._config.image_size, self._border))
        words = torch.from_numpy(self._tokenizer.encode(sentences)).to(self._device)
        logits = self._task.logits(square.permute(2, 0, 1)[None].float().to(self._device), words)
        shares = F.interpolate(logits.float().sigmoid(), scale_factor=4.0, mode="bilinear").cpu().numpy()[:, 0]
        height, width = image.shape[:2]
        return [np.asarray(from_letterbox(s, height, width) > self._config.threshold) for s in shares]

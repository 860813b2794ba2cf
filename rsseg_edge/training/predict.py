"""A trained network behind the same segmenter that runs bundles, so that both are measured alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from rsseg_edge.bundle import InputSpec
from rsseg_edge.engines.base import Arrays, Done
from rsseg_edge.segmenters.semantic import SemanticSegmenter
from rsseg_edge.training.checkpoint import load_model
from rsseg_edge.training.task import SemanticTask, predict
from rsseg_edge.types import ClassTable


class TorchEngine:
    """A task as an :class:`rsseg_edge.engines.base.Engine`, on the device that its weights are on."""

    outputs = ("class_map", "confidence")
    at_once = 1

    def __init__(self, task: SemanticTask) -> None:
        self._task = task
        self._device = next(task.parameters()).device

    def start(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Done:
        """Run once, now; see :meth:`infer`."""
        return Done(self.infer(inputs, outputs))

    @torch.inference_mode()
    def infer(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Run once: ``image`` uint8 [B, H, W, 3] to uint8 [B, H, W] each."""
        results = predict(self._task, torch.from_numpy(inputs["image"]).to(self._device))
        named = dict(zip(self.outputs, (r.cpu().numpy() for r in results), strict=True))
        return {name: named[name] for name in outputs or self.outputs}

    def serve(self, at_once: int) -> None:
        """It takes one."""

    def close(self) -> None:
        """Nothing is held beyond the task itself."""


def task_segmenter(task: SemanticTask, classes: ClassTable, long_side: int | None = None) -> SemanticSegmenter:
    """The segmenter of a network in evaluation mode; ``long_side`` as in :func:`rsseg_edge.load`."""
    spec = InputSpec()
    return SemanticSegmenter(TorchEngine(task), classes, spec, long_side=long_side or spec.image_long_side)


def load_checkpoint_segmenter(path: Path, long_side: int | None = None) -> SemanticSegmenter:
    """The segmenter of a ``model.safetensors``.

    Raises:
        UsageError: there is no such file.
        RssegError: it is not one that rsseg-train wrote.
    """
    task, trained = load_model(path)
    return task_segmenter(task, trained.table, long_side)

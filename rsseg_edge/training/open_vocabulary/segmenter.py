"""A trained open-vocabulary network behind the segmenter's protocol, so that it is measured as bundles are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rsseg_edge.bundle import InputSpec
from rsseg_edge.errors import UsageError
from rsseg_edge.models.segearth_ov.tiny.network import SegEarthOVTiny
from rsseg_edge.models.segearth_ov.tiny.sentence import WordEncoder
from rsseg_edge.prompts.colors import distinct_colors
from rsseg_edge.prompts.vocabulary import parse_classes
from rsseg_edge.segmenters.word_classes import BACKGROUND
from rsseg_edge.training.open_vocabulary.predict import load_network, predictor
from rsseg_edge.types import ClassTable, Segmentation, UInt8Array


class NetworkSegmenter:
    """See :class:`rsseg_edge.segmenter.Segmenter`; confidence is not measured, and 0.

    Args:
        network: in evaluation mode.
        long_side: larger images are scaled down to it, in pixels; None takes the model's.
    """

    def __init__(self, network: SegEarthOVTiny, long_side: int | None = None) -> None:
        self.spec = InputSpec()
        self.long_side = long_side or network.config.long_side
        self._network = network
        self._encoder = WordEncoder(network.config.text.name, network.config.templates)
        self._table: ClassTable | None = None

    def set_classes(
        self, classes: Sequence[str], *, background: str | None = None, threshold: float | None = None
    ) -> None:
        """Segment into other classes from the next image on.

        Args:
            classes: each a string of comma-separated synonyms; the first is its name.
            background: synonyms of what is none of them; it becomes the last class.
            threshold: a pixel whose best class has a smaller probability, 0..1, is background; None takes the model's.

        Raises:
            UsageError: no class, an empty or repeated word, too many.
        """
        vocabulary = parse_classes([*classes, background] if background else list(classes))
        names = [name.split(",")[0].strip() for name in classes]
        threshold = self._network.inference.prob_thd if threshold is None else threshold
        if background or threshold:
            names.append(BACKGROUND)
        self._text = self._encoder.words(vocabulary.words)
        self._index = torch.tensor(vocabulary.class_index)
        self._threshold = threshold
        self._table = ClassTable(tuple(names), distinct_colors(names, {}))

    @property
    def table(self) -> ClassTable:
        """Names and colours of the current classes.

        Raises:
            UsageError: none were set.
        """
        if self._table is None:
            raise UsageError("no classes: name them, for instance --classes 'building,roof; road; water'")
        return self._table

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return self.table.names

    def prepare(self, image: UInt8Array) -> UInt8Array:
        """The image as it is."""
        return image

    def infer(self, prepared: UInt8Array) -> UInt8Array:
        """Class map, uint8 [H, W], of the image's size.

        Raises:
            UsageError: no classes were set.
        """
        last = len(self.classes) - 1
        device = self._network.text_mean.device
        text, index = self._text.to(device), self._index.to(device)
        background = last if self._threshold else None
        return predictor(self._network, text, index, self.long_side, self._threshold, background)(prepared)

    def finish(self, image: UInt8Array, raw: UInt8Array) -> Segmentation:
        """The class map with its classes."""
        return Segmentation(raw, np.zeros_like(raw), self.table)

    def __call__(self, image: UInt8Array) -> Segmentation:
        """Segment one image; see :class:`rsseg_edge.segmenter.Segmenter`."""
        return self.finish(image, self.infer(self.prepare(image)))

    def close(self) -> None:
        """Nothing is held beyond the network itself."""


def load_open_vocabulary_segmenter(path: Path, long_side: int | None = None) -> NetworkSegmenter:
    """The segmenter of a ``model.safetensors``.

    Raises:
        UsageError: there is no such file.
        RssegError: it is damaged, or of another model.
    """
    network, _ = load_network(path)
    return NetworkSegmenter(network, long_side)

"""Batches of images, sentences about them, and what the sentences mean; each follows from the seed and its step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from rsseg_edge.datasets.referring import Expression, draw_expressions
from rsseg_edge.datasets.sample import SegmentationDataset
from rsseg_edge.errors import RssegError
from rsseg_edge.evaluation.referring import Samples
from rsseg_edge.preprocess.letterbox import letterbox
from rsseg_edge.training.crops import CropSource, read_ahead
from rsseg_edge.training.recipe import Recipe
from rsseg_edge.training.referring.tokens import Encodes
from rsseg_edge.types import UInt8Array

TRIES = 100
"""Crops that are looked at for one that something can be said of."""

_PATIENCE = 4  # further crops that are looked at where there is one already, but with too little to be said of

Color = tuple[int, int, int]
Read = tuple[UInt8Array, list[Expression]]


class ReferringSource:
    """What :class:`~rsseg_edge.training.referring.task.ReferringTask` takes, one image with its sentences at a time.

    Args:
        tokenizer: of the network.
        sentences: about each image.
        seed: the whole stream follows from it.
    """

    def __init__(self, tokenizer: Encodes, sentences: int, seed: int) -> None:
        self._tokenizer, self._sentences, self._seed = tokenizer, sentences, seed

    def read(self, number: int) -> Read:
        """Image ``number`` of the stream, uint8 [S, S, 3], with ``sentences`` expressions about it."""
        raise NotImplementedError

    def batches(self, size: int, start: int, stop: int, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, ...]]:
        """Batches of the steps ``start`` to ``stop``: ``size`` images, shared by the processes as crops are."""

        def batch(step: int) -> tuple[Tensor, ...]:
            read = [self.read(step * size + i) for i in range(rank, size, world)]
            images = torch.from_numpy(np.stack([image for image, _ in read])).permute(0, 3, 1, 2).float()
            said = [expression for _, expressions in read for expression in expressions]
            words = torch.from_numpy(self._tokenizer.encode([e.sentence for e in said]))
            return images, words, torch.from_numpy(np.stack([e.mask for e in said]).astype(np.uint8))

        return read_ahead(batch, start, stop)


class DrawnSource(ReferringSource):
    """Crops of labelled images with sentences that are true of the crop as it is: cut, turned and mirrored before.

    Args:
        sets: data sets, each with classes of its own, and the share of images that each contributes.
        recipe: crops, how many of them are letterboxed, and sentences an image.
        tokenizer: of the network.
        border: colour around a letterboxed image.
        seed: the whole stream follows from it.
    """

    def __init__(
        self,
        sets: Sequence[tuple[SegmentationDataset, float]],
        recipe: Recipe,
        tokenizer: Encodes,
        border: Color,
        seed: int,
    ) -> None:
        super().__init__(tokenizer, recipe.sentences, seed)
        self._sets = [(CropSource([(data, 1.0)], recipe.crop, seed), data.classes.names) for data, _ in sets]
        shares = np.array([share for _, share in sets], dtype=float)
        self._shares, self._frame, self._border = shares / shares.sum(), recipe.frame, border

    def read(self, number: int) -> Read:
        """Image ``number`` of the stream.

        Raises:
            RssegError: nothing can be said of any crop that was looked at.
        """
        best: Read | None = None
        rng = np.random.default_rng((self._seed, number))
        crops, classes = self._sets[int(rng.choice(len(self._sets), p=self._shares))]
        for attempt in range(TRIES):
            image, labels = crops.crop(number * TRIES + attempt)
            rows = columns = slice(None)
            if rng.random() < self._frame:
                rows, columns = _band(len(image), rng)
            said = draw_expressions(np.ascontiguousarray(labels[rows, columns]), classes, self._sentences, rng)
            if best is None or len(said) > len(best[1]):
                best = _framed(image, rows, columns, self._border), [_placed(e, labels, rows, columns) for e in said]
            # An image of which only one thing can be said is read in spite of the sentence, but it is better than none.
            if len(best[1]) == self._sentences or (best[1] and attempt >= _PATIENCE):
                break
        if best is None or not best[1]:
            raise RssegError("no crop of the training images lets anything be referred to: are they fully labelled?")
        image, said = best
        return image, [said[i % len(said)] for i in range(self._sentences)]


class GivenSource(ReferringSource):
    """Images that came with sentences, letterboxed as inference does it and altered no further, as published.

    Args:
        samples: of which any may lack expressions.
        size: side of the square, in pixels.
        sentences: about each image.
        tokenizer: of the network.
        border: colour around the image.
        seed: the whole stream follows from it.
    """

    def __init__(
        self,
        samples: Samples,
        size: int,
        sentences: int,
        tokenizer: Encodes,
        border: Color,
        seed: int,
    ) -> None:
        super().__init__(tokenizer, sentences, seed)
        self._samples, self._size, self._border = samples, size, border

    def read(self, number: int) -> Read:
        """Image ``number`` of the stream.

        Raises:
            RssegError: no image that was looked at has an expression.
        """
        rng = np.random.default_rng((self._seed, number))
        for _ in range(TRIES):
            sample = self._samples[int(rng.integers(len(self._samples)))]
            if sample.expressions:
                break
        else:
            raise RssegError("no image of the training set has an expression")
        order = rng.permutation(len(sample.expressions))
        said = [sample.expressions[order[i % len(order)]] for i in range(self._sentences)]
        return letterbox(sample.image, self._size, self._border), [self._boxed(e) for e in said]

    def _boxed(self, expression: Expression) -> Expression:
        mask = np.repeat(expression.mask.astype(np.uint8)[..., None] * 255, 3, 2)
        return Expression(expression.sentence, letterbox(mask, self._size, (0, 0, 0))[..., 0] > 127, expression.kind)


def _band(size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """The middle of a square between two of its sides, half of it at least."""
    margin = int(rng.integers(0, size // 4))
    band, whole = slice(margin, size - margin), slice(0, size)
    return (band, whole) if rng.random() < 0.5 else (whole, band)


def _framed(image: UInt8Array, rows: slice, columns: slice, border: Color) -> UInt8Array:
    out = np.empty_like(image)
    out[:] = border
    out[rows, columns] = image[rows, columns]
    return out


def _placed(expression: Expression, labels: UInt8Array, rows: slice, columns: slice) -> Expression:
    mask = np.zeros(labels.shape, np.bool_)
    mask[rows, columns] = expression.mask
    return Expression(expression.sentence, mask, expression.kind)

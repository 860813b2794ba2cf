"""Any labelled data set as images with sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rsseg_edge.datasets.referring.expression import Expression, Phrasings, draw_expressions
from rsseg_edge.datasets.sample import SegmentationDataset
from rsseg_edge.types import UInt8Array


@dataclass(frozen=True, eq=False)
class ReferringSample:
    """One image with its sentences.

    Attributes:
        image: uint8 [H, W, 3] RGB.
        expressions: none where nothing in the image can be told apart.
        name: unique in its data set.
    """

    image: UInt8Array
    expressions: list[Expression]
    name: str


class ReferringDataset:
    """Up to ``count`` sentences about each image of ``data``. The same seed gives the same sentences."""

    def __init__(
        self, data: SegmentationDataset, *, count: int = 8, seed: int = 0, phrasings: Phrasings = "train"
    ) -> None:
        self.data, self._count, self._seed, self._phrasings = data, count, seed, phrasings

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> ReferringSample:
        sample = self.data[index]
        rng = np.random.default_rng((self._seed, index))
        drawn = draw_expressions(sample.labels, self.data.classes.names, self._count, rng, self._phrasings)
        return ReferringSample(sample.image, drawn, sample.name)

    def __iter__(self) -> Iterator[ReferringSample]:
        return (self[i] for i in range(len(self)))

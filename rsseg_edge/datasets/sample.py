"""What a data set gives: one image with its labels, whether read from files or generated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from rsseg_edge.datasets.table import DatasetSpec
from rsseg_edge.types import ClassTable, UInt8Array

IGNORE = 255
"""Label of a pixel that belongs to no class: left out of losses and metrics."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled image.

    Attributes:
        image: uint8 [H, W, 3] RGB.
        labels: uint8 [H, W]: class indices 0..K-1, and 255 where there is no class.
        name: unique in its data set.
    """

    image: UInt8Array
    labels: UInt8Array
    name: str


class SegmentationDataset(Protocol):
    """A sequence of samples. Samples are made when asked for, so that worker processes can share the work."""

    spec: DatasetSpec

    @property
    def classes(self) -> ClassTable:
        """Names and colours, in the order of the labels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]: ...

    def area(self, index: int) -> int:
        """Pixels of a sample's image, known without decoding it."""

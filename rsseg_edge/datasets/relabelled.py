"""A data set seen in the classes of another, so that both can train one model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rsseg_edge.datasets.sample import IGNORE, Sample, SegmentationDataset
from rsseg_edge.errors import UsageError
from rsseg_edge.types import ClassTable


class Relabelled:
    """The samples of ``data`` with labels of ``classes``, matched by name; what has no namesake is unlabelled.

    Raises:
        UsageError: no class has a namesake.
    """

    def __init__(self, data: SegmentationDataset, classes: ClassTable) -> None:
        self.spec, self.classes, self._data = data.spec, classes, data
        indices = {name.casefold(): i for i, name in enumerate(classes.names)}
        self._labels = np.full(256, IGNORE, np.uint8)
        for label, name in enumerate(data.classes.names):
            self._labels[label] = indices.get(name.casefold(), IGNORE)
        if (self._labels == IGNORE).all():
            raise UsageError(
                f"data {data.spec.name} ({', '.join(data.classes.names)}) has no class of "
                f"{', '.join(classes.names)} to train with"
            )

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Sample:
        sample = self._data[index]
        return Sample(sample.image, self._labels[sample.labels], sample.name)

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def area(self, index: int) -> int:
        """Pixels of a sample's image."""
        return self._data.area(index)

"""Generated scenes as a data set: nothing to download, a seed for every sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rsseg_edge.datasets.sample import Sample
from rsseg_edge.datasets.scenes import generate_scene
from rsseg_edge.datasets.table import DatasetSpec, Split
from rsseg_edge.types import ClassTable


class SceneDataset:
    """Scenes of ``spec.crop`` pixels a side at 0.3 to 1.2 m a pixel. Sample ``i`` has the seed ``first_seed + i``."""

    def __init__(self, spec: DatasetSpec, split: Split) -> None:
        self.spec = spec
        self._seeds = range(split.first_seed, split.first_seed + split.count)

    @property
    def classes(self) -> ClassTable:
        """Names and colours, in the order of the labels."""
        return self.spec.class_table()

    def __len__(self) -> int:
        return len(self._seeds)

    def __getitem__(self, index: int) -> Sample:
        seed = self._seeds[index]
        gsd = float(np.random.default_rng((seed, 1)).uniform(0.3, 1.2))
        return generate_scene(seed, self.spec.crop, self.spec.crop, gsd=gsd)

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def area(self, index: int) -> int:
        """Pixels of a scene."""
        return self.spec.crop**2

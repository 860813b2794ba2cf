"""Logit adjustment: where the network is in doubt, the classes that are common in training are not the safe answer.

Menon et al., "Long-tail learning via logit adjustment" (ICLR 2021), after training: tau log(prior) is taken off each
class's score. mIoU weighs classes alike, and on images that a network has not seen it is in doubt more often.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rsseg_edge.datasets.sample import IGNORE, SegmentationDataset

MOST_IMAGES = 200  # their labels give the frequencies to a percent, and a large set is not read twice


def label_adjustment(data: SegmentationDataset, tau: float) -> Tensor:
    """-tau log(frequency) of each class, less the greatest of them: float32 [K], 0 or less.

    A class without a labelled pixel counts as if it had one.

    Args:
        data: the training set; of more than ``MOST_IMAGES`` images, as many spread over it are read.
        tau: 0 leaves the classes as they are; 1 removes the prior.
    """
    counts = np.ones(len(data.classes))
    for index in np.linspace(0, len(data) - 1, min(len(data), MOST_IMAGES)).round().astype(int):
        labels = data[int(index)].labels
        counts += np.bincount(labels[labels != IGNORE].ravel(), minlength=len(counts))
    wanted = -tau * np.log(counts / counts.sum())
    return torch.from_numpy((wanted - wanted.max()).astype(np.float32))

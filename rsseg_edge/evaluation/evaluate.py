"""Run a model over a labelled data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.evaluation.confusion import ConfusionMatrix
from rsseg_edge.evaluation.match import ClassMatch
from rsseg_edge.types import UInt8Array

if TYPE_CHECKING:
    from rsseg_edge.datasets.sample import SegmentationDataset


def evaluate(
    segment: Callable[[UInt8Array], UInt8Array],
    dataset: SegmentationDataset,
    progress: Callable[[int, int], None] | None = None,
    *,
    match: ClassMatch | None = None,
    max_images: int | None = None,
) -> ConfusionMatrix:
    """Segment every image at its own size and count.

    Args:
        segment: from an image, uint8 [H, W, 3] RGB, to its class map, uint8 [H, W].
        dataset: labelled images.
        progress: called with (images done, images in all), first with 0 done.
        match: how classes of model and data correspond; None where the class map holds the data's own indices.
        max_images: take so many images only, spread evenly over the data set.

    Returns:
        Counts over the classes of ``match``, or of the data set.

    Raises:
        UsageError: ``max_images`` below 1.
        RssegError: a file is unreadable, or a class map is not of its image's size.
    """
    if max_images is not None and max_images < 1:
        raise UsageError(f"{max_images} images: at least one is needed")
    count = len(dataset) if max_images is None else min(max_images, len(dataset))
    matrix = ConfusionMatrix(match.table if match else dataset.classes)
    for done, index in enumerate(np.linspace(0, len(dataset) - 1, count).round().astype(int)):
        if progress:
            progress(done, count)
        sample = dataset[int(index)]
        labels, prediction = sample.labels, segment(sample.image)
        if prediction.shape != labels.shape:
            raise RssegError(f"{sample.name}: class map {list(prediction.shape)} for an image {list(labels.shape)}")
        if match:
            labels, prediction = match.labels[labels], match.predictions[prediction]
        matrix.update(labels, prediction)
    if progress:
        progress(count, count)
    return matrix

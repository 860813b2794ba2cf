"""Accuracy of referring segmentation: overall IoU, mean IoU, and the share of expressions above an IoU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from rsseg_edge.errors import RssegError
from rsseg_edge.types import UInt8Array

if TYPE_CHECKING:
    from rsseg_edge.datasets.referring import ReferringSample

BoolArray = npt.NDArray[np.bool_]
Refer = Callable[[UInt8Array, list[str]], Sequence[BoolArray]]
"""From an image, uint8 [H, W, 3] RGB, and sentences to one mask a sentence, bool [H, W]."""


class Samples(Protocol):
    """Images with sentences, by their number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> ReferringSample: ...


THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class ReferringScores:
    """Measures over a number of expressions, each in 0..1, NaN where there are none.

    Attributes:
        expressions: how many.
        overall_iou: summed intersections by summed unions: large objects count for more.
        mean_iou: mean of the IoU of each expression.
        precision: Pr@t, the share of expressions with an IoU above t, for each t of ``THRESHOLDS``.
    """

    expressions: int
    overall_iou: float
    mean_iou: float
    precision: dict[float, float]


class ReferringCounts:
    """Intersections and unions, expression by expression.

    Example:
        >>> counts = ReferringCounts()
        >>> counts.update(truth, prediction, "size")
        >>> counts.scores("size").mean_iou
        0.75
    """

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, int]] = []

    def update(self, truth: BoolArray, prediction: BoolArray, kind: str = "") -> None:
        """Add one expression.

        Args:
            truth: bool [H, W], what is referred to.
            prediction: bool [H, W].
            kind: of the expression, to score apart.

        Raises:
            ValueError: other shapes or types, or an expression that refers to nothing.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth {list(truth.shape)} and prediction {list(prediction.shape)} differ in shape")
        if truth.dtype != np.bool_ or prediction.dtype != np.bool_:
            raise ValueError(f"truth and prediction are bool, not {truth.dtype} and {prediction.dtype}")
        if not truth.any():
            raise ValueError("an expression refers to one pixel at least")
        self._rows.append((kind, int((truth & prediction).sum()), int((truth | prediction).sum())))

    def merge(self, counts: ReferringCounts) -> None:
        """Add the expressions of another one."""
        self._rows += counts._rows

    @property
    def kinds(self) -> list[str]:
        """Kinds that occur, sorted."""
        return sorted({kind for kind, _, _ in self._rows})

    def scores(self, kind: str | None = None) -> ReferringScores:
        """Measures of one kind of expression, or of all."""
        rows = np.array([row[1:] for row in self._rows if kind in (None, row[0])], np.float64).reshape(-1, 2)
        if not len(rows):
            nan = float("nan")
            return ReferringScores(0, nan, nan, dict.fromkeys(THRESHOLDS, nan))
        intersection, union = rows.T
        iou = intersection / union
        return ReferringScores(
            len(rows),
            float(intersection.sum() / union.sum()),
            float(iou.mean()),
            {t: float((iou > t).mean()) for t in THRESHOLDS},
        )


def evaluate_referring(
    refer: Refer,
    samples: Samples,
    progress: Callable[[int, int], None] | None = None,
    *,
    shuffled: bool = False,
    max_images: int | None = None,
) -> ReferringCounts:
    """Ask for every expression of every image and count.

    Args:
        refer: the model.
        samples: images with expressions.
        progress: called with (images done, images in all), first with 0 done.
        shuffled: compare each answer with the pixels of the image's next expression instead of its own, where they
            differ. A model that reads its sentences scores far less so; one that marks what stands out does not.
        max_images: take so many images only, spread evenly.

    Raises:
        RssegError: as many masks as sentences, of the image's size, are not what came back.
    """
    counts = ReferringCounts()
    count = len(samples) if max_images is None else min(max_images, len(samples))
    for done, index in enumerate(np.linspace(0, len(samples) - 1, count).round().astype(int)):
        if progress:
            progress(done, count)
        sample = samples[int(index)]
        expressions = sample.expressions
        if not expressions:
            continue
        masks = refer(sample.image, [e.sentence for e in expressions])
        if [m.shape for m in masks] != [e.mask.shape for e in expressions]:
            raise RssegError(f"{sample.name}: {len(expressions)} sentences gave masks {[list(m.shape) for m in masks]}")
        meant = [*expressions[1:], expressions[0]] if shuffled else expressions
        for own, expression, mask in zip(expressions, meant, masks, strict=True):
            if not (shuffled and np.array_equal(own.mask, expression.mask)):
                counts.update(expression.mask, np.asarray(mask, np.bool_), own.kind)
    if progress:
        progress(count, count)
    return counts

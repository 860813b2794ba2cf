"""Confusion matrix and the measures that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rsseg_edge.types import ClassTable, UInt8Array

IGNORE = 255
Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Measures of one class, each in 0..1, NaN where it is not defined (a class that is in no label, say).

    Attributes:
        name: of the class.
        iou: intersection over union, TP / (TP + FP + FN).
        f1: 2 TP / (2 TP + FP + FN).
        precision: TP / (TP + FP).
        recall: TP / (TP + FN).
        pixels: labelled with this class.
    """

    name: str
    iou: float
    f1: float
    precision: float
    recall: float
    pixels: int


class ConfusionMatrix:
    """Counts of pixels, and accuracies from them. Labels of 255 do not count at all.

    Attributes:
        classes: names and colours in the order of the rows and columns.
        counts: int64 [K, K]: rows are labels, columns predictions.
        other: int64 [K]: pixels of each label that were predicted as none of the classes (prediction 255).

    Example:
        >>> matrix = ConfusionMatrix(classes)
        >>> matrix.update(labels, class_map)
        >>> matrix.miou
        0.75
    """

    def __init__(self, classes: ClassTable) -> None:
        self.classes = classes
        self.counts: Counts = np.zeros((len(classes), len(classes)), np.int64)
        self.other: Counts = np.zeros(len(classes), np.int64)

    def update(self, labels: UInt8Array, prediction: UInt8Array) -> None:
        """Add one image.

        Args:
            labels: uint8 [H, W], 0..K-1, or 255 to leave a pixel out.
            prediction: uint8 [H, W], 0..K-1, or 255 for something that is none of the classes.

        Raises:
            ValueError: other shapes, types or values.
        """
        if labels.shape != prediction.shape:
            raise ValueError(f"labels {list(labels.shape)} and prediction {list(prediction.shape)} differ in shape")
        if labels.dtype != np.uint8 or prediction.dtype != np.uint8:
            raise ValueError(f"labels and prediction are uint8, not {labels.dtype} and {prediction.dtype}")
        # One histogram over pairs of bytes: no masks and no copies for the ignored pixels, and it checks values too.
        pairs = labels.astype(np.uint16) << 8 | prediction
        histogram = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
        size = len(self.classes)
        if histogram[size:IGNORE].any():
            raise ValueError(f"labels hold a value from {size} to 254, but there are {size} classes")
        if histogram[:IGNORE, size:IGNORE].any():
            raise ValueError(f"the prediction holds a value from {size} to 254, but there are {size} classes")
        self.counts += histogram[:size, :size]
        self.other += histogram[:size, IGNORE]

    def merge(self, matrix: ConfusionMatrix) -> None:
        """Add the counts of another matrix over the same classes.

        Raises:
            ValueError: its classes are others.
        """
        if matrix.classes.names != self.classes.names:
            raise ValueError(f"classes differ: {matrix.classes.names} and {self.classes.names}")
        self.counts += matrix.counts
        self.other += matrix.other

    @property
    def pixels(self) -> Counts:
        """int64 [K]: pixels labelled with each class."""
        return np.asarray(self.counts.sum(axis=1) + self.other, np.int64)

    @property
    def iou(self) -> Shares:
        """float64 [K]; NaN for a class in neither labels nor predictions."""
        return _ratio(self._hits, self.pixels + self._predicted - self._hits)

    @property
    def f1(self) -> Shares:
        """float64 [K]; NaN for a class in neither labels nor predictions."""
        return _ratio(2 * self._hits, self.pixels + self._predicted)

    @property
    def precision(self) -> Shares:
        """float64 [K]; NaN for a class that was never predicted."""
        return _ratio(self._hits, self._predicted)

    @property
    def recall(self) -> Shares:
        """float64 [K]; NaN for a class that is in no label."""
        return _ratio(self._hits, self.pixels)

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur in labels or predictions: a class in neither says nothing."""
        return _mean(self.iou)

    @property
    def mean_f1(self) -> float:
        """Mean F1 over the same classes as :attr:`miou`."""
        return _mean(self.f1)

    @property
    def overall_accuracy(self) -> float:
        """Share of the labelled pixels that are right; NaN where nothing was labelled."""
        return float(_ratio(self._hits.sum(), self.pixels.sum()))

    def scores(self) -> list[Scores]:
        """The measures class by class."""
        measures = np.stack([self.iou, self.f1, self.precision, self.recall], axis=1).tolist()
        return [
            Scores(name, iou, f1, precision, recall, int(pixels))
            for name, (iou, f1, precision, recall), pixels in zip(
                self.classes.names, measures, self.pixels, strict=True
            )
        ]

    @property
    def _hits(self) -> Counts:
        return np.asarray(np.diag(self.counts))

    @property
    def _predicted(self) -> Counts:
        return np.asarray(self.counts.sum(axis=0), np.int64)


def _ratio(part: Counts | np.int64, whole: Counts | np.int64) -> Shares:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(part, whole), np.float64)


def _mean(values: Shares) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

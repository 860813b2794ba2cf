import math

import numpy as np
import pytest

from rsseg_edge.evaluation.confusion import ConfusionMatrix
from rsseg_edge.types import ClassTable


def table(size):
    return ClassTable(tuple(f"c{i}" for i in range(size)), tuple((i, i, i) for i in range(size)))


def counted(labels, prediction, size):
    matrix = ConfusionMatrix(table(size))
    matrix.update(np.array(labels, np.uint8), np.array(prediction, np.uint8))
    return matrix


def test_a_case_done_by_hand():
    # class 0: 2 right, 1 taken for 1; class 1: 1 right, 1 taken for 0; one pixel ignored
    matrix = counted([[0, 0, 0], [1, 1, 255]], [[0, 0, 1], [1, 0, 1]], 2)
    assert matrix.counts.tolist() == [[2, 1], [1, 1]]
    assert matrix.counts.dtype == np.int64
    np.testing.assert_allclose(matrix.iou, [2 / 4, 1 / 3])
    np.testing.assert_allclose(matrix.f1, [4 / 6, 2 / 4])
    np.testing.assert_allclose(matrix.precision, [2 / 3, 1 / 2])
    np.testing.assert_allclose(matrix.recall, [2 / 3, 1 / 2])
    assert matrix.miou == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert matrix.overall_accuracy == pytest.approx(3 / 5)


def test_counts_agree_with_a_loop_over_pixels():
    rng = np.random.default_rng(0)
    matrix, counts, other = ConfusionMatrix(table(6)), np.zeros((6, 6), int), np.zeros(6, int)
    for height, width in ((1, 1), (7, 13), (31, 5)):
        labels = rng.choice([0, 1, 2, 3, 4, 5, 255], (height, width)).astype(np.uint8)
        prediction = rng.choice([0, 1, 2, 3, 4, 5, 255], (height, width)).astype(np.uint8)
        matrix.update(labels, prediction)
        for label, guess in zip(labels.ravel(), prediction.ravel(), strict=True):
            if label != 255 and guess == 255:
                other[label] += 1
            elif label != 255:
                counts[label, guess] += 1
    assert matrix.counts.tolist() == counts.tolist()
    assert matrix.other.tolist() == other.tolist()


def test_measures_agree_with_sets_of_pixels():
    rng = np.random.default_rng(4)
    labels = rng.choice([0, 1, 2, 255], (37, 41), p=[0.5, 0.3, 0.1, 0.1]).astype(np.uint8)
    prediction = np.where(rng.random(labels.shape) < 0.7, labels % 3, rng.integers(0, 3, labels.shape)).astype(np.uint8)
    matrix = counted(labels, prediction, 3)
    for k in range(3):
        truth = set(np.flatnonzero(labels == k))
        guess = set(np.flatnonzero((prediction == k) & (labels != 255)))
        assert matrix.iou[k] == pytest.approx(len(truth & guess) / len(truth | guess))
        assert matrix.precision[k] == pytest.approx(len(truth & guess) / len(guess))
        assert matrix.recall[k] == pytest.approx(len(truth & guess) / len(truth))
        precision, recall = matrix.precision[k], matrix.recall[k]
        assert matrix.f1[k] == pytest.approx(2 * precision * recall / (precision + recall))
    assert matrix.overall_accuracy == pytest.approx((labels == prediction)[labels != 255].mean())


def test_a_class_in_neither_labels_nor_predictions_is_left_out_of_the_mean():
    matrix = counted([0, 0, 1], [0, 0, 1], 3)
    assert math.isnan(matrix.iou[2])
    assert matrix.miou == 1.0


def test_a_class_that_is_only_predicted_counts_as_zero():
    matrix = counted([0, 0, 1, 1], [0, 0, 1, 2], 3)
    np.testing.assert_allclose(matrix.iou, [1, 0.5, 0])
    assert matrix.miou == pytest.approx(0.5)
    assert math.isnan(matrix.recall[2])
    assert matrix.precision[2] == 0


def test_a_prediction_of_none_of_the_classes_is_a_miss():
    matrix = counted([0, 0, 1], [0, 255, 1], 2)
    assert matrix.other.tolist() == [1, 0]
    np.testing.assert_allclose(matrix.iou, [0.5, 1])
    assert matrix.overall_accuracy == pytest.approx(2 / 3)


def test_nothing_labelled_gives_no_measure_and_no_warning():
    matrix = counted([255, 255], [0, 1], 2)
    assert math.isnan(matrix.miou)
    assert math.isnan(matrix.overall_accuracy)
    assert [row.pixels for row in matrix.scores()] == [0, 0]


def test_merged_parts_equal_the_whole():
    rng = np.random.default_rng(1)
    labels, prediction = rng.integers(0, 4, (2, 50, 3)).astype(np.uint8)
    whole, parts = counted(labels, prediction, 4), counted(labels[:17], prediction[:17], 4)
    parts.merge(counted(labels[17:], prediction[17:], 4))
    assert parts.counts.tolist() == whole.counts.tolist()
    with pytest.raises(ValueError, match="classes differ"):
        parts.merge(ConfusionMatrix(table(3)))


def test_254_classes_are_counted():
    everything = np.arange(254, dtype=np.uint8)
    assert counted(everything, everything, 254).counts.trace() == 254


@pytest.mark.parametrize(
    ("labels", "prediction", "message"),
    [([0, 2], [0, 0], "labels hold"), ([0, 1], [0, 2], "prediction holds"), ([0, 1], [0], "differ in shape")],
)
def test_values_and_shapes_that_cannot_be_are_refused(labels, prediction, message):
    with pytest.raises(ValueError, match=message):
        counted(labels, prediction, 2)


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="int64"):
        ConfusionMatrix(table(2)).update(np.zeros(3, np.uint8), np.zeros(3, np.int64))

import numpy as np
import pytest

from rsseg_edge.datasets.sample import Sample
from rsseg_edge.errors import RssegError, UsageError
from rsseg_edge.evaluation.evaluate import evaluate
from rsseg_edge.evaluation.match import match_classes
from rsseg_edge.types import ClassTable


class Samples(list):
    """Images whose red channel is the label."""

    def __init__(self, sizes, classes=("a", "b", "c")):
        super().__init__()
        self.classes = ClassTable(tuple(classes), tuple((i, 0, 0) for i in range(len(classes))))
        rng = np.random.default_rng(0)
        for index, (height, width) in enumerate(sizes):
            labels = rng.integers(0, len(classes), (height, width)).astype(np.uint8)
            self.append(Sample(np.dstack([labels] * 3), labels, f"s{index}"))


def red(image):
    return image[..., 0]


def test_a_perfect_model_is_perfect_whatever_the_sizes():
    matrix = evaluate(red, Samples([(3, 5), (17, 1), (8, 9)]))
    assert matrix.miou == matrix.overall_accuracy == 1.0
    assert matrix.pixels.sum() == 15 + 17 + 72


def test_model_and_data_may_order_their_classes_differently():
    samples = Samples([(9, 7)])
    match = match_classes(samples.classes, ("c", "a", "b"))
    turned = np.array([1, 2, 0], np.uint8)  # a is the model's 1, b its 2, c its 0
    assert evaluate(lambda image: turned[red(image)], samples, match=match).miou == 1.0
    assert evaluate(red, samples, match=match).miou < 0.1


def test_progress_counts_up_to_all_images():
    seen = []
    evaluate(red, Samples([(2, 2)] * 3), lambda *step: seen.append(step))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_part_of_the_images_is_spread_over_all():
    seen = []
    samples = Samples([(1, width) for width in range(1, 12)])
    evaluate(lambda image: seen.append(image.shape[1]) or red(image), samples, max_images=3)
    assert seen == [1, 6, 11]
    assert evaluate(red, samples, max_images=99).pixels.sum() == sum(range(1, 12))
    with pytest.raises(UsageError, match="at least one"):
        evaluate(red, samples, max_images=0)


def test_a_class_map_of_another_size_is_refused():
    with pytest.raises(RssegError, match=r"s0: class map \[2, 5\] for an image \[3, 5\]"):
        evaluate(lambda image: red(image)[:-1], Samples([(3, 5)]))

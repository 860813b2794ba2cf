import math

import numpy as np
import pytest

from rsseg_edge.datasets.referring import Expression, ReferringSample
from rsseg_edge.errors import RssegError
from rsseg_edge.evaluation.referring import THRESHOLDS, ReferringCounts, evaluate_referring


def span(begin, end, size=20):
    mask = np.zeros((1, size), np.bool_)
    mask[0, begin:end] = True
    return mask


def sample(*spans, name="image"):
    kinds = ("size", "position")
    expressions = [Expression(f"{a} to {b}", span(a, b), kinds[i % 2]) for i, (a, b) in enumerate(spans)]
    return ReferringSample(np.zeros((1, 20, 3), np.uint8), expressions, name)


def read(image, sentences):
    """A model that understands every word."""
    return [span(*(int(number) for number in sentence.split(" to "))) for sentence in sentences]


def test_a_case_done_by_hand():
    counts = ReferringCounts()
    counts.update(span(0, 10), span(0, 10), "size")  # 10 / 10
    counts.update(span(0, 4), span(2, 6), "position")  # 2 / 6
    counts.update(span(0, 4), span(0, 5), "position")  # 4 / 5
    counts.update(span(0, 2), span(9, 9), "position")  # 0 / 2
    scores = counts.scores()
    assert scores.expressions == 4
    assert scores.overall_iou == pytest.approx(16 / 23)
    assert scores.mean_iou == pytest.approx((1 + 1 / 3 + 4 / 5) / 4)
    assert scores.precision == {0.5: 0.5, 0.6: 0.5, 0.7: 0.5, 0.8: 0.25, 0.9: 0.25}  # above 0.8, not at it
    assert counts.kinds == ["position", "size"]
    assert counts.scores("size").mean_iou == 1
    assert counts.scores("position").overall_iou == pytest.approx(6 / 13)


def test_nothing_counted_gives_no_measure():
    scores = ReferringCounts().scores()
    assert scores.expressions == 0
    assert math.isnan(scores.overall_iou)
    assert math.isnan(scores.mean_iou)
    assert all(math.isnan(scores.precision[t]) for t in THRESHOLDS)


def test_merged_parts_equal_the_whole():
    rng = np.random.default_rng(0)
    whole, first, rest = ReferringCounts(), ReferringCounts(), ReferringCounts()
    for i in range(9):
        truth, prediction = rng.random((2, 5, 7)) < 0.5
        whole.update(truth, prediction, "ab"[i % 2])
        (first if i < 4 else rest).update(truth, prediction, "ab"[i % 2])
    first.merge(rest)
    assert first.scores() == whole.scores()
    assert first.scores("a") == whole.scores("a")


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (span(0, 3), span(0, 3, 21), "differ in shape"),
        (span(0, 3), span(0, 3).astype(np.uint8), "bool, not bool and uint8"),
        (span(3, 3), span(0, 3), "one pixel at least"),
    ],
)
def test_what_cannot_be_counted_is_refused(truth, prediction, message):
    with pytest.raises(ValueError, match=message):
        ReferringCounts().update(truth, prediction)


def test_a_model_that_reads_is_right_and_falls_when_sentences_are_shuffled():
    samples = [sample((0, 5), (7, 9), (12, 20)), sample(), sample((3, 6), (5, 8))]
    steps = []
    counts = evaluate_referring(read, samples, lambda done, count: steps.append((done, count)))
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert counts.scores().expressions == 5
    assert counts.scores().overall_iou == 1
    shuffled = evaluate_referring(read, samples, shuffled=True)
    assert shuffled.scores().expressions == 5
    assert shuffled.scores().mean_iou == pytest.approx(2 * (1 / 5) / 5)


def test_a_model_that_does_not_read_scores_the_same_when_sentences_are_shuffled():
    samples = [sample((0, 5), (7, 9), (12, 20))]
    plain, shuffled = (
        evaluate_referring(lambda image, sentences: [span(0, 5)] * len(sentences), samples, shuffled=s).scores()
        for s in (False, True)
    )
    assert (plain.overall_iou, plain.mean_iou) == (shuffled.overall_iou, shuffled.mean_iou)


def test_expressions_about_the_same_pixels_are_not_shuffled():
    shuffled = evaluate_referring(read, [sample((0, 5), (0, 5)), sample((1, 2))], shuffled=True)
    assert shuffled.scores().expressions == 0


def test_masks_of_another_number_or_size_are_named():
    with pytest.raises(RssegError, match=r"tile_7: 2 sentences gave masks \[\[1, 20\]\]"):
        evaluate_referring(lambda image, sentences: [span(0, 1)], [sample((0, 5), (6, 9), name="tile_7")])
    with pytest.raises(RssegError, match=r"tile_7: 1 sentences gave masks \[\[1, 10\]\]"):
        evaluate_referring(lambda image, sentences: [span(0, 1, 10)], [sample((0, 5), name="tile_7")])

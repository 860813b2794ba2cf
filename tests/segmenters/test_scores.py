from pathlib import Path

import numpy as np

import rsseg_edge
from rsseg_edge.segmenter import ScoringSegmenter


def test_blended_scores_give_the_classes_of_the_image(colors: Path) -> None:
    segmenter = rsseg_edge.load(colors, long_side=96)
    assert isinstance(segmenter, ScoringSegmenter)
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :40, 0] = image[:, 40:, 1] = 255
    scores = segmenter.start_scores(image)()
    assert scores.shape == (3, 16, 24)
    assert scores.dtype == np.float32
    class_map, confidence = segmenter.decide(scores)
    expected = segmenter(image)
    assert np.array_equal(class_map.repeat(4, 0).repeat(4, 1), expected.class_map)
    assert np.abs(confidence.repeat(4, 0).repeat(4, 1).astype(int) - expected.confidence).max() <= 1


def test_scores_are_taken_at_the_scale_of_the_window(colors: Path) -> None:
    segmenter = rsseg_edge.load(colors, long_side=64)
    assert isinstance(segmenter, ScoringSegmenter)
    assert segmenter.start_scores(np.zeros((128, 160, 3), np.uint8))().shape == (3, 32, 40)

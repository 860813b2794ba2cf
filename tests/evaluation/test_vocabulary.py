"""What an open-vocabulary model is asked for on a data set, and how its answers become the data's classes."""

import numpy as np
import pytest

from rsseg_edge.datasets.table import describe
from rsseg_edge.evaluation.vocabulary import ask_for, match_subject


class Listener:
    """Takes any classes, as the segmenter of a bundle does, and remembers them."""

    def __init__(self):
        self.asked = None
        self.classes = ()

    def set_classes(self, classes, *, background=None, threshold=None):
        self.asked = (list(classes), background, threshold)
        names = [text.split(",")[0] for text in classes]
        self.classes = (*names, *(["background"] if background or threshold else []))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "loveda",
            (["building,roof,house", "road", "water", "barren", "forest", "agricultural"], "background", 0.3),
        ),
        (
            "potsdam",
            (["road,parking lot", "building", "low vegetation", "tree", "car"], "clutter,background", 0.1),
        ),
        ("uavid", (["building", "road", "car", "tree", "vegetation", "human"], "background", 0.3)),
        ("xbd", (["building"], "background", 0.0)),
        ("dubai", (["building", "land", "road", "vegetation", "water"], None, 0.0)),
        ("kampala", (["building"], "background", 0.0)),
    ],
)
def test_words_threshold_and_background_are_the_rows(name, expected):
    listener = Listener()
    ask_for(listener, describe(name))
    assert listener.asked == expected


def test_predictions_find_their_labels_whatever_the_order():
    match = match_subject(Listener(), describe("potsdam"))
    assert match.table.names == describe("potsdam").class_table().names
    np.testing.assert_array_equal(match.predictions[:7], [0, 1, 2, 3, 4, 5, 255])
    match = match_subject(Listener(), describe("loveda"))  # background: first of the data, last of the model
    np.testing.assert_array_equal(match.predictions[:8], [1, 2, 3, 4, 5, 6, 0, 255])
    np.testing.assert_array_equal(match.labels[:7], range(7))


def test_classes_of_the_same_words_are_one():
    match = match_subject(Listener(), describe("uavid"))
    assert match.table.names == (
        *("background clutter", "building", "road", "static car + moving car", "tree", "low vegetation", "human"),
    )
    assert match.labels[3] == match.labels[7] == match.predictions[2] == 3


def test_what_the_user_maps_goes_first():
    match = match_subject(Listener(), describe("loveda"), ["agriculture=forest", "barren="])
    assert match.table.names == ("background", "building", "road", "water", "forest + agriculture")
    assert match.labels[4] == 255


def test_a_model_with_classes_of_its_own_is_matched_by_name():
    class Fixed:
        classes = ("water", "building", "land", "road", "vegetation")

    match = match_subject(Fixed(), describe("dubai"))
    np.testing.assert_array_equal(match.predictions[:5], [4, 0, 1, 2, 3])

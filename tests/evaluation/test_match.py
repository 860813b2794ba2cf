import pytest

from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.match import match_classes
from rsseg_edge.types import ClassTable

MODEL = ("water", "building", "vegetation", "road", "land")


def data(*names):
    return ClassTable(names, tuple((i, i, i) for i in range(len(names))))


def test_classes_in_another_order_are_matched_by_name():
    match = match_classes(data("building", "land", "road", "Vegetation", "water"), MODEL)
    assert match.table.names == ("building", "land", "road", "Vegetation", "water")
    assert match.labels[:5].tolist() == [0, 1, 2, 3, 4]
    assert match.predictions[:5].tolist() == [4, 0, 3, 2, 1]
    assert (match.labels[5:] == 255).all()
    assert (match.predictions[5:] == 255).all()


def test_model_classes_that_the_data_lacks_are_none_of_its_classes():
    match = match_classes(data("water", "road"), MODEL)
    assert match.predictions[:5].tolist() == [0, 255, 255, 1, 255]


def test_a_data_class_that_the_model_lacks_says_what_to_do():
    with pytest.raises(UsageError, match=r'no class \'forest\'.*--map "forest=CLASS".*vegetation.*--map "forest="'):
        match_classes(data("water", "forest"), MODEL)


def test_several_model_classes_may_make_one_data_class():
    pairs = [f"background={name}" for name in MODEL if name != "building"]
    match = match_classes(data("background", "building"), MODEL, pairs)
    assert match.table.names == ("background", "building")
    assert match.predictions[:5].tolist() == [0, 1, 0, 0, 0]


def test_data_classes_that_share_a_model_class_become_one():
    match = match_classes(data("forest", "water", "crops"), MODEL, ["forest=vegetation", "crops=vegetation"])
    assert match.table.names == ("forest + crops", "water")
    assert match.labels[:3].tolist() == [0, 1, 0]
    assert match.predictions[:5].tolist() == [1, 255, 0, 255, 255]


def test_an_empty_counterpart_leaves_a_class_out():
    match = match_classes(data("background", "water"), MODEL, ["background="])
    assert match.table.names == ("water",)
    assert match.labels[:2].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("forest", "it takes DATA=MODEL"),
        ("wood=vegetation", "the data has no class 'wood'"),
        ("forest=grass", "the model has no class 'grass'"),
        ("forest=", "nothing to evaluate"),
    ],
)
def test_a_wrong_pair_is_refused(pair, message):
    with pytest.raises(UsageError, match=message):
        match_classes(data("forest"), MODEL, [pair])

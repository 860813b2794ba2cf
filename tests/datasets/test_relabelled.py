import numpy as np
import pytest

from rsseg_edge.datasets.reader import open_dataset
from rsseg_edge.datasets.relabelled import Relabelled
from rsseg_edge.errors import UsageError
from rsseg_edge.types import ClassTable

SCENES = open_dataset("scenes")  # building, land, road, vegetation, water


def table(*names):
    return ClassTable(names, tuple((i, i, i) for i in range(len(names))))


def test_classes_are_matched_by_name_and_the_rest_is_unlabelled():
    seen = Relabelled(SCENES, table("Water", "sky", "land"))
    before, after = SCENES[3], seen[3]
    np.testing.assert_array_equal(after.image, before.image)
    assert {"building", "land", "road"} <= {SCENES.classes.names[i] for i in np.unique(before.labels)}
    expected = np.select([before.labels == 4, before.labels == 1], [0, 2], 255)
    np.testing.assert_array_equal(after.labels, expected)
    assert after.labels.dtype == np.uint8
    assert (len(seen), seen.area(3), seen.classes.names) == (len(SCENES), SCENES.area(3), ("Water", "sky", "land"))


def test_a_data_set_with_nothing_in_common_is_refused():
    with pytest.raises(UsageError, match=r"data scenes \(building, .*\) has no class of sky, snow to train with"):
        Relabelled(SCENES, table("sky", "snow"))

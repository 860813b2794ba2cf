"""The open-vocabulary benchmark over synthetic folders, with a model that sees classes by their grey."""

import io
import json

import cv2
import numpy as np
import pytest
from rich.console import Console

from rsseg_edge.datasets.table import describe
from rsseg_edge.errors import UsageError
from rsseg_edge.evaluation.benchmark import find_sets, mean, measure_sets, rows_to_json, rows_to_table
from rsseg_edge.types import ClassTable, Segmentation

GREYS = {"building": 40, "road": 80, "car": 120, "tree": 160, "clutter": 200, "background": 200}


class Grey:
    """Gives a pixel the class whose word has its grey, and the background otherwise."""

    long_side = 448

    def __init__(self):
        self.vocabularies = []
        self.classes = ()

    def set_classes(self, classes, *, background=None, threshold=None):
        self.vocabularies.append((tuple(classes), background, threshold))
        self.classes = (*(text.split(",")[0] for text in classes), "background")

    def __call__(self, image):
        class_map = np.full(image.shape[:2], len(self.classes) - 1, np.uint8)
        for place, name in enumerate(self.classes[:-1]):
            class_map[image[..., 0] == GREYS.get(name, 1)] = place
        return Segmentation(class_map, class_map, ClassTable(self.classes, ((0, 0, 0),) * len(self.classes)))

    def close(self):
        pass


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_set(root, name, image, mask, labels, wrong=0):
    """One image, its labels painted in grey; the first ``wrong`` rows are painted as something else."""
    spec = describe(name)
    greys = np.array([GREYS.get((c.words or (c.name,))[0], 1) for c in spec.classes], np.uint8)
    picture = greys[labels]
    picture[:wrong] = 255
    write(root / image, np.repeat(picture[..., None], 3, 2))
    write(root / mask, np.array([c.mask[0] for c in spec.classes], np.uint8)[labels])


@pytest.fixture
def root(tmp_path):
    """Potsdam under the row's name, a tenth wrong; SpaceNet as the published preparation lays it out."""
    labels = np.tile(np.array([0, 1, 3, 4, 5]), (20, 4))
    write_set(tmp_path / "potsdam", "potsdam", "img_dir/val/1.png", "ann_dir/val/1.png", labels, wrong=2)
    spacenet = tmp_path / "GlobalRoadSet_Val" / "SpaceNet_test_567"
    # JPEG: whole blocks
    write_set(spacenet, "spacenet", "img/1.jpg", "label_cvt/1.png", np.kron([[0, 1], [1, 0]], np.ones((16, 16), int)))
    (tmp_path / "loveda-old").mkdir()
    return tmp_path


def test_sets_are_found_by_row_and_by_published_folder(root):
    found = find_sets(root)
    assert list(found) == ["potsdam", "spacenet"]
    assert found["spacenet"].name == "SpaceNet_test_567"


def test_each_set_is_measured_with_its_words_threshold_and_background(root):
    model, seen = Grey(), []
    rows = measure_sets(model, root, progress=lambda name, done, total: seen.append((name, done, total)))
    assert len(rows) == 17
    assert model.vocabularies == [
        (("road,parking lot", "building", "low vegetation", "tree", "car"), "clutter,background", 0.1),
        (("road",), "background", 0.7),
    ]
    by_name = {row.spec.name: row for row in rows}
    # Two of twenty rows became clutter: IoU 0.9 of four classes, 4 / (4 + 0.1 * 16) of clutter.
    assert by_name["potsdam"].measured == pytest.approx((4 * 0.9 + 80 / (80 + 32)) / 5)
    assert by_name["spacenet"].measured == by_name["spacenet"].matrix.iou[1]  # of the road alone
    assert (by_name["spacenet"].published, by_name["spacenet"].images) == (None, 1)
    assert (by_name["loveda"].published, by_name["loveda"].measured) == (0.369, None)
    assert mean(rows) == pytest.approx((0.471, by_name["potsdam"].measured))
    assert seen == [("potsdam", 0, 1), ("potsdam", 1, 1), ("spacenet", 0, 1), ("spacenet", 1, 1)]


def test_the_table_has_all_sets_and_a_dash_where_nothing_is_known(root):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(rows_to_table(measure_sets(Grey(), root), "grey"))
    lines = {line.split()[1]: line.split() for line in console.export_text().splitlines() if "│" in line}
    assert lines["loveda"][-4:-1] == ["36.9", "│", "-"]
    assert lines["potsdam"][-4:-1] == ["47.1", "│", "86.3"]
    assert lines["mean"][-4:-1] == ["47.1", "│", "86.3"]
    assert len(lines) == 18  # 17 sets and the mean


def test_json_holds_the_classes_too(root):
    report = json.loads(json.dumps(rows_to_json(measure_sets(Grey(), root), model="grey")))
    assert report["model"] == "grey"
    assert report["sets"]["loveda"] == {
        "score": "mIoU",
        "split": "val",
        "threshold": 0.3,
        "images": 0,
        "published": 0.369,
        "measured": None,
        "iou": {},
    }
    assert report["sets"]["potsdam"]["iou"]["building"] == pytest.approx(0.9)
    assert report["sets"]["potsdam"]["iou"]["low vegetation"] is None
    assert report["mean"]["published"] == pytest.approx(0.471)


def test_a_root_without_sets_lists_their_names(tmp_path):
    with pytest.raises(UsageError, match=r"none of the sets is there.*openearthmap, loveda, isaid"):
        find_sets(tmp_path)


def test_an_incomplete_set_is_named_before_anything_is_measured(root):
    (root / "GlobalRoadSet_Val" / "SpaceNet_test_567" / "label_cvt" / "1.png").unlink()
    model = Grey()
    with pytest.raises(UsageError, match=r"data spacenet: image .* has no mask"):
        measure_sets(model, root)
    assert model.vocabularies == []

import json
from pathlib import Path

import pytest

from rsseg_edge.datasets.table import benchmark_sets, dataset_names, describe
from rsseg_edge.errors import UsageError

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "segearth_datasets.json"

ROW = """
classes = [{ name = "field", mask = [1], color = [0, 255, 0] }, { name = "other", mask = [0, 2], color = [9, 9, 9] }]
files = [{ image = "images/{name}.png", mask = "masks/{name}.png" }]
[splits]
train = { without = { name = ["b*"] } }
val = { only = { name = ["b*"] } }
"""


BENCHMARK = '[benchmark]\nsplit = "test"\nfolder = "f"\nbackground = "sky"\nthreshold = 0.1\n'


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", dataset_names())
def test_every_row_is_valid_and_has_its_splits(name):
    spec = describe(name)
    assert spec.name == name
    if spec.benchmark is None:
        assert {"train", "val"} <= set(spec.splits)
    assert len(spec.class_table()) == len(spec.classes)


def test_class_order_and_counts_of_the_known_sets():
    assert describe("dubai").class_table().names == ("building", "land", "road", "vegetation", "water")
    assert describe("scenes").class_table() == describe("dubai").class_table()
    assert {n: len(describe(n).classes) for n in ("loveda", "isaid", "uavid", "kampala")} == {
        "loveda": 7,
        "isaid": 16,
        "uavid": 8,
        "kampala": 2,
    }


def test_the_seventeen_sets_of_the_benchmark():
    sets = benchmark_sets()
    names = [spec.name for spec in sets]
    assert names[:8] == ["openearthmap", "loveda", "isaid", "potsdam", "vaihingen", "uavid", "udd5", "vdd"]
    assert names[8:] == [
        *("whu-aerial", "whu-satellite", "inria", "xbd", "chn6-cug", "deepglobe", "massachusetts", "spacenet", "wbs-si")
    ]
    published = [spec.benchmark.published for spec in sets[:8]]
    assert sum(published) / 8 == pytest.approx(39.2, abs=0.05)  # the paper's own mean
    assert all(len(spec.classes) == 2 and spec.benchmark.iou_of == spec.classes[1].name for spec in sets[8:])


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="no published settings: ../shared/data/segearth_datasets.json")
def test_words_thresholds_and_backgrounds_are_the_published_ones():
    renamed = {"isaid": "iSAID", "xbd": "xBD", "whu-aerial": "whu_aerial", "whu-satellite": "whu_sat_II"}
    renamed |= {name: f"{name}_road" for name in ("deepglobe", "massachusetts", "spacenet")}
    published = json.loads(PUBLISHED.read_text())
    assert len(published) == 17
    for spec in benchmark_sets():
        expected, benchmark = published[renamed.get(spec.name, spec.name)], spec.benchmark
        words = list(dict.fromkeys(c.words or (c.name,) for c in spec.classes))
        assert [list(synonyms) for synonyms in words] == expected["classes"], spec.name
        assert spec.class_table().index(benchmark.background) == expected["bg_idx"]
        assert (benchmark.threshold, benchmark.cls_token_lambda) == (expected["prob_thd"], expected["cls_token_lambda"])


def test_a_toml_file_describes_a_folder_of_ones_own(tmp_path):
    spec = describe(write(tmp_path / "farm.toml", ROW))
    assert spec.name == "farm"
    assert spec.class_table().names == ("field", "other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("mask = [0, 2]", "mask = [0, 1]"), "1 stands for both 'field' and 'other'"),
        (("mask = [0, 2]", "mask = [[0, 0, 0]]"), "does not fit the coding 'values'"),
        (("mask = [0, 2], ", ""), "'other' has no mask values"),
        (("masks/{name}", "masks/{stem}"), "fields that the image's lacks"),
        (("without = { name", "without = { area"), "no field"),
        (("color = [9, 9, 9]", "color = [9, 9, 256]"), "classes.1.color"),
        (("color = [9, 9, 9]", "colour = [9, 9, 9]"), "colour"),
        (('"other"', '"field"'), "repeat"),
        (("classes", "classes = ["), "not valid TOML"),
        (("[splits]", f"{BENCHMARK}[splits]"), "benchmark: 'sky' is no class"),
        (("[splits]", f"{BENCHMARK.replace('sky', 'field')}[splits]"), "benchmark: there is no split 'test'"),
        (("train = {", 'odd = { listed = { row = "a.txt" } }\ntrain = {'), "no field"),
    ],
)
def test_a_wrong_description_is_refused_with_the_field_named(tmp_path, change, message):
    assert change[0] in ROW
    with pytest.raises(UsageError, match=message) as caught:
        describe(write(tmp_path / "wrong.toml", ROW.replace(*change, 1)))
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_those_that_there_are():
    with pytest.raises(UsageError, match=r"unknown data 'dubay'.*dubai, kampala, openearthmap, loveda"):
        describe("dubay")


def test_an_unknown_split_lists_those_that_there_are():
    with pytest.raises(UsageError, match="no split 'valid': it has train, val, test"):
        describe("dubai").split("valid")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*none\.toml"):
        describe(tmp_path / "none.toml")

"""Data sets with sentences of their own, in folders laid out as they are published."""

import json
import pickle

import cv2
import numpy as np
import pytest

from rsseg_edge.datasets.referring import is_given, open_given
from rsseg_edge.datasets.referring.table import describe_given, given_names
from rsseg_edge.errors import RssegError, UsageError

REFER = {
    "refcoco": ("images/mscoco/images/train2014", "COCO_train2014_000000000007.jpg", "refs(unc)"),
    "refcoco+": ("images/mscoco/images/train2014", "COCO_train2014_000000000007.jpg", "refs(unc)"),
    "refcocog": ("images/mscoco/images/train2014", "COCO_train2014_000000000007.jpg", "refs(umd)"),
    "rrsis-d": ("images/rrsisd/JPEGImages", "00007.jpg", "refs(unc)"),
}
FOLDERS = {"rrsis-d": "rrsisd"}
POLYGON = [[2, 1, 6, 1, 6, 4, 2, 4]]
RUNS = {"size": [9, 12], "counts": [9 * 6, 9 * 2, 9 * 4]}  # columns 6 and 7


def refer_folder(root, name):
    images, file, refs = REFER[name]
    (root / images).mkdir(parents=True)
    cv2.imwrite(str(root / images / file), np.full((9, 12, 3), 90, np.uint8))
    annotations = root / FOLDERS.get(name, name)
    annotations.mkdir()
    instances = {
        "images": [{"id": 7, "file_name": file, "height": 9, "width": 12}, {"id": 8, "file_name": "other.jpg"}],
        "annotations": [
            {"id": 70, "image_id": 7, "category_id": 1, "segmentation": POLYGON},
            {"id": 71, "image_id": 7, "category_id": 1, "segmentation": RUNS if name != "rrsis-d" else [RUNS]},
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }
    sentences = {
        70: [{"sent": "thing on the left", "raw": "Thing on the left!", "tokens": [], "sent_id": 1}],
        71: [{"sent": "a strip", "sent_id": 2}, {"sent": "the right one", "sent_id": 3}],
    }
    rows = [
        {"ref_id": i, "ann_id": ann, "image_id": 7, "split": "val", "sentences": said, "category_id": 1}
        for i, (ann, said) in enumerate(sentences.items())
    ]
    rows.append({**rows[0], "ref_id": 9, "split": "train"})
    (annotations / "instances.json").write_text(json.dumps(instances))
    (annotations / f"{refs}.json").write_text(json.dumps(rows))
    return annotations / f"{refs}.json"


@pytest.mark.parametrize("name", REFER)
def test_objects_with_several_sentences(tmp_path, name):
    refer_folder(tmp_path, name)
    data = open_given(name, tmp_path, "val")
    assert len(data) == 1
    sample = data[0]
    assert sample.image.shape == (9, 12, 3)
    assert [e.sentence for e in sample.expressions] == ["thing on the left", "a strip", "the right one"]
    assert {e.kind for e in sample.expressions} == {"given"}
    polygon, strip, same = (e.mask for e in sample.expressions)
    assert polygon[1:4, 2:6].all()
    assert not polygon[:, 8:].any()
    assert np.flatnonzero(strip.any(0)).tolist() == [6, 7]
    assert np.array_equal(strip, same)
    assert len(open_given(name, tmp_path, "train")[0].expressions) == 1


def phrases_folder(root):
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for name, begin in (("12", 0), ("13", 5)):
        mask = np.zeros((8, 10), np.uint8)
        mask[:, begin : begin + 3] = 255
        cv2.imwrite(str(root / "images" / f"{name}.tif"), np.full((8, 10, 3), 40, np.uint8))
        cv2.imwrite(str(root / "masks" / f"{name}.tif"), mask)
    (root / "output_phrase_test.txt").write_text("12 vehicle in the parking area\n13 road\n\n")


def test_images_with_a_sentence_each(tmp_path):
    phrases_folder(tmp_path)
    data = open_given("refsegrs", tmp_path, "test")
    assert [s.name for s in data] == ["12", "13"]
    said = [e for s in data for e in s.expressions]
    assert [e.sentence for e in said] == ["vehicle in the parking area", "road"]
    assert [np.flatnonzero(e.mask.any(0)).tolist() for e in said] == [[0, 1, 2], [5, 6, 7]]


def test_a_folder_of_ones_own(tmp_path):
    phrases_folder(tmp_path)
    (tmp_path / "mine.toml").write_text(
        'splits = ["test"]\nimages = "images/{image}.tif"\nmasks = "masks/{image}.tif"\n'
        'phrases = "output_phrase_{split}.txt"\n'
    )
    assert is_given(tmp_path / "mine.toml")
    assert len(open_given(tmp_path / "mine.toml", None, "test")) == 2


def test_the_table_is_sound():
    assert given_names() == ["refcoco", "refcoco+", "refcocog", "rrsis-d", "refsegrs"]
    for name in given_names():
        spec = describe_given(name)
        assert spec.title
        assert spec.source
        assert spec.licence
        assert is_given(name)
    assert not is_given("dubai")


def test_a_pickle_is_not_read(tmp_path):
    refs = refer_folder(tmp_path, "refcoco")
    refs.unlink()
    refs.with_suffix(".p").write_bytes(pickle.dumps([{"split": "val"}]))
    with pytest.raises(UsageError, match=r"refs\(unc\)\.p is a pickle, .* python -c \"import json, pickle; json\.dump"):
        open_given("refcoco", tmp_path, "val")


def test_the_conversion_that_the_refusal_names_works(tmp_path):
    import re
    import subprocess
    import sys

    refs = refer_folder(tmp_path, "refcoco")
    rows = json.loads(refs.read_text())
    refs.unlink()
    refs.with_suffix(".p").write_bytes(pickle.dumps(rows))
    with pytest.raises(UsageError) as refusal:
        open_given("refcoco", tmp_path, "val")
    code = re.search(r'python -c "(.*)"', str(refusal.value))[1]
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len(open_given("refcoco", tmp_path, "val")[0].expressions) == 3


def test_what_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(UsageError, match="needs its folder: --root"):
        open_given("refcoco", None, "val")
    with pytest.raises(UsageError, match="no split 'testC': it has train, val, testA, testB"):
        open_given("refcoco", tmp_path, "testC")
    with pytest.raises(UsageError, match=r"cannot read .*refs\(unc\)\.json"):
        open_given("refcoco", tmp_path, "val")
    with pytest.raises(UsageError, match=r"cannot read .*output_phrase_val\.txt"):
        open_given("refsegrs", tmp_path, "val")
    refs = refer_folder(tmp_path, "refcoco")
    with pytest.raises(UsageError, match=r"nothing in .* is of the split 'testA'"):
        open_given("refcoco", tmp_path, "testA")
    refs.write_text("[{")
    with pytest.raises(RssegError, match="is not valid JSON"):
        open_given("refcoco", tmp_path, "val")
    refs.write_text('[{"split": "val"}]')
    with pytest.raises(RssegError, match=r"refs\(unc\)\.json is not as expected \(KeyError\('ann_id'\)\)"):
        open_given("refcoco", tmp_path, "val")


def test_a_mask_of_another_size_is_named(tmp_path):
    phrases_folder(tmp_path)
    cv2.imwrite(str(tmp_path / "masks" / "13.tif"), np.ones((8, 11), np.uint8))
    data = open_given("refsegrs", tmp_path, "test")
    with pytest.raises(RssegError, match=r"13\.tif: the mask of 'road': 13\.tif is 11x8, the image 10x8"):
        data[1]
    (tmp_path / "output_phrase_test.txt").write_text("12\n")
    with pytest.raises(RssegError, match=r"output_phrase_test\.txt, line 1: '12' is no image with a sentence"):
        open_given("refsegrs", tmp_path, "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('images = "{file}"\ninstances = "i"\nrefs = "r"\nmasks = "m"', "either instances and refs"),
        ('images = "a.jpg"\ninstances = "i"\nrefs = "r"', "need {file}"),
        ('images = "{image}"\nphrases = "p"\nmasks = "m"', "need {image}"),
        ('images = "{image}"\nphrases = "p"\nmasks = "{image}"\nmask = "m"', "mask: Extra inputs"),
    ],
)
def test_a_description_that_cannot_be_is_refused(tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(f'splits = ["val"]\n{text}\n')
    with pytest.raises(UsageError, match=message):
        open_given(tmp_path / "mine.toml", None, "val")

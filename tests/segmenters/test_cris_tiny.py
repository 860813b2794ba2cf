"""The shipped cris-tiny: it reads its sentences, and any English sentence gets an answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import rsseg_edge
from rsseg_edge.bundle import SHIPPED, open_bundle
from rsseg_edge.datasets.reader import open_dataset
from rsseg_edge.datasets.referring import ReferringDataset
from rsseg_edge.evaluation.referring import evaluate_referring
from rsseg_edge.evaluation.subject import open_referring

NAME = "cris-tiny"
DUBAI = Path(__file__).parents[3] / "shared" / "data" / "dubai"


@pytest.fixture(scope="module")
def segmenter():
    made = rsseg_edge.load(NAME, threads=1)
    yield made
    made.close()


def test_it_is_small_and_says_where_it_comes_from() -> None:
    manifest = open_bundle(NAME).manifest
    folder = SHIPPED / NAME
    assert {f.name for f in folder.iterdir()} == {*manifest.files, "bundle.json"}
    assert sum(f.stat().st_size for f in folder.iterdir()) < 15e6
    assert manifest.training is not None
    assert "dubai" in manifest.training.data
    assert (SHIPPED / f"{NAME}.md").is_file()


def test_it_reads_its_sentences() -> None:
    samples = ReferringDataset(open_dataset("scenes", None, "val"), count=5, phrasings="held_out")
    refer = open_referring(NAME)
    own = evaluate_referring(refer, samples, max_images=4)
    others = evaluate_referring(refer, samples, max_images=4, shuffled=True)
    assert own.scores("category").mean_iou > 0.5
    assert own.scores().mean_iou > 3 * others.scores().mean_iou


def test_classes_of_a_real_image_are_told_apart() -> None:
    if not DUBAI.is_dir():
        pytest.skip("no real images: ../shared/data/dubai is not there")
    data = open_dataset("dubai", DUBAI, "val")
    sample = data[0]
    names = data.classes.names
    asked = {"building": "every house", "water": "any water in view", "vegetation": "the greenery"}
    masks = open_referring(NAME)(sample.image, list(asked.values()))
    for (name, sentence), mask in zip(asked.items(), masks, strict=True):
        truth = sample.labels == names.index(name)
        if truth.mean() > 0.02:
            assert (mask & truth).sum() > 0.4 * (mask | truth).sum(), sentence


def test_words_that_it_never_met_are_answered(segmenter) -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    assert segmenter.refer(["the zyzzyva beside the quux", "7 xylophones!"]) == ()
    result = segmenter(image)
    assert result.masks.shape == (2, 90, 120)
    assert json.dumps(list(result.table.names))


def test_a_long_sentence_is_cut_and_where_is_said(segmenter) -> None:
    (note,) = segmenter.refer(["the road " + "that is very long " * 8])
    assert "24 tokens" in note
    assert "cut after '..." in note

"""Sentences: seeded, even over the kinds, in phrasings that never mix."""

import pickle
from collections import Counter
from functools import lru_cache
from itertools import product

import numpy as np
import pytest

from rsseg_edge.datasets.referring import ReferringDataset, draw_expressions
from rsseg_edge.datasets.referring.expression import _phrasings, phrase
from rsseg_edge.datasets.referring.lexicon import Names, _lexicon, names_of
from rsseg_edge.datasets.referring.referents import Referent, places
from rsseg_edge.datasets.sample import Sample
from rsseg_edge.datasets.table import dataset_names, describe
from rsseg_edge.types import ClassTable

CLASSES = ("background", "building", "water")


def three_buildings():
    labels = np.zeros((120, 160), np.uint8)
    labels[10:20, 10:30] = labels[90:110, 100:120] = labels[60:90, 20:60] = 1
    labels[:, 140:] = 2
    return labels


def draw(seed=0, count=10, phrasings="train", labels=None):
    labels = three_buildings() if labels is None else labels
    return draw_expressions(labels, CLASSES, count, np.random.default_rng(seed), phrasings)


@lru_cache
def every_sentence(phrasings):
    """Every form of every class of the lexicon, with every word and landmark."""
    lexicon = [names for names in _lexicon().values() if names.regions]
    masses = [label for label, names in enumerate(lexicon) if names.whole]
    words = {"place": list(places(9, 9)), "direction": ["left of", "right of", "above", "below"]}
    sentences = set()
    for form, templates in _phrasings()["forms"].items():
        landmarks = masses if "{landmark}" in templates["train"][0] else [-1]
        for label, landmark, word in product(range(len(lexicon)), landmarks, words.get(form, [""])):
            referent = Referent("category", form, label, None, word, landmark)
            sentences.update(phrase(referent, lexicon, phrasings))
    return sentences


def test_the_same_seed_says_the_same():
    def said(seed):
        return [(e.sentence, e.kind, e.mask.tobytes()) for e in draw(seed)]

    assert said(3) == said(3)
    assert said(3) != said(4)


def test_every_kind_is_drawn_before_one_comes_again():
    for seed in range(10):
        kinds = [e.kind for e in draw(seed, count=5)]
        assert sorted(kinds) == ["category", "number", "position", "relation", "size"]
    assert len(draw(count=3)) == 3


def test_no_two_expressions_of_a_draw_are_the_same():
    drawn = draw(count=100)
    assert max(Counter(e.sentence for e in drawn).values()) == 1


def test_masks_are_those_of_the_sentence():
    labels = three_buildings()
    masks = {e.sentence: e.mask for seed in range(40) for e in draw(seed)}
    assert (masks["the water"] == (labels == 2)).all()
    assert (masks["all three buildings"] == (labels == 1)).all()
    largest = np.zeros_like(labels, bool)
    largest[60:90, 20:60] = True
    assert (masks["the largest building"] == largest).all()
    nearest = np.zeros_like(labels, bool)
    nearest[90:110, 100:120] = True
    assert (masks["the building nearest to the water"] == nearest).all()


def test_held_out_phrasings_are_never_trained_on():
    train, held_out = every_sentence("train"), every_sentence("held_out")
    assert len(train) > 1000
    assert len(held_out) > 1000
    assert not train & held_out


def test_every_sentence_is_plain_and_has_a_train_and_a_held_out_phrasing():
    for rows in _phrasings().values():
        for name, row in rows.items():
            assert set(row) == {"train", "held_out"}, name
            assert row["train"], name
            assert row["held_out"], name
    for sentence in every_sentence("train"):
        assert sentence == sentence.strip().lower()
        assert "{" not in sentence
        assert "  " not in sentence


def test_every_sentence_fits_into_clips_seventeen_tokens():
    open_clip = pytest.importorskip("open_clip")
    tokenizer = open_clip.SimpleTokenizer()
    longest = sorted(every_sentence("train") | every_sentence("held_out"), key=lambda s: -len(s.split()))[:50]
    assert max(len(tokenizer.encode(sentence)) + 2 for sentence in longest) <= 17


def test_an_image_that_is_partly_unlabelled_is_not_spoken_of():
    labels = three_buildings()
    labels[:4] = 255
    assert draw(labels=labels)
    labels[:12] = 255
    assert draw(labels=labels) == []


def test_nothing_is_said_of_backgrounds_or_an_empty_image():
    assert draw(labels=np.zeros((40, 50), np.uint8)) == []


def test_a_class_without_an_entry_goes_by_its_own_name():
    assert names_of(["kiosk", "Background"]) == [Names((("kiosk", "kiosks"),)), Names()]


def test_a_name_that_two_classes_share_is_used_for_neither():
    car, small = names_of(["car", "small vehicle"])
    assert car == Names()
    assert small.regions == (("small vehicle", "small vehicles"),)


@pytest.mark.parametrize("data", dataset_names())
def test_every_data_set_of_the_table_has_names_to_speak_with(data):
    classes = [c.name for c in describe(data).classes]
    silent = [name for name, names in zip(classes, names_of(classes), strict=True) if not names.regions]
    assert [name for name in silent if "background" not in name] == []


class Drawn:
    """Three buildings and water, again and again."""

    classes = ClassTable(CLASSES, ((0, 0, 0), (1, 1, 1), (2, 2, 2)))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        labels = np.roll(three_buildings(), index, axis=0)
        return Sample(np.dstack([labels] * 3), labels, f"image_{index}")


def test_any_data_set_becomes_a_referring_one():
    data = ReferringDataset(Drawn(), count=6, seed=1)
    samples, again = list(data), list(pickle.loads(pickle.dumps(data)))
    assert [s.name for s in samples] == ["image_0", "image_1", "image_2", "image_3"]
    for sample, other in zip(samples, again, strict=True):
        assert [e.sentence for e in sample.expressions] == [e.sentence for e in other.expressions]
        assert len(sample.expressions) == 6
        assert all(e.mask.shape == sample.image.shape[:2] and e.mask.any() for e in sample.expressions)
    assert len({tuple(e.sentence for e in s.expressions) for s in samples}) == 4  # each image has a seed of its own

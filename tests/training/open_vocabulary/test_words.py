import pytest

from rsseg_edge.errors import UsageError
from rsseg_edge.training.open_vocabulary.words import HELD_OUT, training_words

CLASSES = ("building", "land", "road", "vegetation", "water")
EVALUATED = ("house", "desert", "street", "trees", "lake")


def every_text():
    words = training_words(CLASSES)
    captions = [caption for _, captions in words.captions(0, 50) for caption in captions]
    return [*words.absent, *words.phrases, *(w for own in words.classes for w in own), *captions]


def test_evaluation_words_and_their_inflections_are_never_trained_with():
    inflected = [*EVALUATED, "houses", "housing", "deserts", "streets", "tree", "treed", "lakes", "lakeside"]
    assert all(any(stem in word for stem in HELD_OUT) for word in inflected)
    found = [text for text in every_text() for stem in HELD_OUT if stem in text.casefold()]
    assert not found


def test_each_class_has_many_words_and_shares_none():
    words = training_words(CLASSES)
    every = [w for own in (*words.classes, words.absent) for w in own]
    assert all(len(own) >= 35 for own in words.classes)
    assert len(set(every)) == len(every)
    assert all(own[0] == name for own, name in zip(words.classes, CLASSES, strict=True))


def test_a_caption_names_one_word_of_each_of_its_classes():
    words = training_words(CLASSES)
    sets = words.captions(3, 4)
    assert len(sets) == 31
    for chosen, captions in sets:
        assert len(captions) == 4
        for caption in captions:
            assert all(any(w in caption for w in words.classes[k]) for k in chosen)


def test_captions_follow_from_the_seed():
    words = training_words(CLASSES)
    assert words.captions(1, 3) == words.captions(1, 3) != words.captions(2, 3)


def test_class_without_words_is_refused_by_name():
    with pytest.raises(UsageError, match="'zebra'"):
        training_words(["water", "zebra"])

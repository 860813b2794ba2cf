import pytest

from rsseg_edge.errors import UsageError
from rsseg_edge.prompts.vocabulary import MAX_QUERIES, parse_classes


def test_every_synonym_is_a_query_of_its_class():
    vocabulary = parse_classes(["background", "building, roof ,house", "bare  soil"])
    assert vocabulary.words == ("background", "building", "roof", "house", "bare soil")
    assert vocabulary.class_index == (0, 1, 1, 1, 2)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no classes: name at least one"),
        (["road", "building,"], "class 2, 'building,', has an empty synonym"),
        (["road", " "], "class 2, ' ', has an empty synonym"),
        (["road", "water", "road"], "'road' is named twice"),
        (["road,Track", "water,track"], "'track' is named twice"),
        ([f"class {i}" for i in range(300)], "300 words in 300 classes: 256 is the maximum"),
        ([",".join(f"word {i}" for i in range(257))], "257 words in 1 classes: 256 is the maximum"),
    ],
)
def test_what_cannot_be_a_vocabulary_is_refused_in_a_line(names, message):
    with pytest.raises(UsageError, match=message) as raised:
        parse_classes(names)
    assert "\n" not in str(raised.value)


def test_as_many_words_as_the_maximum_are_taken():
    assert len(parse_classes([f"class {i}" for i in range(MAX_QUERIES)]).words) == MAX_QUERIES

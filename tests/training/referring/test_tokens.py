import numpy as np
import pytest

pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

from rsseg_edge.models.cris.config import load_config  # noqa: E402
from rsseg_edge.training.referring.tokens import tokenizer_of  # noqa: E402


@pytest.mark.parametrize("name", ["cris", "cris-tiny"])
def test_long_sentences_keep_their_end(name):
    config = load_config(name)
    short, long = tokenizer_of(config).encode(["the water", " ".join(["road"] * 60)])
    end = config.clip.text.vocab_size - 1
    assert short.shape == (config.word_length,)
    assert short.dtype == np.int64
    assert short[3] == end
    assert not short[4:].any()
    assert long[-1] == end
    assert (long[1:-1] == long[1]).all()


def test_ids_of_clip_are_open_clips():
    ours = tokenizer_of(load_config("cris")).encode(["The largest building, on the left!"])[0]
    theirs = open_clip.SimpleTokenizer()(["The largest building, on the left!"])[0].numpy()
    assert np.array_equal(ours, theirs[:17])

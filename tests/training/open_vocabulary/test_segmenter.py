import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

import torch.nn.functional as F  # noqa: E402

from rsseg_edge.errors import UsageError  # noqa: E402
from rsseg_edge.training.open_vocabulary import segmenter as module  # noqa: E402


class Letters:
    """Stands for the sentence encoder: a word's feature follows from its letters."""

    def __init__(self, name, templates):
        pass

    def words(self, words):
        rows = [[sum(map(ord, word[k::8])) % 17 - 8 for k in range(8)] for word in words]
        return F.normalize(torch.tensor(rows, dtype=torch.float32) + 0.1, dim=-1)


@pytest.fixture
def segmenter(small_tiny, monkeypatch):
    monkeypatch.setattr(module, "WordEncoder", Letters)
    return module.NetworkSegmenter(small_tiny().eval(), 96)


IMAGE = np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)


def test_classes_are_asked_for_first(segmenter):
    with pytest.raises(UsageError, match="no classes"):
        segmenter(IMAGE)


def test_synonyms_are_one_class_of_the_first_one_s_name(segmenter):
    segmenter.set_classes(["building, roof", "road"])
    result = segmenter(IMAGE)
    assert result.table.names == ("building", "road")
    assert result.class_map.shape == (70, 90)
    assert result.class_map.max() <= 1
    alone = module.predictor(segmenter._network, Letters("", ()).words(["building", "roof", "road"]), long_side=96)
    assert ((alone(IMAGE) == 2) == (result.class_map == 1)).all()


def test_what_is_below_the_threshold_is_background(segmenter):
    segmenter.set_classes(["building", "road"], threshold=0.999999)
    result = segmenter(IMAGE)
    assert result.table.names == ("building", "road", "background")
    assert (result.class_map == 2).mean() > 0.5


def test_words_for_the_background_are_the_last_class(segmenter):
    segmenter.set_classes(["building", "road"], background="clutter,other")
    assert segmenter.classes == ("building", "road", "background")
    assert segmenter(IMAGE).class_map.max() <= 2

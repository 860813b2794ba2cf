"""Batches of images with sentences: true of the image as it is after all that was done to it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rsseg_edge.datasets.referring import Expression, ReferringSample  # noqa: E402
from rsseg_edge.datasets.sample import IGNORE, Sample  # noqa: E402
from rsseg_edge.errors import RssegError  # noqa: E402
from rsseg_edge.training.recipe import Recipe  # noqa: E402
from rsseg_edge.training.referring.source import DrawnSource, GivenSource  # noqa: E402
from rsseg_edge.types import ClassTable  # noqa: E402

BORDER = (9, 99, 199)


class Lengths:
    """A tokenizer whose ids are the number of letters of each word."""

    def encode(self, sentences):
        rows = np.zeros((len(sentences), 12), np.int64)
        for row, sentence in zip(rows, sentences, strict=True):
            ids = [len(word) for word in sentence.split()]
            row[: len(ids)] = ids
        return rows


class Samples(list):
    classes = ClassTable(("building", "land"), ((1, 0, 0), (0, 1, 0)))

    def area(self, index):
        return self[index].labels.size


def two_buildings(size=160):
    """A large red building and a small green one on a grey ground: the image says which is which."""
    image, labels = np.full((size, size, 3), 128, np.uint8), np.ones((size, size), np.uint8)
    for box, color in (((16, 20, 60, 60), (255, 0, 0)), ((100, 110, 24, 20), (0, 255, 0))):
        top, left, height, width = box
        image[top : top + height, left : left + width] = color
        labels[top : top + height, left : left + width] = 0
    return Samples([Sample(image, labels, "two")])


def recipe(**overrides):
    crop = {"size": 64, "scale": [0.4, 1.0], "inside": True, "color": 0.0, "blur": 0.0, "balance": 0.0}
    given = {"steps": 1, "batch": 2, "sentences": 3, "frame": 0.5, "crop": crop}
    return Recipe.model_validate(given | overrides)


def drawn(samples=None, seed=5, **overrides):
    return DrawnSource([(samples or two_buildings(), 1.0)], recipe(**overrides), Lengths(), BORDER, seed)


def middle(mask, axis):
    return np.argwhere(mask)[:, axis].mean()


SIDES = {"left": (1, -1), "right": (1, 1), "top": (0, -1), "bottom": (0, 1)}


def test_sentences_are_true_after_turns_and_mirrors():
    """Judged from the colours of the crop alone."""
    source, kinds, sides = drawn(), set(), set()
    for number in range(60):
        image, said = source.read(number)
        red = (image[..., 0] > 200) & (image[..., 1] < 90)
        green = (image[..., 1] > 200) & (image[..., 0] < 90)
        for expression in said:
            mask, sentence = expression.mask, expression.sentence
            kinds.add(expression.kind)
            if not any(name in sentence for name in ("building", "house", "structure")):
                continue
            if expression.kind not in ("position", "size"):
                continue
            meant, other = (red, green) if (red & mask).any() else (green, red)
            assert meant.any(), sentence
            assert not (other & mask).any(), sentence
            if "largest" in sentence or "biggest" in sentence:
                assert meant.sum() > other.sum()
            words = [word for word in SIDES if word in sentence]
            if expression.kind == "position" and len(words) == 1 and other.any():
                axis, sign = SIDES[words[0]]
                assert sign * (middle(meant, axis) - middle(other, axis)) > 0, sentence
                sides.update(words)
    assert kinds >= {"category", "size", "position"}
    assert sides >= {"left", "right"}


def test_letterboxed_images_have_the_border_around_and_no_meaning_there():
    source, framed = drawn(frame=1.0), 0
    for number in range(20):
        image, said = source.read(number)
        outside = (image == BORDER).all(2)
        framed += outside.any()
        assert (outside.all(0).sum() % 2, outside.all(1).sum() % 2) == (0, 0)
        for expression in said:
            assert expression.mask.any()
            assert not (expression.mask & outside).any()
    assert framed > 10
    assert not any((drawn(frame=0.0).read(number)[0] == BORDER).all(2).any() for number in range(10))


def test_small_images_are_scaled_up_rather_than_left_unlabelled():
    source = drawn(two_buildings(48 * 4), crop={"size": 256, "scale": [0.3, 1.0], "inside": True})
    image, said = source.read(0)
    assert image.shape == (256, 256, 3)
    assert len(said) == 3


def test_an_image_follows_from_its_number_and_the_seed():
    first, again, other = drawn(), drawn(), drawn(seed=6)
    order = [first.read(n) for n in range(4)], [again.read(n) for n in (3, 2, 1, 0)][::-1]
    for (image, said), (image2, said2) in zip(*order, strict=True):
        assert np.array_equal(image, image2)
        assert [e.sentence for e in said] == [e.sentence for e in said2]
    assert any(first.read(n)[1][0].sentence != other.read(n)[1][0].sentence for n in range(4))


def test_batches_are_shared_by_the_processes():
    whole = next(drawn().batches(4, 3, 4))
    parts = [next(drawn().batches(4, 3, 4, rank, 2)) for rank in range(2)]
    image, words, masks = whole
    assert image.shape == (4, 3, 64, 64)
    assert image.dtype == torch.float32
    assert words.shape == (12, 12)
    assert words.dtype == torch.int64
    assert masks.shape == (12, 64, 64)
    assert set(masks.unique().tolist()) == {0, 1}
    for i, (a, b) in enumerate(zip((0, 2), (0, 1), strict=True)):
        assert torch.equal(image[a], parts[0][0][b]), i
        assert torch.equal(words[3 * a : 3 * a + 3], parts[0][1][3 * b : 3 * b + 3])
    assert torch.equal(image[3], parts[1][0][1])
    steps = [b[1] for b in drawn().batches(4, 2, 5)]
    assert torch.equal(steps[1], words)
    assert len(steps) == 3


def test_an_image_of_which_little_can_be_said_repeats_it():
    plain = Samples([Sample(np.full((80, 80, 3), 90, np.uint8), np.ones((80, 80), np.uint8), "land")])
    _, said = drawn(plain).read(1)
    assert len(said) == 3
    assert {e.kind for e in said} == {"category"}


def test_unlabelled_images_are_said_to_be_of_no_use():
    nothing = Samples([Sample(np.zeros((80, 80, 3), np.uint8), np.full((80, 80), IGNORE, np.uint8), "void")])
    with pytest.raises(RssegError, match="no crop of the training images lets anything be referred to"):
        drawn(nothing).read(0)


def given(expressions):
    return ReferringSample(np.full((40, 80, 3), 200, np.uint8), expressions, "given")


def test_given_sentences_are_letterboxed_and_not_altered():
    mask = np.zeros((40, 80), np.bool_)
    mask[:, :40] = True
    samples = [given([]), given([Expression("the left half", mask, "given"), Expression("all", mask | True, "given")])]
    source = GivenSource(samples, 64, 3, Lengths(), BORDER, 0)
    image, said = source.read(0)
    assert image.shape == (64, 64, 3)
    assert (image[:16] == BORDER).all()
    assert (image[16:48] == 200).all()
    assert {e.sentence for e in said} == {"the left half", "all"}
    left = next(e.mask for e in said if e.sentence == "the left half")
    assert left[17:47, :31].all()
    assert not left[:15].any()
    assert not left[:, 33:].any()
    with pytest.raises(RssegError, match="no image of the training set has an expression"):
        GivenSource([given([])], 64, 1, Lengths(), BORDER, 0).read(0)

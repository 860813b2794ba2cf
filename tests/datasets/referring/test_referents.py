"""Nobody can take a sentence for other pixels: a listener who measures anew, and imprecisely, finds the same ones."""

from collections import Counter

import numpy as np
import pytest

from rsseg_edge.datasets.referring.expression import phrase
from rsseg_edge.datasets.referring.lexicon import names_of
from rsseg_edge.datasets.referring.referents import LARGER, find_referents, places
from rsseg_edge.datasets.referring.regions import SPECK, Regions

ndimage = pytest.importorskip("scipy.ndimage")

CLASSES = ("background", "building", "road", "water", "vegetation")
NAMES = names_of(CLASSES)
SEEDS = range(60)


def scatter(seed):
    """uint8 [H, W]: rectangles and discs of all classes, now and then a road across, and single stray pixels."""
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(70, 130)), int(rng.integers(70, 130))
    labels = np.zeros((height, width), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    for label in rng.permutation([1, 1, 3, 4, 4][: rng.integers(1, 6)]):
        for _ in range(rng.integers(1, 4)):
            y, x, a, b = rng.integers(0, height), rng.integers(0, width), *rng.integers(3, 22, 2)
            round_ = ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1
            labels[round_ if rng.random() < 0.5 else (abs(rows - y) < a) & (abs(columns - x) < b)] = label
    if rng.random() < 0.6:
        slope, offset = rng.normal(0, 0.3), rng.uniform(0.2, 0.8)
        line = (
            columns - offset * width - slope * rows if rng.random() < 0.5 else rows - offset * height - slope * columns
        )
        labels[abs(line) < 4] = 2
    labels[rng.integers(0, height, 4), rng.integers(0, width, 4)] = rng.integers(0, 5, 4)
    return labels


def referents_of(labels):
    regions = {label: Regions(labels, label) for label, names in enumerate(NAMES) if names.regions}
    return [(r, regions[r.label].mask(r.regions)) for r in find_referents(regions, NAMES)]


def pieces_of(labels, label):
    index, count = ndimage.label(labels == label, np.ones((3, 3)))
    pieces = [index == i + 1 for i in range(count)]
    return [p for p in pieces if p.sum() >= max(2, SPECK * labels.size)]


def extent(mask, form):
    """How far out a region lies, by its centroid and by its edge, in image sides."""
    rows, columns = np.nonzero(mask)
    axis, side = (columns, mask.shape[1]) if form in ("leftmost", "rightmost") else (rows, mask.shape[0])
    sign = -1 if form in ("leftmost", "topmost") else 1
    return sign * axis.mean() / side, (sign * axis).max() / side


def share_beside(mask, landmark, direction):
    if direction in ("above", "below"):
        return share_beside(mask.T, landmark.T, "left of" if direction == "above" else "right of")
    hits = 0
    for y, x in zip(*np.nonzero(mask), strict=True):
        across = np.flatnonzero(landmark[y])
        hits += len(across) > 0 and (x < across.min() if direction == "left of" else x > across.max())
    return hits / mask.sum()


def listen(labels, referent):
    """Every set of pixels that somebody could mean who does not look closely."""
    pieces, form = pieces_of(labels, referent.label), referent.form
    areas = np.array([p.sum() for p in pieces])
    everything = labels == referent.label
    if form in ("whole", "all"):
        return [everything]
    if form == "only":
        return [everything | piece for piece in pieces]
    if form in ("both", "three", "four"):
        return [everything] if len(pieces) == {"both": 2, "three": 3, "four": 4}[form] else []
    if form == "largest":
        return [p for p, area in zip(pieces, areas, strict=True) if area * LARGER > areas.max()]
    if form == "smallest":
        return [p for p, area in zip(pieces, areas, strict=True) if area < areas.min() * LARGER]
    if form == "two_largest":
        second = np.sort(areas)[-2]
        large = [p for p, area in zip(pieces, areas, strict=True) if area * LARGER > second]
        return [large[0] | large[1]] if len(large) == 2 else large
    if form == "place":
        place = places(*labels.shape)[referent.word]
        return [p for p, area in zip(pieces, areas, strict=True) if p[place].sum() > 0.3 * area]
    if form.endswith("most"):
        extents = np.array([extent(p, form) for p in pieces])
        near = (extents[:, 0] > extents[:, 0].max() - 0.04) | (extents[:, 1] > extents[:, 1].max())
        return [p for p, n in zip(pieces, near, strict=True) if n]
    landmark = labels == referent.landmark
    if form == "direction":
        (landmark,) = pieces_of(labels, referent.landmark)
        return [p for p in pieces if share_beside(p, landmark, referent.word) > 0.2]
    gaps = np.array([ndimage.distance_transform_edt(~landmark)[p].min() for p in pieces])
    near = gaps < 1.3 * gaps.min() + 2 if form == "nearest" else gaps * 1.3 + 2 > gaps.max()
    return [p for p, n in zip(pieces, near, strict=True) if n]


def test_a_listener_finds_exactly_the_pixels_that_are_meant():
    forms = Counter()
    for seed in SEEDS:
        labels = scatter(seed)
        for referent, mask in referents_of(labels):
            heard = listen(labels, referent)
            assert len(heard) == 1, (seed, referent)
            assert (heard[0] == mask).all(), (seed, referent)
            forms[referent.form] += 1
    everything = {"whole", "all", "only", "largest", "smallest", "two_largest", "both", "three", "four", "place",
                  "leftmost", "rightmost", "topmost", "bottommost", "direction", "nearest", "farthest"}  # fmt: skip
    assert {form for form, count in forms.items() if count >= 4} == everything, forms


def test_no_sentence_means_two_things_in_one_image():
    for seed in SEEDS:
        meant = {}
        for referent, mask in referents_of(scatter(seed)):
            for phrasings in ("train", "held_out"):
                for sentence in phrase(referent, NAMES, phrasings):
                    assert (meant.setdefault(sentence, mask) == mask).all(), (seed, sentence)


def test_words_for_sides_follow_the_image_when_it_is_mirrored():
    other = {"left": "right", "right": "left", "leftmost": "rightmost", "rightmost": "leftmost", "left of": "right of",
             "right of": "left of", "top left": "top right", "top right": "top left", "bottom left": "bottom right",
             "bottom right": "bottom left"}  # fmt: skip

    def said(labels, turn=lambda mask: mask, swap=lambda word: word):
        return {
            (r.label, swap(r.form), swap(r.word), r.landmark, turn(mask).tobytes()) for r, mask in referents_of(labels)
        }

    for seed in range(12):
        labels = scatter(seed)
        mirrored = said(np.ascontiguousarray(labels[:, ::-1]), lambda m: m[:, ::-1], lambda word: other.get(word, word))
        assert mirrored == said(labels), seed


def test_specks_are_overlooked_and_small_regions_are_not():
    labels = np.zeros((200, 300), np.uint8)
    labels[20:60, 30:70] = 1
    labels[150, 250:252] = 1
    assert {r.form for r, _ in referents_of(labels)} == {"only"}
    labels[150:153, 250:253] = 1  # too small to be spoken of, but a building
    forms = {r.form for r, _ in referents_of(labels)}
    assert forms == {"all", "largest", "place", "leftmost", "topmost"}


def test_regions_of_nearly_one_size_are_not_compared():
    labels = np.zeros((100, 100), np.uint8)
    labels[10:30, 10:30] = labels[60:80, 60:84] = 1  # 400 and 480 pixels
    assert not [r for r, _ in referents_of(labels) if r.kind == "size"]
    labels[60:80, 60:90] = 1
    assert {r.form for r, _ in referents_of(labels) if r.kind == "size"} == {"largest", "smallest"}


def test_what_lies_above_a_short_road_is_not_beside_it():
    labels = np.zeros((100, 100), np.uint8)
    labels[40:90, 48:52] = 2
    labels[50:60, 10:25] = labels[70:80, 70:90] = 1
    assert {(r.word, *np.argwhere(m)[0]) for r, m in referents_of(labels) if r.form == "direction"} == {
        ("left of", 50, 10),
        ("right of", 70, 70),
    }
    labels[5:20, 60:80] = 1
    assert not [r for r, _ in referents_of(labels) if r.form == "direction"]


def test_a_small_neighbour_in_the_same_place_is_not_passed_over():
    labels = np.zeros((100, 100), np.uint8)
    labels[10:50, 5:45] = labels[60:90, 60:90] = 1
    assert "left" in {r.word for r, _ in referents_of(labels)}
    labels[80:86, 20:26] = 1
    assert "left" not in {r.word for r, _ in referents_of(labels)}


def test_leftmost_is_so_by_its_centre_and_by_its_edge():
    labels = np.zeros((100, 100), np.uint8)
    labels[10:30, 10:30] = labels[60:70, 15:95] = 1
    assert "leftmost" in {r.form for r, _ in referents_of(labels)}
    labels[60:70, 2:95] = 1
    assert "leftmost" not in {r.form for r, _ in referents_of(labels)}

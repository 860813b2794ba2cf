"""COCO's polygons and run lengths against masks that are known."""

import numpy as np
import pytest

from rsseg_edge.datasets.referring.coco_masks import decode_segmentation


def runs_of(mask):
    """Run lengths of a bool mask down its columns, 0 first."""
    flat = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    return [0, *runs] if flat[0] else runs


def pack(runs):
    """COCO's string, as its own encoder writes it."""
    text = ""
    for i, run in enumerate(runs):
        value, more = run - (runs[i - 2] if i > 2 else 0), True
        while more:
            low, value = value & 0x1F, value >> 5
            more = value != (-1 if low & 0x10 else 0)
            text += chr((low | (0x20 if more else 0)) + 48)
    return text


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (40, 33)])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("packed", [False, True])
def test_run_lengths_give_the_mask_they_were_made_from(size, share, packed):
    mask = np.random.default_rng(3).random(size) < share
    runs = runs_of(mask)
    part = {"size": list(size), "counts": pack(runs) if packed else runs}
    assert np.array_equal(decode_segmentation(part, *size), mask)
    assert np.array_equal(decode_segmentation([part], *size), mask)


def test_a_known_string():
    """A 2 x 2 square in a 4 x 4 image: runs 5, 2, 2, 2, 5 with differences from the fourth on."""
    assert pack([5, 2, 2, 2, 5]) == "52203"
    mask = decode_segmentation({"size": [4, 4], "counts": "52203"}, 4, 4)
    assert np.argwhere(mask).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_polygons_count_from_the_edge_and_are_united():
    left, right = [1, 1, 4, 1, 4, 3, 1, 3], [3, 1, 6, 1, 6, 3, 3, 3]
    mask = decode_segmentation([left, right], 5, 8)
    expected = np.zeros((5, 8), np.bool_)
    expected[1:3, 1:6] = True  # COCO's own rasteriser fills these pixels
    assert (mask & ~expected).sum() <= 8  # OpenCV draws the outline as well
    assert mask[expected].all()
    assert mask[1, 3]  # where both are: not cut out by even and odd


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [4, 5], "counts": [20]}, r"run lengths of \[4, 5\], but the image is \[4, 4\]"),
        ({"size": [4, 4], "counts": [3, 2]}, "do not add up to 4 x 4 pixels"),
        ({"size": [4, 4], "counts": [20, -4]}, "do not add up"),
        ({"size": [4, 4], "counts": "~~"}, "not COCO's"),
        ({"size": [4, 4], "counts": "o"}, "end within a number"),
        ([[1, 2, 3, 4]], "three corners"),
        ([[1, 2, 3]], "x and y in turn"),
        ([["a", 2, 3, 4, 5, 6]], "x and y in turn"),
        ([[1, 2, 3, 4, 1e9, 6]], "near the image"),
        ([7], "x and y in turn|three corners"),
    ],
)
def test_what_is_no_mask_is_refused(segmentation, message):
    with pytest.raises(ValueError, match=message):
        decode_segmentation(segmentation, 4, 4)

import numpy as np
import pytest

from rsseg_edge.preprocess.letterbox import from_letterbox, letterbox

BORDER = (10, 200, 30)


@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (64, 64), (7, 9), (333, 517)])
def test_an_image_lies_in_the_middle(shape):
    image = np.full((*shape, 3), 120, np.uint8)
    square = letterbox(image, 64, BORDER)
    assert square.shape == (64, 64, 3)
    inside = (square == 120).all(2)
    height, width = (round(side * 64 / max(shape)) for side in shape)
    assert abs(int(inside[:, 32].sum()) - height) <= 1
    assert abs(int(inside[32].sum()) - width) <= 1
    assert np.array_equal(inside, inside[::-1])
    assert np.array_equal(inside, inside[:, ::-1])
    if height < 60:
        assert (square[0] == BORDER).all()


@pytest.mark.parametrize("shape", [(50, 90), (96, 41), (300, 200)])
def test_what_comes_back_is_where_it_was(shape):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([255 * rows / shape[0], 255 * columns / shape[1], 0 * rows], 2).astype(np.uint8)
    square = letterbox(image, 128, (0, 0, 0))
    for channel in (0, 1):
        back = from_letterbox(square[..., channel].astype(np.float32), *shape)
        assert back.shape == shape
        inside = (slice(4, -4), slice(4, -4))
        assert np.abs(back[inside] - image[..., channel][inside]).max() < 5


def test_a_square_half_the_size_is_taken_as_the_same_square():
    """Masks come at a fraction of the input's size."""
    square = np.zeros((32, 32), np.float32)
    square[:, 16:] = 1
    back = from_letterbox(square, 60, 100)
    assert back.shape == (60, 100)
    assert np.flatnonzero(back[30] > 0.5)[0] == 50


def test_shrinking_averages():
    """Every second pixel white: skipping pixels would give black or white, averaging grey."""
    image = np.zeros((512, 512, 3), np.uint8)
    image[::2] = 254
    square = letterbox(image, 64, BORDER)
    assert np.abs(square.astype(int) - 127).max() < 3

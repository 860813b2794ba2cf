import numpy as np
import pytest

from rsseg_edge.postprocess.enlarge import enlarge


def disc(size: int) -> np.ndarray:
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    return (2 * (np.hypot(x - 0.5, y - 0.5) < 0.35)).astype(np.uint8)


def test_edges_are_smoother_than_those_of_the_nearest_pixel() -> None:
    truth = disc(640)
    smooth, nearest = enlarge(disc(64), 640, 640), np.kron(disc(64), np.ones((10, 10), np.uint8))
    assert smooth.dtype == np.uint8
    assert 0 < (smooth != truth).mean() < 0.8 * (nearest != truth).mean()


def test_only_classes_that_are_there_and_those_of_a_pixels_neighbours_come_out() -> None:
    bands = np.repeat(np.array([[7, 0, 200, 3]], np.uint8), 5, axis=1)  # 200 is not made of its neighbours
    large = enlarge(np.ascontiguousarray(bands), 3, 120)
    assert np.array_equal(np.unique(large), [0, 3, 7, 200])
    changes = large[1, 1:][np.diff(large[1].astype(int)) != 0]
    assert changes.tolist() == [0, 200, 3]
    assert np.array_equal(np.flatnonzero(np.diff(large[1].astype(int)))[[0, 1, 2]] + 1, [30, 60, 90])


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (97, 5)])
def test_one_class_stays_one(size: tuple[int, int]) -> None:
    assert np.array_equal(enlarge(np.full((3, 4), 9, np.uint8), *size), np.full(size, 9))

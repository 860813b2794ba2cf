from collections.abc import Callable

import cv2
import numpy as np
import pytest

from rsseg_edge.temporal.motion import MotionEstimator, small_grey

Ground = Callable[..., np.ndarray]


def view(picture: np.ndarray, top: int, left: int, height: int = 151, width: int = 233) -> np.ndarray:
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


@pytest.mark.parametrize("shift", [(0, 0), (1, -2), (5, 9), (-30, 40), (15, 50)])
def test_a_known_shift_is_found(ground: Ground, shift: tuple[int, int]) -> None:
    picture, (down, right) = ground(1), shift
    motion = MotionEstimator().estimate(view(picture, 60 + down, 90 + right), view(picture, 60, 90))
    assert motion is not None
    trusted = motion.reliability > 0.5
    assert trusted.mean() > 0.9 * motion.overlap
    error = np.abs(motion.flow - (right, down))[trusted].max(axis=1)
    assert np.quantile(error, 0.95) < 0.7
    inside = (151 - abs(down)) * (233 - abs(right)) / (151 * 233)
    assert motion.overlap == pytest.approx(inside, abs=0.06)


def test_a_turn_with_zoom_is_found(ground: Ground) -> None:
    picture = ground(2)
    camera = cv2.getRotationMatrix2D((206, 135), 4, 1.05)
    motion = MotionEstimator().estimate(
        view(cv2.warpAffine(picture, camera, (500, 300)), 60, 90), view(picture, 60, 90)
    )
    assert motion is not None
    back = cv2.invertAffineTransform(camera)
    x, y = np.meshgrid(np.arange(233) + 90.0, np.arange(151) + 60.0)
    true = np.dstack([x, y, np.ones_like(x)]) @ back.T - np.dstack([x, y])
    error = np.abs(motion.flow - true)[motion.reliability > 0.5].max(axis=1)
    assert np.quantile(error, 0.95) < 1.5  # at a start of up to 17


def test_pixels_that_look_otherwise_are_not_relied_on(ground: Ground) -> None:
    before = view(ground(3), 60, 90)
    now = before.copy()
    now[40:80, 100:150] = 255 - now[40:80, 100:150]
    motion = MotionEstimator().estimate(now, before)
    assert motion is not None
    reliable = motion.reliability > 0.5
    assert reliable[44:76, 104:146].mean() < 0.6 < 0.97 < reliable[:, :90].mean()


def test_another_exposure_is_the_same_place(ground: Ground) -> None:
    before = view(ground(4), 60, 90) // 2 + 40
    motion = MotionEstimator().estimate(before + np.uint8(35), before)
    assert motion is not None
    assert motion.reliability.mean() > 0.95


def test_a_cut_has_no_motion(ground: Ground) -> None:
    assert MotionEstimator().estimate(view(ground(5), 60, 90), view(ground(6), 60, 90)) is None


def test_another_size_has_no_motion(ground: Ground) -> None:
    picture = ground(7)
    assert MotionEstimator().estimate(view(picture, 60, 90), view(picture, 60, 90, 151, 231)) is None


def test_flat_pictures_are_alike() -> None:
    motion = MotionEstimator().estimate(np.full((90, 120), 130, np.uint8), np.full((90, 120), 120, np.uint8))
    assert motion is not None
    assert motion.reliability.min() == 1


def test_one_estimator_takes_any_sizes_in_turn() -> None:
    # DIS as it comes crashes the process at most of these
    estimator = MotionEstimator()
    for height, width in ((180, 320), (1, 1), (64, 64), (24, 200), (31, 320), (320, 3), (213, 320), (7, 5)):
        picture = np.random.default_rng(0).integers(0, 255, (height, width), np.uint8)
        motion = estimator.estimate(picture, picture)
        assert motion is not None
        assert motion.flow.shape == (height, width, 2)


@pytest.mark.parametrize(("size", "small"), [((720, 1280), (180, 320)), ((241, 361), (214, 320)), ((33, 57), (33, 57))])
def test_the_grey_picture_is_small(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert small_grey(np.full((*size, 3), 9, np.uint8)).shape == small

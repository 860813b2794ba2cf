import cv2
import numpy as np
import pytest

from rsseg_edge.preprocess.fit import Fit, fit_size, to_canvas


@pytest.mark.parametrize(
    ("size", "long_side", "fit"),
    [
        ((720, 1280), 512, Fit((288, 512), (288, 512))),
        ((1280, 720), 512, Fit((512, 288), (512, 288))),
        ((100, 130), 512, Fit((100, 130), (128, 160))),
        ((1, 5000), 512, Fit((1, 512), (32, 512))),
        ((513, 511), 512, Fit((512, 510), (512, 512))),
    ],
)
def test_images_shrink_to_the_long_side_and_are_padded(size: tuple[int, int], long_side: int, fit: Fit) -> None:
    assert fit_size(*size, long_side=long_side, multiple=32) == fit


def test_a_fixed_canvas_is_kept() -> None:
    assert fit_size(720, 1280, long_side=2048, multiple=32, canvas=(256, 256)) == Fit((144, 256), (256, 256))


@pytest.mark.parametrize("size", [(720, 1280), (333, 501), (1, 700), (2160, 3841)])
def test_scaling_is_near_the_area_average(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (max(1, size[0] // 40), size[1] // 40, 3), dtype=np.uint8)
    image = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)
    fit = fit_size(*size, long_side=300, multiple=32)
    canvas = to_canvas(image, fit)
    assert canvas.shape == (*fit.canvas, 3)
    area = cv2.resize(image, fit.content[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(canvas[: fit.content[0], : fit.content[1]].astype(int) - area).mean() < 2.5


def test_detail_below_a_pixel_averages_out() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    canvas = to_canvas(stripes, fit_size(512, 512, long_side=120, multiple=1))
    assert np.abs(canvas.astype(int) - 128).max() <= 1, "plain interpolation would show bands"


def test_padding_mirrors_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    canvas = to_canvas(image, fit_size(5, 7, long_side=64, multiple=8))
    assert canvas.shape == (8, 8, 3)
    assert (canvas[5:, :7] == image[[3, 2, 1]]).all()
    assert (canvas[:5, 7] == image[:, 5]).all()

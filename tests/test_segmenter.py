from pathlib import Path

import numpy as np
import pytest

import rsseg_edge
from rsseg_edge.errors import RssegError, UsageError


def bands(height: int, width: int) -> np.ndarray:
    """Thirds of red 20, 130 and 240: classes 0, 1 and 2 of the bundle."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.array([20, 130, 240], np.uint8)[np.arange(width) * 3 // width]
    image[..., 1] = 77
    return image


@pytest.mark.parametrize("size", [(32, 32), (31, 47), (1, 1), (2, 300), (97, 5), (480, 641)])
def test_the_class_map_has_the_size_of_the_image(bundle: Path, size: tuple[int, int]) -> None:
    segmenter = rsseg_edge.load(bundle)
    image = bands(*size)
    result = segmenter(image)
    assert result.class_map.dtype == result.confidence.dtype == np.uint8
    assert np.array_equal(result.class_map, image[..., 0] // 86), "no scaling, so no pixel may change"
    assert (result.confidence == 77).all()


@pytest.mark.parametrize(
    ("size", "long_side"), [((300, 401), 100), ((401, 300), 64), ((720, 1280), 512), ((50, 999), 33)]
)
def test_scaling_down_moves_no_border(bundle: Path, size: tuple[int, int], long_side: int) -> None:
    image = bands(*size)
    result = rsseg_edge.load(bundle, long_side=long_side)(image)
    assert result.class_map.shape == size
    wrong = (result.class_map != image[..., 0] // 86).mean(axis=0)
    scale = max(1, max(size) / long_side)
    for border in (size[1] / 3, 2 * size[1] / 3):
        wrong[max(0, int(border - 1.5 * scale)) : int(border + 1.5 * scale) + 1] = 0
    assert not wrong.any()


def test_the_three_steps_are_the_call(bundle: Path) -> None:
    segmenter = rsseg_edge.load(bundle, long_side=96)
    image = bands(123, 211)
    prepared = segmenter.prepare(image)
    assert prepared.shape == (1, 64, 96, 3)
    result = segmenter.finish(image, segmenter.infer(prepared))
    assert np.array_equal(result.class_map, segmenter(image).class_map)


def test_names_and_colours_come_from_the_bundle(bundle: Path) -> None:
    segmenter = rsseg_edge.load(str(bundle))
    assert segmenter.classes == ("dark", "middle", "bright")
    assert segmenter(bands(40, 40)).colors[2] == (40, 40, 200)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        "a.png",
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_image_is_a_usage_error(bundle: Path, image: object) -> None:
    with pytest.raises(UsageError, match="image"):
        rsseg_edge.load(bundle)(image)  # type: ignore[arg-type]


def test_a_long_side_that_leaves_nothing_is_a_usage_error(bundle: Path) -> None:
    with pytest.raises(UsageError, match="32"):
        rsseg_edge.load(bundle, long_side=31)


def test_an_engine_that_fails_says_so_in_one_line(bundle: Path) -> None:
    segmenter = rsseg_edge.load(bundle)
    with pytest.raises(RssegError, match="bundle levels: inference failed") as caught:
        segmenter.infer(np.zeros((1, 8, 8, 3), np.float32))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)

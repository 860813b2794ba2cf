import numpy as np
import pytest

from rsseg_edge.postprocess.overlay import Overlay
from rsseg_edge.types import ClassTable

TABLE = ClassTable(("a", "b", "c"), ((200, 0, 10), (0, 250, 20), (30, 60, 90)))


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (301, 211, 3), dtype=np.uint8), rng.integers(0, 3, (301, 211), dtype=np.uint8)


def test_a_pixel_is_the_weighted_mean_of_picture_and_class(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, class_map = scene
    overlay = Overlay(TABLE, (0, 1, 2), 0.3)
    expected = 0.7 * image + 0.3 * TABLE.palette()[class_map]
    below = overlay.legend(301, 211).shape[0]
    assert np.abs(overlay.draw(image, class_map)[below:] - expected[below:]).max() <= 0.51


def test_classes_that_are_not_drawn_are_untouched(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, class_map = scene
    overlay = Overlay(TABLE, (1,), 0.5)
    drawn = overlay.draw(image, class_map)
    below = overlay.legend(301, 211).shape[0]
    other = class_map[below:] != 1
    assert np.array_equal(drawn[below:][other], image[below:][other])
    assert not np.array_equal(drawn[below:][~other], image[below:][~other])


def test_the_image_itself_is_left_alone(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, class_map = scene
    before = image.copy()
    Overlay(TABLE, (0, 1, 2), 0.5).draw(image, class_map)
    assert np.array_equal(image, before)


def test_rows_of_the_result_may_be_apart(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, class_map = scene
    padded = np.zeros((301, 256), np.uint8)
    for drawn in ((0, 1, 2), (0,)):
        blender = Overlay(TABLE, drawn, 0.5).blender(TABLE.palette())
        plane = np.ascontiguousarray(image[..., 1])
        expected = blender.blend(plane, class_map, 1, np.empty_like(plane))
        blender.blend(plane, class_map, 1, padded[:, :211])
        assert np.array_equal(padded[:, :211], expected)
        assert not padded[:, 211:].any()


@pytest.mark.parametrize("count", [1, 5, 40, 255])
@pytest.mark.parametrize("size", [(720, 1280), (120, 160), (33, 47), (3000, 4000)])
def test_the_legend_fits_and_has_even_sides(count: int, size: tuple[int, int]) -> None:
    table = ClassTable(tuple(f"class {i}" for i in range(count)), tuple((i, 255 - i, 7) for i in range(count)))
    legend = Overlay(table, tuple(range(count)), 0.5).legend(*size)
    assert 0 < legend.shape[0] <= size[0]
    assert 0 < legend.shape[1] <= size[1]
    assert legend.shape[0] % 2 == legend.shape[1] % 2 == 0


def test_the_legend_shows_the_colours_of_the_drawn_classes_alone() -> None:
    legend = Overlay(TABLE, (0, 2), 0.5).legend(720, 1280).reshape(-1, 3).tolist()
    assert [list(color) in legend for color in TABLE.colors] == [True, False, True]

from collections.abc import Callable

import numpy as np
import pytest

from rsseg_edge.temporal.flicker import FlickerMeter
from rsseg_edge.types import ClassTable

TABLE = ClassTable(("low", "high"), ((0, 0, 0), (9, 9, 9)))
Ground = Callable[..., np.ndarray]


def flight(ground: Ground, frames: int, size: tuple[int, int] = (151, 233)) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images 3 pixels apart, each with a map of what is bright in it."""
    picture = ground(1)
    views = [picture[60 : 60 + size[0], 60 + 3 * i : 60 + 3 * i + size[1]] for i in range(frames)]
    return [(np.dstack([v] * 3), (v > 120).astype(np.uint8)) for v in views]


def test_a_map_that_moves_with_the_picture_does_not_flicker(ground: Ground) -> None:
    meter = FlickerMeter()
    for image, class_map in flight(ground, 4):
        meter.add(image, class_map, TABLE)
    assert meter.compared > 0.9 * 3 * 151 * 233
    assert meter.share is not None
    assert meter.share < 0.005


@pytest.mark.parametrize("size", [(151, 233), (201, 399)])
def test_the_share_that_changes_is_counted(ground: Ground, size: tuple[int, int]) -> None:
    meter = FlickerMeter()
    for index, (image, class_map) in enumerate(flight(ground, 4, size)):
        if index % 2:
            class_map = class_map.copy()
            class_map[: size[0] // 4] ^= 1
        meter.add(image, class_map, TABLE)
    assert meter.share == pytest.approx(0.25, abs=0.015)


def test_nothing_is_compared_over_a_cut_or_with_other_classes(ground: Ground) -> None:
    meter = FlickerMeter()
    (image, class_map), (following, same) = flight(ground, 2)
    other = np.dstack([ground(2)[:151, :233]] * 3)
    meter.add(image, class_map, TABLE)
    assert meter.add(other, 1 - class_map, TABLE) is None
    meter.add(image, class_map, TABLE)
    meter.add(following, same, ClassTable(TABLE.names, TABLE.colors))
    assert meter.compared == 0
    assert meter.share is None

import numpy as np
import pytest

from rsseg_edge.scenes.windows import Axis, Plan


@pytest.mark.parametrize("length", [1, 3, 64, 65, 127, 128, 129, 300, 512, 1001, 4099])
@pytest.mark.parametrize(("overlap", "halo"), [(0, 0), (16, 8), (32, 4), (64, 0), (64, 32)])
def test_weights_of_all_windows_that_see_a_cell_sum_to_one(length: int, overlap: int, halo: int) -> None:
    axis = Axis(length, 128, overlap, halo, 4, 8)
    check_cover(axis)


def check_cover(axis: Axis) -> None:
    total = np.zeros(max(axis.length + axis.lattice, axis.tile) // 4)
    for start, weight in zip(axis.starts, axis.weights, strict=True):
        assert weight.shape == (32,)
        assert start % axis.lattice == 0
        total[start // 4 : start // 4 + 32] += weight
    assert np.allclose(total[: axis.cells], 1, atol=1e-6)
    assert axis.starts[-1] + 128 < axis.length + axis.lattice or len(axis.starts) == 1


@pytest.mark.parametrize("length", [128, 129, 150, 224, 1001])
@pytest.mark.parametrize("offset", [16, 48, 80])
def test_a_grid_that_is_moved_covers_the_scene_too(length: int, offset: int) -> None:
    axis = Axis(length, 128, 32, 8, 4, 16, offset)
    check_cover(axis)
    if len(axis.starts) > 2:
        assert axis.starts[1] == 96 - offset


def test_the_ends_of_windows_count_for_nothing_but_at_the_border_of_the_scene() -> None:
    axis = Axis(1000, 128, 32, 8, 4, 8)
    first, second, *_, last = axis.weights
    assert first[0] == 1
    assert last[-1] == 1
    assert first[-2:].tolist() == [0, 0]
    assert second[:2].tolist() == [0, 0]
    assert (np.diff(second[:8]) >= 0).all()


@pytest.mark.parametrize(
    ("tile", "overlap", "halo", "offset"),
    [
        (130, 0, 0, 0),
        (128, 32, 20, 0),
        (128, 80, 0, 0),
        (128, 28, 0, 0),
        (128, 32, 2, 0),
        (128, 32, 8, 4),
        (128, 32, 8, 96),
    ],
)
def test_windows_that_make_no_sense_are_refused(tile: int, overlap: int, halo: int, offset: int) -> None:
    with pytest.raises(ValueError, match=r"overlap|halo|offset"):
        Axis(1000, tile, overlap, halo, 4, 8, offset)


@pytest.mark.parametrize("length", [5, 100, 129, 333, 517, 1024])
@pytest.mark.parametrize("scale", [1.0, 0.31, 2.7])
def test_bands_follow_each_other_and_need_no_cell_that_is_not_ready(length: int, scale: float) -> None:
    axis = Axis(length, 128, 32, 8, 4, 16)
    height = max(1, round(length * scale))
    plan = Plan(axis, axis, height, height)
    assert plan.bounds[0] == 0
    assert plan.bounds[-1] == height
    assert list(plan.bounds) == sorted(plan.bounds)
    for band, ready in enumerate(plan.ready):
        top, bottom = plan.bounds[band], plan.bounds[band + 1]
        if top == bottom:
            continue
        last = (bottom - 0.5) / plan.scale[0] - 0.5
        assert min(int(np.floor(last)) + 1, axis.cells - 1) < ready
        first = plan.first_window(band)
        assert first <= band
        earlier = [start + 128 for start in axis.starts[:first]]
        assert all(end <= plan.first_cell(band) * 4 for end in earlier), "a window that is needed is left out"

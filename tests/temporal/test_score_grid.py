import numpy as np
import pytest

from rsseg_edge.temporal.motion import Motion
from rsseg_edge.temporal.score_grid import ScoreGrid, blend, carry
from rsseg_edge.types import ClassTable

TABLE = ClassTable(("a", "b"), ((0, 0, 0), (9, 9, 9)))


def grid(scores: np.ndarray, box: tuple[float, float, float, float]) -> ScoreGrid:
    def decide(*_: object) -> object:
        raise AssertionError("nothing is decided here")

    return ScoreGrid(scores.astype(np.float32), box, TABLE, decide)  # type: ignore[arg-type]


def moved(height: int, width: int, right: float, down: float) -> Motion:
    flow = np.empty((height, width, 2), np.float32)
    flow[:] = right, down
    return Motion(flow, np.ones((height, width), np.float32), 1.0, 1.0)


def test_scores_move_with_the_picture() -> None:
    scores = np.random.default_rng(0).random((2, 12, 17))
    # a cell is 4 pixels of the grey picture: 8 pixels to the right are 2 cells, 4 down are 1
    found, reliability = carry(grid(scores, (0, 0, 17, 12)), moved(48, 68, 8, 4))
    assert np.allclose(found.scores[:, :-1, :-2], scores[:, 1:, 2:], atol=1e-5)
    assert reliability.shape == (12, 17)
    assert reliability.min() == 1


def test_what_was_outside_takes_the_nearest_cell_of_the_image() -> None:
    scores = np.zeros((1, 10, 10))
    scores[0, 2:8] = np.arange(10)
    scores[0, 8:] = 99  # below the image lies padding
    found, _ = carry(grid(scores, (0, 2, 10, 6)), moved(60, 100, 0, 20))
    assert found.scores[0, 2:8].max() == pytest.approx(9, abs=1e-4)
    assert np.allclose(found.scores[0, 2:8], np.arange(10), atol=1e-4)


def test_a_box_inside_the_grid_scales_and_shifts_the_motion() -> None:
    scores = np.tile(np.arange(20.0), (1, 20, 1))
    still, _ = carry(grid(scores, (4, 0, 12, 20)), moved(100, 60, 0, 0))
    assert np.allclose(still.scores[..., 4:16], scores[..., 4:16], atol=1e-4)
    # 60 pixels over 12 cells: 5 pixels are a cell
    right, _ = carry(grid(scores, (4, 0, 12, 20)), moved(100, 60, 5, 0))
    assert np.allclose(right.scores[..., 4:15], scores[..., 5:16], atol=1e-4)


def test_a_blend_is_a_weighted_mean() -> None:
    now, before = grid(np.zeros((2, 3, 5)), (0, 0, 5, 3)), grid(np.ones((2, 3, 5)), (0, 0, 5, 3))
    weight = np.linspace(0, 1, 15, dtype=np.float32).reshape(3, 5)
    assert np.allclose(blend(now, before, weight).scores, [weight, weight])

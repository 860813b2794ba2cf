from typing import Any, cast

import numpy as np
import pytest

from rsseg_edge.kernels.registry import ort_library
from rsseg_edge.kernels.upsample_decide.native import upsample_decide
from rsseg_edge.scenes import blend
from rsseg_edge.scenes.blend import Cells, decide_rows
from rsseg_edge.scenes.windows import Axis, Plan


class Raw:
    """Keeps what it is to decide on."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def decide_enlarged(self, scores: np.ndarray) -> None:
        """It decides on nothing."""

    def decide(self, scores: np.ndarray) -> Any:
        self.seen.append(scores.copy())
        return np.zeros((2, *scores.shape[1:]), np.uint8)


@pytest.mark.parametrize(("height", "width"), [(300, 452), (150, 226), (301, 390), (211, 330)])
def test_a_band_is_interpolated_between_the_middles_of_its_cells(
    height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blend, "CHUNK", (1000, 100))
    rows, columns = Axis(300, 128, 32, 8, 4, 32), Axis(452, 128, 32, 8, 4, 32)
    plan = Plan(rows, columns, height, width)
    whole = np.random.default_rng(0).random((3, rows.cells, columns.cells)).astype(np.float32)
    down, across = plan.scale
    y, x = (np.arange(height) + 0.5) / down - 0.5, (np.arange(width) + 0.5) / across - 0.5
    for band, (top, bottom) in enumerate(zip(plan.bounds, plan.bounds[1:], strict=False)):
        first = plan.first_cell(band)
        raw: Any = Raw()
        decide_rows(Cells(band, first, whole[:, first : plan.ready[band]]), range(top, bottom), plan, raw)
        found = np.concatenate(raw.seen, axis=2)
        for plane, enlarged in zip(whole, found, strict=True):
            wide = np.stack([np.interp(x, np.arange(columns.cells), row) for row in plane])
            expected = np.stack([np.interp(y, np.arange(rows.cells), column) for column in wide.T]).T
            np.testing.assert_allclose(enlarged, expected[top:bottom], atol=2e-6 if down.is_integer() else 0.04)


class Shares:
    """Decides as a segmenter with shares does, with the kernel or without it."""

    def __init__(self, enlarges: bool) -> None:
        self.enlarges, self.asked = enlarges, 0

    def decide_enlarged(self, scores: np.ndarray) -> Any:
        self.asked += 1
        return upsample_decide(scores) if self.enlarges else None

    def decide(self, scores: np.ndarray) -> Any:
        return scores.argmax(0).astype(np.uint8), (255 * scores.max(0) + 0.5).astype(np.uint8)


@pytest.mark.skipif(ort_library() is None, reason="installed without a C++ compiler: no rsseg_ort_ops")
@pytest.mark.parametrize(("height", "width"), [(300, 452), (299, 450), (64, 128), (150, 226)])
def test_a_kernel_decides_as_numpy_does_where_a_cell_is_four_pixels(height: int, width: int) -> None:
    whole = height > 226 or height == 64
    length, across = (height, width) if whole else (300, 452)
    rows, columns = Axis(length, 128, 32, 8, 4, 32), Axis(across, 128, 32, 8, 4, 32)
    plan = Plan(rows, columns, height, width)
    scores = np.random.default_rng(0).random((3, rows.cells, columns.cells)).astype(np.float32)
    scores /= scores.sum(0)
    exact = plan.scale == (4.0, 4.0)
    for band, (top, bottom) in enumerate(zip(plan.bounds, plan.bounds[1:], strict=False)):
        first = plan.first_cell(band)
        cells = Cells(band, first, scores[:, first : plan.ready[band]])
        quick, slow = Shares(True), Shares(False)
        found, expected = (decide_rows(cells, range(top, bottom), plan, cast(Any, s)) for s in (quick, slow))
        assert quick.asked == exact
        assert found[0].shape == (bottom - top, width)
        assert found[0].flags.c_contiguous
        assert (found[0] != expected[0]).mean() < 1e-3
        assert np.abs(found[1].astype(int) - expected[1]).max() <= 1

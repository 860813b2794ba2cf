from typing import Any

import numpy as np
import pytest

from rsseg_edge.scenes import blend
from rsseg_edge.scenes.blend import Cells, decide_band
from rsseg_edge.scenes.windows import Axis, Plan


class Raw:
    """Keeps what it is to decide on."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

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
        decide_band(Cells(band, first, whole[:, first : plan.ready[band]]), plan, raw)
        found = np.concatenate(raw.seen, axis=2)
        for plane, enlarged in zip(whole, found, strict=True):
            wide = np.stack([np.interp(x, np.arange(columns.cells), row) for row in plane])
            expected = np.stack([np.interp(y, np.arange(rows.cells), column) for column in wide.T]).T
            np.testing.assert_allclose(enlarged, expected[top:bottom], atol=2e-6 if down.is_integer() else 0.04)

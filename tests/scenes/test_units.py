import pytest

from rsseg_edge.scenes.settings import SceneRequest
from rsseg_edge.scenes.units import windows_at_once
from rsseg_edge.scenes.windows import Axis, Plan


@pytest.mark.parametrize(
    ("precision", "side", "threads", "expected"),
    [
        ("int8", 1000, 4, 2),
        ("int8", 1000, 1, 1),
        ("int8", 64, 4, 1),  # one window has all cores
        ("int8", 100, 4, 2),
        ("fp32", 1000, 4, 1),
        (None, 1000, 4, 1),
    ],
)
def test_two_windows_at_once_where_that_is_worth_its_memory(
    precision: str | None, side: int, threads: int, expected: int
) -> None:
    axis = Axis(side, 64, 16, 4, 4, 16)
    request = SceneRequest(precision=precision)  # type: ignore[arg-type]
    assert windows_at_once(request, Plan(axis, axis, side, side), threads) == expected

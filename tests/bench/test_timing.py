from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rsseg_edge.bench import timing
from rsseg_edge.bench.timing import (
    BLOCK,
    LEAST,
    PARTS,
    ROUNDS,
    STABLE,
    WARM_UP,
    Timing,
    in_parts,
    joined,
    ratio,
    spread,
    take_turns,
)
from rsseg_edge.errors import UsageError

Steps = Callable[..., Iterator[str]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, which only steps move on."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing.time, "process_time", lambda: 2 * now[0])
    return now


@pytest.fixture
def steps(clock: list[float]) -> Steps:
    """A stage whose steps take what a function of their number says, and are noted."""

    def make(name: str, seconds: Callable[[int], float], done: list[str], count: int = 10_000) -> Iterator[str]:
        for number in range(count):
            clock[0] += seconds(number)
            done.append(name)
            yield name

    return make


def test_stages_take_turns_until_each_has_its_frames(steps: Steps) -> None:
    done: list[str] = []
    found = take_turns({"a": steps("a", lambda n: 0.01, done), "b": steps("b", lambda n: 0.02, done)}, 25, 100.0)
    turns = "".join(done[2 * WARM_UP :])
    whole, rest = ("a" * (count + 1) + "b" * (count + 1) for count in (BLOCK, 5))
    assert turns == whole * 2 + rest
    assert [len(t.wall) for t in found.values()] == [25, 25]
    np.testing.assert_allclose(found["b"].wall, 0.02)
    assert found["b"].cpu == pytest.approx(0.04)
    assert found["b"].rate == pytest.approx(50)
    assert found["b"].spread == pytest.approx(STABLE * 0.02)  # no less is claimed
    assert found["b"].undisturbed is None


def test_a_turn_of_a_slow_stage_is_short_and_a_sitting_ends_after_a_while(steps: Steps) -> None:
    done: list[str] = []
    stages = {"slow": steps("slow", lambda n: 3.0, done), "fast": steps("fast", lambda n: 0.01, done)}
    found = take_turns(stages, 1000, 30.0)
    rounds = 4  # of nine seconds each: the fourth passes the limit
    assert len(found["slow"].wall) == rounds * LEAST
    assert done.count("slow") == 1 + rounds * (LEAST + 1)  # one to warm up
    assert len(found["fast"].wall) == rounds * BLOCK
    slow = take_turns({"a": steps("a", lambda n: 60.0, [])}, 1000, 30.0)
    assert len(slow["a"].wall) == ROUNDS * LEAST


def test_a_stage_that_ends_is_measured_no_further(steps: Steps) -> None:
    done: list[str] = []
    stages = {"a": steps("a", lambda n: 0.01, done, 30), "b": steps("b", lambda n: 0.01, done)}
    found = take_turns(stages, 60, 100.0)
    assert (len(found["a"].wall), len(found["b"].wall)) == (30 - WARM_UP - 3, 60)
    with pytest.raises(UsageError, match="too short"):
        take_turns({"a": steps("a", lambda n: 0.01, done, WARM_UP + 1)}, 60, 100.0)


def test_sittings_of_a_stage_are_one_measurement() -> None:
    one = {"a": Timing((np.full(10, 2.0),), 3.0), "b": Timing((np.ones(3),), 1.0)}
    other = {"a": Timing((np.full(30, 4.0),), 7.0, 3.5), "b": Timing((np.ones(4),), 1.0)}
    found = joined([one, other])
    assert [len(s) for s in found["a"].sittings] == [10, 30]
    assert (found["a"].cpu, found["a"].undisturbed, found["b"].undisturbed) == (6.0, 3.5, None)
    assert found["a"].quantile(0.5) == 4.0
    assert found["a"].spread == pytest.approx(1.0)
    assert len(found["b"].wall) == 7


def test_spread_covers_a_second_run_where_every_process_has_a_speed_of_its_own() -> None:
    """By the place of its memory, and within it what the machine does at the moment."""
    random, outside = np.random.default_rng(0), 0

    def sitting() -> np.ndarray:
        wander = np.convolve(random.normal(size=60), np.ones(20) / 20, "valid")[:30]
        return 10 * (1 + 0.03 * random.normal()) + 0.1 * wander + random.exponential(0.1, 30)

    for _ in range(300):
        a, b = (Timing(tuple(sitting() for _ in range(PARTS)), 0.0) for _ in range(2))
        outside += abs(a.quantile(0.5) - b.quantile(0.5)) > a.spread + b.spread
    assert outside <= 6


def test_values_of_one_sitting_are_compared_in_parts() -> None:
    assert [len(part) for part in in_parts(np.ones(23))] == [5, 5, 5, 4, 4]
    assert len(in_parts(np.ones(3))) == 3
    assert spread(in_parts(np.linspace(1.0, 2.0, 50))) == pytest.approx(0.4, abs=0.01)


class Crowd:
    """Others take as much of the cores as they want, from one run to the next."""

    def __init__(self, crowded: bool) -> None:
        self._crowded = crowded

    def __call__(self) -> "Crowd":
        return self

    def crowded(self) -> bool:
        return self._crowded


def test_where_others_want_the_cores_the_spread_reaches_down_to_the_processor_time(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing.time, "process_time", lambda: used[0])
    used = [0.0]

    def stage(waits: float) -> Iterator[None]:
        while True:
            clock[0] += 0.02 + waits
            used[0] += 0.02
            yield

    monkeypatch.setattr(timing, "Contention", Crowd(True))
    busy, busier = (take_turns({"a": stage(waits)}, 100, 100.0)["a"] for waits in (0.01, 0.05))
    assert busy.undisturbed == pytest.approx(0.02)
    assert busy.spread == pytest.approx(0.01)
    assert busier.quantile(0.5) - busy.quantile(0.5) < busier.spread + busy.spread  # both reach the quiet machine's
    monkeypatch.setattr(timing, "Contention", Crowd(False))
    waiting = take_turns({"a": stage(0.05)}, 100, 100.0)["a"]  # for a disk or a GPU
    assert waiting.undisturbed is None
    assert waiting.spread == pytest.approx(STABLE * 0.07)


def test_a_ratio_of_two_that_took_turns_is_free_of_what_the_machine_did() -> None:
    def timing(*medians: float) -> Timing:
        return Timing(tuple(np.full(20, seconds) for seconds in medians), 0.0)

    found, off = ratio(timing(3.0, 3.3, 3.6, 4.5, 6.0), timing(1.0, 1.1, 1.2, 1.5, 2.0))
    assert found == pytest.approx(3)
    assert off == pytest.approx(3 * STABLE)
    assert ratio(timing(3.0, 3.0, 3.0, 3.0, 3.6), timing(*[1.0] * 5))[1] == pytest.approx(0.3)

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rsseg_edge.bench import timing
from rsseg_edge.bench.timing import BLOCK, LEAST, LIMIT, PARTS, STABLE, WARM_UP, ratio, spread, take_turns
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


def test_stages_take_turns_until_all_are_stable(steps: Steps) -> None:
    done: list[str] = []
    found = take_turns({"a": steps("a", lambda n: 0.01, done), "b": steps("b", lambda n: 0.02, done)}, 1000)
    turns = "".join(done[2 * WARM_UP :])
    assert turns == ("a" * (BLOCK + 1) + "b" * (BLOCK + 1)) * 2 * PARTS  # no sooner: the parts lie apart
    assert [len(t.wall) for t in found.values()] == [2 * PARTS * BLOCK] * 2
    np.testing.assert_allclose(found["b"].wall, 0.02)
    assert found["b"].cpu == pytest.approx(0.04)
    assert found["b"].rate == pytest.approx(50)
    assert found["b"].spread == pytest.approx(STABLE * 0.02)  # no less is claimed
    assert found["b"].undisturbed is None


def test_one_that_drifts_is_measured_to_the_end_and_says_how_far(steps: Steps) -> None:
    done: list[str] = []
    drifting = steps("b", lambda n: 0.01 * (1 + n / 200), done)
    found = take_turns({"a": steps("a", lambda n: 0.01, done), "b": drifting}, 120)
    assert [len(t.wall) for t in found.values()] == [120, 120]
    assert found["b"].spread > 0.15 * found["b"].quantile(0.5)
    assert found["a"].spread == pytest.approx(STABLE * 0.01)


def test_a_turn_of_a_slow_stage_is_short(steps: Steps) -> None:
    done: list[str] = []
    found = take_turns({"slow": steps("slow", lambda n: 3.0, done), "fast": steps("fast", lambda n: 0.01, done)}, 1000)
    assert len(found["slow"].wall) == 2 * PARTS * LEAST
    assert done.count("slow") == 1 + 2 * PARTS * (LEAST + 1)  # one to warm up


def test_what_stays_unstable_ends_after_a_while_but_not_before_there_are_parts(steps: Steps) -> None:
    begin = timing.time.perf_counter()
    take_turns({"a": steps("a", lambda n: 0.5 * (1 + n / 100), [])}, 10_000)
    assert LIMIT < timing.time.perf_counter() - begin < LIMIT + 10
    slow = take_turns({"a": steps("a", lambda n: 30.0 * (1 + n % 2), [])}, 10_000)
    assert len(slow["a"].wall) == PARTS * LEAST  # minutes longer


def test_a_stage_that_ends_is_measured_no_further(steps: Steps) -> None:
    done: list[str] = []
    stages = {"a": steps("a", lambda n: 0.01, done, 30), "b": steps("b", lambda n: 0.01 * (1 + n % 7 * n), done)}
    found = take_turns(stages, 60)
    assert (len(found["a"].wall), len(found["b"].wall)) == (30 - WARM_UP - 3, 60)
    with pytest.raises(UsageError, match="too short"):
        take_turns({"a": steps("a", lambda n: 0.01, done, WARM_UP + 1)}, 60)


def test_spread_covers_a_second_run_where_the_noise_wanders() -> None:
    """The machine's speed wanders within seconds: two runs' medians lie within the sum of their spreads."""
    random, outside = np.random.default_rng(0), 0
    for _ in range(200):
        runs = []
        for _ in range(2):
            wander = np.convolve(random.normal(size=260), np.ones(20) / 20, "valid")[:150]
            runs.append(10 + wander + random.exponential(0.3, 150))
        outside += abs(np.median(runs[0]) - np.median(runs[1])) > spread(runs[0]) + spread(runs[1])
    assert outside <= 6  # of 200


def test_spread_covers_a_second_run_although_measuring_ends_when_it_looks_stable(clock: list[float]) -> None:
    """The speed wanders by a hundredth within some turns: what two runs print agrees in nine of ten."""
    random, inside = np.random.default_rng(0), 0

    def stage() -> Iterator[None]:
        wander = random.normal()
        while True:
            wander = 0.967 * wander + 0.254 * random.normal()  # e-fold in 30 steps
            clock[0] += 0.01 * (1 + 0.01 * wander) + random.exponential(1e-4)
            yield

    for _ in range(100):
        a, b = (take_turns({"a": stage()}, 150)["a"] for _ in range(2))
        inside += abs(a.quantile(0.5) - b.quantile(0.5)) <= a.spread + b.spread
    assert inside >= 90


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
    busy, busier = (take_turns({"a": stage(waits)}, 100)["a"] for waits in (0.01, 0.05))
    assert busy.undisturbed == pytest.approx(0.02)
    assert busy.spread == pytest.approx(0.01)
    assert busier.quantile(0.5) - busy.quantile(0.5) < busier.spread + busy.spread  # both reach the quiet machine's
    monkeypatch.setattr(timing, "Contention", Crowd(False))
    waiting = take_turns({"a": stage(0.05)}, 100)["a"]  # for a disk or a GPU
    assert waiting.undisturbed is None
    assert waiting.spread == pytest.approx(STABLE * 0.07)


def test_a_ratio_of_two_that_took_turns_is_free_of_what_the_machine_did() -> None:
    drift = np.linspace(1, 2, 100)
    found, off = ratio(3 * drift, drift)
    assert found == pytest.approx(3)
    assert off == pytest.approx(3 * STABLE)
    assert ratio(np.repeat([3.0, 3.0, 3.0, 3.0, 3.6], 20), np.ones(100))[1] == pytest.approx(0.3)

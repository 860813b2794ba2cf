import os
from pathlib import Path

import pytest

from rsseg_edge.bench import contention
from rsseg_edge.bench.contention import Contention, describe


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Sets seconds of the clock, of all cores that worked and that did not, and of this process."""
    stat, now, own = tmp_path / "stat", [0.0], [0.0]

    def at(seconds: float, busy: float, idle: float, process: float) -> None:
        ticks = os.sysconf("SC_CLK_TCK")
        stat.write_text(f"cpu  {int(busy * ticks)} 0 0 {int(idle * ticks)} 0 0 0 0 0 0\ncpu0 0 0 0 0\n")
        now[0], own[0] = seconds, process

    monkeypatch.setattr(contention, "STAT", stat)
    monkeypatch.setattr(contention.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(contention.os, "times", lambda: os.times_result((own[0], 0, 0, 0, 0)))
    return at


def test_what_others_took_is_told(machine) -> None:
    machine(10, 100, 500, 7)
    counted = Contention()
    machine(20, 100 + 9, 511, 7 + 8.5)  # of two cores for ten seconds
    assert describe(counted.cores()) == "0.05 cores on average"
    machine(20, 100 + 16, 504, 7 + 8)
    assert counted.cores() == pytest.approx(0.8)
    assert describe(0.01, counted.cores(), None) == "0.80 cores on average: too busy for times to be quoted"


def test_cores_that_were_free_are_none_that_others_took_away(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contention.os, "cpu_count", lambda: 2)
    machine(0, 0, 0, 0)
    counted = Contention()
    machine(10, 19, 1, 10)  # others 0.9 of two cores, and hardly any left
    assert counted.crowded()
    machine(10, 19, 1, 18.5)  # all of it ours
    assert not counted.crowded()
    machine(10, 12, 8, 6)  # others 0.6, and as much again was free
    assert not counted.crowded()


def test_a_system_that_does_not_tell_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contention, "STAT", tmp_path / "absent")
    assert describe(Contention().cores()) == ""
    assert not Contention().crowded()

from pathlib import Path

import pytest

from rsseg_edge.bench import power
from rsseg_edge.bench.power import Power, PowerMeter, parse_tegrastats


@pytest.mark.parametrize(
    ("line", "watts"),
    [
        ("RAM 3401/7620MB CPU [12%@1510] GR3D_FREQ 0% VDD_IN 4967mW/4967mW VDD_CPU_GPU_CV 590mW/590mW", 4.967),
        ("GR3D_FREQ 0% VDD_GPU_SOC 3205mW/3205mW VDD_CPU_CV 801mW/801mW VIN_SYS_5V0 4029mW/4029mW", 8.035),
        ("RAM 3401/7620MB CPU [12%@1510]", None),
    ],
)
def test_the_boards_power_is_read_from_tegrastats(line: str, watts: float | None):
    assert parse_tegrastats(line) == (None if watts is None else pytest.approx(watts))


def test_counters_of_the_processor_give_watts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir()
    counter.write_text("1000000")
    clock = iter([10.0, 12.0, 13.0])
    monkeypatch.setattr(power.time, "perf_counter", lambda: next(clock))
    read = power._Rapl([counter])
    counter.write_text("31000000")
    assert read() == pytest.approx(15.0)
    counter.write_text("5")  # full, and started again
    assert read() is None


def test_where_nothing_tells_the_power_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(power.shutil, "which", lambda name: None)
    monkeypatch.setattr(power, "RAPL", tmp_path)
    with PowerMeter() as meter:
        pass
    assert meter.result.watts is None
    assert meter.result.joules(10) is None
    assert "not measured" in meter.result.source


def test_energy_a_frame_is_power_by_rate():
    assert Power(12.0, "a meter", 5.0).joules(120) == pytest.approx(0.5)

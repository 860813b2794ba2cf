"""Power while something runs: by tegrastats on a Jetson, NVML, a processor's RAPL, or the reason why there is none."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.1  # seconds between two readings
RAPL = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Power:
    """What was drawn.

    Attributes:
        watts: mean; None where nothing here tells it.
        source: what told it, or why nothing did.
        seconds: how long it was measured.
    """

    watts: float | None
    source: str
    seconds: float

    def joules(self, frames: int) -> float | None:
        """Energy a frame; None where the power is unknown."""
        return None if self.watts is None or not frames else self.watts * self.seconds / frames


class PowerMeter:
    """Reads the power of the board, card or processor in the background while its block runs.

    Example:
        >>> with PowerMeter() as meter:
        ...     job.run()
        >>> meter.result.joules(frames)
    """

    def __init__(self) -> None:
        self._read, self._source = find_reader()
        self._done = threading.Event()
        self._watts: list[float] = []

    def __enter__(self) -> PowerMeter:
        self._begin = time.perf_counter()
        self._thread = threading.Thread(target=self._watch, name="rsseg-power", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(timeout=5)
        seconds = time.perf_counter() - self._begin
        mean = sum(self._watts) / len(self._watts) if self._watts else None
        source = self._source if mean is not None or self._read is None else f"{self._source} gave no reading"
        self.result = Power(mean, source, seconds)

    def _watch(self) -> None:
        while self._read is not None and not self._done.wait(INTERVAL):
            watts = self._read()
            if watts is not None:
                self._watts.append(watts)


def find_reader() -> tuple[Callable[[], float | None] | None, str]:
    """What reads watts here, and its name; or None, and why there is none."""
    if shutil.which("tegrastats"):
        return _tegrastats, "tegrastats, the whole board (VDD_IN)"
    if shutil.which("nvidia-smi") and _nvidia_smi() is not None:
        return _nvidia_smi, "NVML, the card"
    packages = sorted(RAPL.glob("*-rapl:?/energy_uj"))
    if packages and _readable(packages[0]):
        return _Rapl(packages), "RAPL, the processor's packages"
    return None, "not measured: neither tegrastats, nor an NVIDIA card, nor RAPL counters that may be read"


def parse_tegrastats(line: str) -> float | None:
    """Watts of the whole board in a line of tegrastats, for instance ``... VDD_IN 4967mW/4967mW ...``.

    Boards without VDD_IN (AGX) tell it as the sum of their rails.
    """
    if found := re.search(r"\b(?:VDD_IN|POM_5V_IN) (\d+)(?:mW)?/", line):
        return int(found[1]) / 1000
    rails = re.findall(r"\b(?:VDD_GPU_SOC|VDD_CPU_CV|VIN_SYS_5V0|VDD_GPU|VDD_CPU_SOC_MSS) (\d+)mW/", line)
    return sum(map(int, rails)) / 1000 if rails else None


def _tegrastats() -> float | None:
    process = subprocess.Popen(["tegrastats", "--interval", "100"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        return parse_tegrastats(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def _nvidia_smi() -> float | None:
    command = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
        return float(text.splitlines()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


class _Rapl:
    """Energy counters in microjoules, of every package; they start again from 0 when they are full."""

    def __init__(self, counters: list[Path]) -> None:
        self._counters = counters
        self._last = (time.perf_counter(), self._sum())

    def __call__(self) -> float | None:
        now, energy = time.perf_counter(), self._sum()
        (before, last), self._last = self._last, (now, energy)
        return (energy - last) / 1e6 / (now - before) if energy >= last else None

    def _sum(self) -> int:
        return sum(int(counter.read_text()) for counter in self._counters)


def _readable(path: Path) -> bool:
    try:
        path.read_text()
    except OSError:
        return False
    return True

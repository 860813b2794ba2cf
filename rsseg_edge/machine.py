"""What this machine is, as far as a report names it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    names = (_value(line) for line in _lines() if line.startswith(("model name", "Model")))
    return next(names, platform.processor() or platform.machine())


def has_vnni() -> bool | None:
    """Whether the processor multiplies bytes into 32 bits (VNNI, Arm's dotprod); None where that is not known."""
    return None if _flags() is None else byte_products() is not None


def byte_products() -> str | None:
    """The widest of the processor's instruction sets that multiply bytes into 32 bits, by its name in Linux."""
    return next((name for name in ("avx512_vnni", "avx_vnni", "asimddp") if name in (_flags() or ())), None)


def computes_halves() -> bool:
    """Whether ONNX Runtime calculates in float16 on this processor: on Arm's from version 8.2 on."""
    return "asimdhp" in (_flags() or ()) or (platform.system(), platform.machine()) == ("Darwin", "arm64")


def _flags() -> set[str] | None:
    line = next((_value(line) for line in _lines() if line.startswith(("flags", "Features"))), None)
    return None if line is None else set(line.split())


def _lines() -> list[str]:
    try:
        return _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _value(line: str) -> str:
    return line.partition(":")[2].strip()

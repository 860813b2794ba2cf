"""What this machine is, as far as a report names it."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from contextlib import suppress
from pathlib import Path

STEP = 5
"""Of priority that a thread steps back: it still gets a third of a core that it has to share."""

LARGE = 16 << 20
"""Bytes that are taken from the system and given back to it. To get pages anew takes time: a window has fewer."""

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # of malloc.h
_CPUINFO = Path("/proc/cpuinfo")


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def step_back() -> None:
    """From now on the calling thread leaves the cores to the others of the process.

    A network's threads wait for each other: one that has to share its core holds up all of them.
    """
    if sys.platform == "linux":  # where a thread has a priority of its own
        with suppress(OSError):  # not everywhere is it allowed, and nothing depends on it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + STEP)


def share_heap() -> None:
    """All threads of the process take their memory from one heap, and what is large from none, where the C library is
    glibc.

    Otherwise each thread has a heap of its own, and keeps there what it freed: a tenth of what a scene takes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, LARGE)


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

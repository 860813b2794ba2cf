"""AddressSanitizer and UndefinedBehaviorSanitizer for libraries that Python loads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g1"


def preloaded(compiler: str) -> dict[str, str]:
    """What the environment of a process needs that loads such a library; skips where the compiler has no sanitizers."""
    libraries = [_runtime(compiler, name) for name in ("libasan.so", "libubsan.so")]
    if None in libraries:
        pytest.skip("the compiler has no sanitizer libraries")
    # numpy and ONNX Runtime keep memory until the process ends: leaks are theirs to report.
    return {"LD_PRELOAD": ":".join(filter(None, libraries)), "ASAN_OPTIONS": "detect_leaks=0"}


def _runtime(compiler: str, name: str) -> str | None:
    """Path of a sanitizer's library, which must be loaded before Python's own."""
    found = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    path = Path(found.stdout.strip())
    return str(path) if path.is_absolute() and path.exists() else None

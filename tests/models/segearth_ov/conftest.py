from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[4] / "shared"


@pytest.fixture(scope="session")
def golden() -> Callable[[str], tuple[dict[str, Any], dict[str, Any]]]:
    """Tensors and settings of a golden file by name; skips where the vectors are not beside the checkout."""

    def load(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        path = SHARED / "parity" / f"{name}.safetensors"
        if not path.is_file():
            pytest.skip(f"no golden vectors: {name}.safetensors is not in ../shared/parity")
        safetensors = pytest.importorskip("safetensors")
        with safetensors.safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, {key: json.loads(value) for key, value in file.metadata().items()}

    return load


@pytest.fixture(scope="session")
def official_upsampler() -> Path:
    """The released checkpoint of JBUStack for CLIP; skips where it is not beside the checkout."""
    path = SHARED / "data" / "simfeatup_official" / "clip_jbu_stack_cocostuff.ckpt"
    if not path.is_file():
        pytest.skip("no released weights: ../shared/data/simfeatup_official is absent")
    return path


@pytest.fixture(scope="session")
def relative_error() -> Callable[[Any, Any], float]:
    """Largest difference over the largest expected value; infinite where shapes differ or a NaN appears."""

    def error(got: Any, want: Any) -> float:
        if got.shape != want.shape or not got.isfinite().all():
            return float("inf")
        return float((got - want).abs().max() / want.abs().max())

    return error

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def official_upsampler() -> Path:
    """The released checkpoint of JBUStack for CLIP; skips where it is not beside the checkout."""
    folder = Path(__file__).parents[4] / "shared" / "data" / "simfeatup_official"
    path = folder / "clip_jbu_stack_cocostuff.ckpt"
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

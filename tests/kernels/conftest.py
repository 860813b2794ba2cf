from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[3] / "shared" / "parity"


@pytest.fixture
def golden() -> Callable[[str], tuple[dict[str, Any], dict[str, Any]]]:
    """Tensors and settings of a golden file by name; skips where the vectors are not beside the checkout."""

    def load(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        path = GOLDEN / f"{name}.safetensors"
        if not path.is_file():
            pytest.skip(f"no golden vectors: {name}.safetensors is not in ../shared/parity")
        safetensors = pytest.importorskip("safetensors")
        with safetensors.safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, {key: json.loads(value) for key, value in file.metadata().items()}

    return load

"""Packets and streams of known content."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

VIDEOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"


@pytest.fixture(scope="session")
def encoder() -> ModuleType:
    """See ``encoder.py``."""
    spec = importlib.util.spec_from_file_location("klv_encoder", Path(__file__).parent / "encoder.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def real_videos() -> Path:
    """The folder of real video with KLV; skips where it is not beside the checkout."""
    if not VIDEOS.is_dir():
        pytest.skip("the real videos of ../shared/data/video are not here")
    return VIDEOS

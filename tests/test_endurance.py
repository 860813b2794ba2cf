"""The checks of scripts/ that others repeat, made short."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def told(script: str, *arguments: object) -> dict:
    command = [sys.executable, "-W", "error::SyntaxWarning", str(SCRIPTS / script), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return dict(json.loads(ran.stdout))


@pytest.mark.parametrize("overlay", ["mkv", "mp4"])
def test_every_frame_of_a_file_is_written_once_and_in_order(overlay: str) -> None:
    found = told("soak.py", "--frames", 400, "--overlay", overlay)
    whole = {"frames": 400, "lost": 0, "repeated": 0, "out_of_order": 0}
    names = {"frames.jsonl", f"overlay.{overlay}", "classes.mkv", "classes.coco.json"}
    assert found["written"] == dict.fromkeys(names, whole)
    assert found["memory"]["last_mib"] < 400


def test_a_network_that_is_too_slow_shows_few_frames_and_none_that_is_old() -> None:
    found = told("slow_consumer.py", "--seconds", 4, "--max-lag", 1)
    assert found["age_since_arrival_s"]["largest"] <= 1
    assert found["out_of_order_or_repeated"] == 0
    assert found["shown"] >= 5
    assert found["dropped"]["newer"] > found["shown"] / 2
    assert 0 <= found["on_the_way_at_the_end"] <= 4


@pytest.mark.skipif(
    importlib.util.find_spec("selenium") is None or not shutil.which("chromedriver"),
    reason="no browser without a screen here (pip install selenium; apt install chromium-driver)",
)
def test_the_page_in_a_real_browser(tmp_path: Path) -> None:
    found = told("live_page.py", "--linger", 1, "--screenshot", tmp_path / "page.png")
    assert len(found["steps"]) == 13
    assert found["complaints"] == []
    assert (tmp_path / "page.png").stat().st_size > 20_000

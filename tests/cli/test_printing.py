"""What is printed for people is what was said: rich takes brackets for markup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rsseg_edge.cli.bench import _print

Run = Callable[..., Any]


def test_brackets_are_part_of_a_path(run: Run, write_video: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "out[1]"
    ran = run(write_video(tmp_path / "a.mp4"), "-o", folder)
    assert ran.code == 0
    assert f"frames/s -> {folder}\n" in ran.out


class Little(SimpleNamespace):
    """Figures of which most were not measured."""

    def __getattr__(self, name: str) -> None:
        return None


def test_a_contestant_that_is_absent_names_the_whole_command(capsys: pytest.CaptureFixture[str]) -> None:
    absent = SimpleNamespace(wall={}, absent={"PyTorch eager": "not installed; pip install 'rsseg-edge[train]'"})
    numbers = dict.fromkeys(("together", "together_spread", "together_cpu", "overlap", "load", "first_frame"), 1.0)
    _print(Little(about={}, alone={}, contest=absent, memory=1e6, **numbers))  # type: ignore[arg-type]
    assert "PyTorch eager: not installed; pip install 'rsseg-edge[train]'\n" in capsys.readouterr().out

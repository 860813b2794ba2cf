"""rsseg-run in this process."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rsseg_edge.cli.run import main


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path
) -> Iterator[Callable[..., Ran]]:
    """Runs rsseg-run in this process, into tmp_path/out with the bundle of the tests unless told otherwise."""

    def call(*arguments: object) -> Ran:
        given = [str(a) for a in arguments]
        defaults = [*(["--model", str(bundle)] if "--model" not in given else [])]
        defaults += ["-o", str(tmp_path / "out")] if "-o" not in given else []
        monkeypatch.setattr(sys, "argv", ["rsseg-run", *given, *defaults])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return Ran(int(caught.value.code or 0), captured.out, captured.err)

    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    yield call
    for signum, handler in handlers.items():
        signal.signal(signum, handler)

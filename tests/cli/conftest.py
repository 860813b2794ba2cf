"""rsseg-run, in this process or in one of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rsseg_edge.cli.run import main

# A shell that runs the tests in the background makes them ignore SIGINT, and so would their children.
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from rsseg_edge.cli.run import main; main()"
)


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


@pytest.fixture
def start(bundle: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts rsseg-run in a process, into tmp_path/out with the bundle of the tests; Ctrl-C ends it as from a shell."""
    started: list[subprocess.Popen] = []

    def begin(*arguments: object, **options: Any) -> subprocess.Popen:
        command = [sys.executable, "-I", "-c", COMMAND, *map(str, arguments)]
        command += ["--model", str(bundle), "-o", str(tmp_path / "out")]
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        started.append(subprocess.Popen(command, **given))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()

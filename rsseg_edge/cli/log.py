"""``--log``: events of a run as JSON lines, beside what a terminal shows."""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stdout

from rsseg_edge.cli import say
from rsseg_edge.errors import UsageError
from rsseg_edge.event_log import ROOT, close_log, open_log


class _Terminal(logging.Handler):
    """Warnings as lines on stderr: without a handler Python would show them, and the log's own takes its place."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"warning: {record.getMessage()}")


def start_log(where: str, as_json: bool) -> None:
    """Write events to a file, or ``-`` for standard output, until the process ends.

    Raises:
        UsageError: the file cannot be opened, or standard output is taken.
    """
    if where == "-" and as_json:
        raise UsageError("--log - and --json both go to standard output: give --log a file")
    for handler in ROOT.handlers[:]:
        close_log(handler)
    open_log(where)
    ROOT.addHandler(_Terminal(logging.WARNING))


def beside_log(where: str | None) -> AbstractContextManager[object]:
    """What is printed for people goes to stderr meanwhile, where the log is on stdout."""
    return redirect_stdout(sys.stderr) if where == "-" else nullcontext()

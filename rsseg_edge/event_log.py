"""What happens during a run, as events: a line for people, a JSON object for programs.

Events go to the loggers below ``rsseg_edge`` of Python's logging: their text is the message, their name and numbers are
in ``record.event`` and ``record.fields``. Any handler may take them; :class:`JsonLines` writes one object a line.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from logging.handlers import WatchedFileHandler
from pathlib import Path

from rsseg_edge.errors import UsageError

ROOT = logging.getLogger("rsseg_edge")


def tell(log: logging.Logger, level: int, event: str, text: str, **fields: object) -> None:
    """Tell of an event.

    Args:
        log: of the module.
        level: of :mod:`logging`; warnings are shown on a terminal.
        event: its name in a word or two.
        text: the line for people.
        fields: the stream and numbers, as JSON takes them.
    """
    log.log(level, "%s", text, extra={"event": event, "fields": fields})


class JsonLines(logging.Formatter):
    """One JSON object a record: ``time`` (UTC, ISO 8601), ``level``, ``event``, its fields, and ``text``."""

    def format(self, record: logging.LogRecord) -> str:
        """See :meth:`logging.Formatter.format`."""
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "message"),
            **getattr(record, "fields", {}),
            "text": record.getMessage(),
        }
        return json.dumps(line, ensure_ascii=False, default=str)


class _Quiet:
    """Where a log cannot be written, the run goes on: said once, for a full disk would fill the terminal."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._failed:
            self._failed = True
            print(f"warning: the log cannot be written: {sys.exc_info()[1]}", file=sys.stderr)


class _File(_Quiet, WatchedFileHandler):
    """Appends; goes on in a new file where another program, logrotate say, moved it away."""


class _Stdout(_Quiet, logging.StreamHandler):  # type: ignore[type-arg]
    pass


def open_log(where: str) -> logging.Handler:
    """Write events as JSON lines until :func:`close_log`.

    Args:
        where: a file, which is appended to, or ``-`` for standard output.

    Raises:
        UsageError: the file cannot be opened.
    """
    handler: logging.Handler
    try:
        handler = _Stdout(sys.stdout) if where == "-" else _File(Path(where), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--log {where}: {error.strerror}") from None
    handler.setFormatter(JsonLines())
    ROOT.addHandler(handler)
    ROOT.setLevel(logging.INFO)
    return handler


def close_log(handler: logging.Handler) -> None:
    """Write nothing more."""
    ROOT.removeHandler(handler)
    handler.close()

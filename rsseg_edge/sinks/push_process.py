"""A connection that sends packets to a URL and that can be given up at any moment."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from rsseg_edge.sinks.push_wire import CONNECTED, HEAD, Opening

STALL = 5.0  # seconds in which a connection takes nothing: it is given up
CONNECT = 10.0  # seconds in which it must come about
# Found where this process finds itself, whatever lies in the current folder.
WORKER = "import sys; sys.path[:] = {path!r}; from rsseg_edge.sinks.push_worker import main; sys.exit(main())"
FAREWELL = 2.0  # seconds to end a session in good order


class ConnectionLostError(Exception):
    """Nothing can be sent any more; the message says why."""


class PushProcess:
    """A process of its own, see :mod:`rsseg_edge.sinks.push_worker`.

    Args:
        opening: what it sends where.
        stopped: whether nobody wants it any more; asked while it waits.

    Raises:
        ConnectionLostError: there is no process to be had.
    """

    def __init__(self, opening: Opening, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        try:
            self._process = self._start()
        except OSError as error:
            raise ConnectionLostError(str(error.strerror)) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        try:  # the opening line, with a password that it may hold, is in no list of processes
            self._write(json.dumps(asdict(opening)).encode() + b"\n", CONNECT)
        except ConnectionLostError:
            self.kill()
            raise

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the run, which then ends this one in good order
        )

    def send(self, stream: int, data: bytes, pts: int, duration: int = 0, *, key: bool = True) -> None:
        """A packet, times in ticks.

        Raises:
            ConnectionLostError: it cannot be sent.
        """
        self._write(HEAD.pack(stream, key, pts, duration, len(data)) + data, STALL)

    def wait(self) -> None:
        """Until the first frame is on its way.

        Raises:
            ConnectionLostError: it will not be.
        """
        end = time.monotonic() + CONNECT
        while not select.select([self._output], [], [], 0.1)[0]:
            self._check(end, "it does not answer")
        if os.read(self._output, 1) != CONNECTED:
            raise ConnectionLostError(self._last_words())

    def close(self) -> None:
        """End the session in good order, if it does so in time."""
        process = self._process
        with suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        with suppress(subprocess.TimeoutExpired):
            process.wait(FAREWELL)
        self.kill()

    def kill(self) -> None:
        """End it at once. Safe at any time."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _write(self, data: bytes, patience: float) -> None:
        rest, end = memoryview(data), time.monotonic() + patience
        while rest:
            try:
                rest = rest[os.write(self._input, rest) :]
                end = time.monotonic() + patience
            except BlockingIOError:
                self._check(end, f"nothing was taken for {patience:g} s")
                select.select([], [self._input], [], 0.1)
            except OSError:
                raise ConnectionLostError(self._last_words()) from None

    def _check(self, end: float, why: str) -> None:
        if self._stopped() or time.monotonic() > end:
            raise ConnectionLostError(why)

    def _last_words(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(FAREWELL)
        self._process.kill()
        lines = self._process.stderr.read().decode(errors="replace").strip().splitlines()  # type: ignore[union-attr]
        return lines[-1] if lines else "the connection ended"

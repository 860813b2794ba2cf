"""Standard input for PyAV, whose reading ends when somebody asks for it."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable

from rsseg_edge.errors import RssegError

_TICK = 0.1  # seconds


class StandardInput:
    """A file that PyAV reads. Python's own would wait in a silent pipe through Ctrl-C, and through the end of Python.

    Args:
        waits: told ten times a second that nothing comes, and for how many seconds.

    Raises:
        RssegError: there is none.

    Attributes:
        ended: by :meth:`end`, before the end of what is sent.
        seekable: whether it is a file and no pipe; for PyAV.
    """

    def __init__(self, waits: Callable[[float], None] = lambda seconds: None) -> None:
        if sys.stdin is None:  # Python's word for it
            raise RssegError("standard input is closed")
        self._descriptor, self._waits = sys.stdin.buffer.fileno(), waits
        self._end = threading.Event()
        self._interrupted = False
        self.seekable = sys.stdin.buffer.seekable

    @property
    def ended(self) -> bool:
        return self._end.is_set()

    def read(self, size: int) -> bytes:
        """What is there, at most ``size`` bytes, or what comes next; nothing where it ends."""
        seconds = 0.0
        try:
            while not self.ended:
                if select.select([self._descriptor], [], [], _TICK)[0]:
                    return os.read(self._descriptor, size)
                seconds += _TICK
                self._waits(seconds)
        except KeyboardInterrupt:  # PyAV would drop it and read on
            self._interrupted = True
            self.end()
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Of a file."""
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        """Of a file."""
        return self.seek(0, os.SEEK_CUR)

    def end(self) -> None:
        """Whoever reads gets the end; from any thread."""
        self._end.set()

    def check(self) -> None:
        """To be called where PyAV's reading ended.

        Raises:
            KeyboardInterrupt: Ctrl-C is why.
        """
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

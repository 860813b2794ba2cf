"""KLV on its way from an input to outputs that pass it on."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

MOST = 4096  # pieces of a live input that are kept: some minutes of a metadata stream


@dataclass(frozen=True)
class PassingPiece:
    """What one packet of a data stream carries.

    Attributes:
        time: in seconds: on the video's clock for a file, by ``time.monotonic`` for a live input.
        stream: which data stream, from 0.
        data: its bytes.
    """

    time: float
    stream: int
    data: bytes


class KlvFeed:
    """Pieces in the order of their time; one thread adds, any number of readers take.

    Args:
        streams: how many data streams there are.
        pieces: of a file, all of them; a live input's come by :meth:`add`, and the oldest go.

    Attributes:
        streams: as given.
    """

    def __init__(self, streams: int, pieces: Iterable[PassingPiece] | None = None) -> None:
        self.streams = streams
        self._pieces: deque[PassingPiece] = deque(sorted(pieces, key=lambda p: p.time) if pieces is not None else ())
        self._most = None if pieces is not None else MOST
        self._gone = 0  # pieces before the first that is kept
        self._lock = threading.Lock()

    def add(self, piece: PassingPiece) -> None:
        """Append a piece."""
        with self._lock:
            self._pieces.append(piece)
            if self._most is not None and len(self._pieces) > self._most:
                self._pieces.popleft()
                self._gone += 1

    def take(self, after: int, until: float) -> tuple[list[PassingPiece], int]:
        """Pieces from number ``after`` on whose time is at most ``until``, and the number to go on with."""
        with self._lock:
            at = max(after, self._gone)
            found: list[PassingPiece] = []
            while at - self._gone < len(self._pieces):
                piece = self._pieces[at - self._gone]
                if piece.time > until:
                    break
                found.append(piece)
                at += 1
            return found, at

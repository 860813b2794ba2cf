"""The page as a sink of a run: one page, and a sink for each stream that it shows."""

from __future__ import annotations

import threading

from rsseg_edge.live.address import Address
from rsseg_edge.live.board import Board
from rsseg_edge.live.server import LiveServer
from rsseg_edge.sinks.base import Sink
from rsseg_edge.types import Report, Result


class LivePage:
    """A web page for the streams of a run. It is served from the first :meth:`open` to the last :meth:`close`.

    Args:
        address: where it is served.
        say: told where the page is.

    Attributes:
        boards: what it shows, by the streams' names; at least one before it is opened, and more may come.
    """

    def __init__(self, address: Address, say: Report) -> None:
        self.boards: dict[str, Board] = {}
        self._address, self._say = address, say
        self._server: LiveServer | None = None
        self._users, self._lock = 0, threading.Lock()

    @property
    def url(self) -> str | None:
        """Of the page; None while it is not served."""
        return self._server.url if self._server else None

    def open(self) -> None:
        """Begin to serve.

        Raises:
            RssegError: the port is taken.
        """
        with self._lock:
            if self._server is None:
                self._server = LiveServer(self._address, self.boards)
                self._say(f"live: {self._server.url}" + ("?token=..." if self._address.token else ""))
            self._users += 1

    def close(self) -> None:
        """Stop serving, where nobody else who opened it is left."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._server is not None:
                self._server.close()
                self._server = None


class LiveView(Sink):
    """Shows every frame of a stream on a page.

    Args:
        page: is served while this is open.
        name: of the stream.
        board: the stream's, added to the page.
    """

    def __init__(self, page: LivePage, name: str, board: Board) -> None:
        self.board = page.boards[name] = board
        self._page, self._open = page, False

    def open(self) -> None:
        """Begin to serve; see :meth:`LivePage.open`."""
        self._page.open()
        self._open = True

    def write(self, result: Result) -> None:
        """Show a frame."""
        self.board.show(result)

    def close(self) -> None:
        """No frame comes any more."""
        self.discard()

    def discard(self) -> None:
        """No frame comes any more."""
        self.board.end()
        if self._open:
            self._open = False
            self._page.close()

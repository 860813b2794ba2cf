"""The page as a sink of a run."""

from __future__ import annotations

from rsseg_edge.live.address import Address
from rsseg_edge.live.board import Board
from rsseg_edge.live.server import LiveServer
from rsseg_edge.sinks.base import Sink
from rsseg_edge.types import Report, Result


class LivePage(Sink):
    """Shows every frame on a web page.

    Args:
        address: where it is served.
        board: what it shows.
        say: told where the page is.
    """

    def __init__(self, address: Address, board: Board, say: Report) -> None:
        self.board = board
        self._address, self._say = address, say
        self._server: LiveServer | None = None

    def open(self) -> None:
        """Begin to serve.

        Raises:
            RssegError: the port is taken.
        """
        self._server = LiveServer(self._address, self.board)
        self._say(f"live: {self._server.url}" + ("?token=..." if self._address.token else ""))

    @property
    def url(self) -> str | None:
        """Of the page; None while it is not served."""
        return self._server.url if self._server else None

    def write(self, result: Result) -> None:
        """Show a frame."""
        self.board.show(result)

    def close(self) -> None:
        """Stop serving."""
        self.discard()

    def discard(self) -> None:
        """Stop serving."""
        self.board.end()
        if self._server is not None:
            self._server.close()
            self._server = None

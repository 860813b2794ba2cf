"""The page's server: a handful of paths on this machine's loopback, or behind a token."""

from __future__ import annotations

import json
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rsseg_edge.errors import RssegError
from rsseg_edge.live.address import COOKIE, Address
from rsseg_edge.live.board import Board

FOLDER = Path(__file__).parent
FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
LONGEST = 4096  # bytes of what may be typed
BOUNDARY = "frame"
POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class LiveServer:
    """Serves a board until it is closed.

    Args:
        address: where.
        board: what.

    Attributes:
        url: of the page; without the token.

    Raises:
        RssegError: the port is taken, or not this machine's.
    """

    def __init__(self, address: Address, board: Board) -> None:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        server = type("Server", (ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
        handler = type("Handler", (_Handler,), {"address": address, "board": board})
        try:
            self._server: ThreadingHTTPServer = server((address.host, address.port), handler)
        except OSError as error:
            raise RssegError(f"--live: cannot listen on {address.host}:{address.port} ({error.strerror})") from None
        host = f"[{address.host}]" if ":" in address.host else address.host
        self.url = f"http://{host}:{self._server.server_address[1]}/"
        Thread(target=self._server.serve_forever, name="rsseg-live", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    address: Address
    board: Board
    timeout = 20  # seconds that a client may say or take nothing

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        token = query.get("token", [None])[0]
        if not self._is_admitted(token):
            return
        if url.path in FILES:
            name, kind = FILES[url.path]
            self._send((FOLDER / name).read_bytes(), f"{kind}; charset=utf-8", token)
        elif url.path == "/state":
            self._send(json.dumps(self.board.state()).encode(), "application/json")
        elif url.path == "/metrics":
            self._send(self.board.metrics().encode(), "text/plain; version=0.0.4; charset=utf-8")
        elif url.path == "/video":
            self._stream(frozenset(query.get("hide", [])))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if not self._is_admitted(None):
            return
        # A form of another site cannot set this header without asking first, which nothing here answers.
        if self.headers.get("X-Requested-With") != "rsseg" or urlsplit(self.path).path != "/ask":
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        given = self.headers.get("Content-Length") or ""
        length = int(given) if given.isdecimal() else 0
        if not 0 < length <= LONGEST:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        text = self.rfile.read(length).decode("utf-8", "replace")
        self._send(json.dumps(self.board.ask(text)).encode(), "application/json")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line a picture would bury the run's own."""

    def _is_admitted(self, token: str | None) -> bool:
        if not self.address.admits_host(self.headers.get("Host")):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "open this page as localhost")
            return False
        if not self.address.admits_token(token, self.headers.get("Cookie")):
            self.send_error(HTTPStatus.UNAUTHORIZED, "add ?token=... to the address")
            return False
        return True

    def _send(self, body: bytes, kind: str, token: str | None = None) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        if token is not None:
            self.send_header("Set-Cookie", f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, hidden: frozenset[str]) -> None:
        """Pictures until the client goes; always the newest, so that a slow one misses some and none is late."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        number = 0
        try:
            while not self.board.ended:
                found = self.board.picture(number, hidden)
                if found is None:
                    continue
                number, data = found
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
        except OSError:
            pass  # the page was closed
        self.close_connection = True

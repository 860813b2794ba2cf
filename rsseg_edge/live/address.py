"""Where the page is served, and who may see it."""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from rsseg_edge.errors import UsageError

COOKIE = "rsseg_token"
LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Address:
    """Where to listen.

    Attributes:
        host: an address of this machine.
        port: 0 takes a free one.
        token: what a browser has to know; None lets everyone in who can connect.
    """

    host: str
    port: int
    token: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return _is_loopback(self.host)

    def admits_host(self, header: str | None) -> bool:
        """Whether a request's Host names this machine.

        A page of another site that points its own name at 127.0.0.1 (DNS rebinding) sends that name. With a token it
        would need that as well, and any name of this machine is good.
        """
        if self.token is not None:
            return True
        name = (header or "").rsplit(":", 1)[0] if not (header or "").endswith("]") else header or ""
        return name == "localhost" or _is_loopback(name.strip("[]"))

    def admits_token(self, query: str | None, cookies: str | None) -> bool:
        """Whether the token of the address or of the browser's cookie is right; compared in constant time."""
        if self.token is None:
            return True
        try:
            kept = SimpleCookie(cookies or "").get(COOKIE)
        except CookieError:
            kept = None
        given = query if query is not None else (kept.value if kept else "")
        return hmac.compare_digest(given.encode(), self.token.encode())


def parse_address(text: str, token: str | None) -> Address:
    """``8080``, ``:8080``, ``HOST:8080`` or ``[::]:8080``.

    Raises:
        UsageError: no port, or a host that others can reach without a token.
    """
    host, _, port = text.removeprefix("live://").rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--live {text}: a port, or HOST:PORT, for instance 8080 or 0.0.0.0:8080")
    if token is not None and not re.fullmatch(r"[A-Za-z0-9._~-]{8,}", token):
        raise UsageError("--token: at least 8 letters, digits and -._~, which addresses and cookies take as they are")
    address = Address(host.strip("[]") or LOCAL, int(port), token)
    if not address.is_local and token is None:
        raise UsageError(
            f"--live {text} is reached by others: give --token SECRET, which the page then needs, or leave the host out"
        )
    return address


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Who may speak with the studio's server: a token once, a cookie from then on, its own name and origin, nothing else.

In: HTTP requests and WebSocket handshakes. Out: the same, passed on with headers that let a page load and do no more
than it needs; or a refusal. May not know: sessions, queries, or what the routes answer.

A page of another site can send requests to a server on this machine. It cannot read the token, its cookie is not sent
(SameSite=Strict), its Origin is not ours, and a name of its own that it has pointed at this machine (DNS rebinding) is
not ours either.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("0.0.0.0", "::")
_READING = ("GET", "HEAD")

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Keys:
    """What one server lets in: the token of its first address, the cookie that it gives for it, the host and the port
    on which it listens."""

    host: str
    port: int
    token: str = field(default_factory=_secret, repr=False)
    cookie: str = field(default_factory=_secret, repr=False)

    @property
    def cookie_name(self) -> str:
        """Cookies do not know ports: two studios on one machine need two names."""
        return f"ialgebra-studio-{self.port}"

    @property
    def address(self) -> str:
        """Where the page is, without the token."""
        host = "127.0.0.1" if self.host in _EVERYWHERE else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def url(self) -> str:
        """The first address, with the token."""
        return f"{self.address}?token={self.token}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    def knows_host(self, header: str | None) -> bool:
        """Whether a Host header names this server: not so the name of a stranger that leads here."""
        host, port = _parted(header or "")
        if host is None or port != self.port:
            return False
        if host == self.host.lower():
            return True
        if self.loopback:
            return host in _LOOPBACK
        # Another machine may call this one by its addresses, or by its own name; a rebinding attack needs a name.
        return _is_address(host) or host in (*_LOOPBACK, socket.gethostname().lower())

    def holds_cookie(self, headers: Headers) -> bool:
        """Whether a request carries the cookie."""
        given = [
            cookie_parser(each).get(self.cookie_name, "") for each in headers.getlist("cookie")
        ]  # HTTP/2 may split them
        return any(_same(each, self.cookie) for each in given)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and no other can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class DoorGuard:
    """Lets requests through to `app` that come from the server's own page."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if refusal is None:
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})  # before it is accepted: a 403
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answered[name] = value
                answered["Content-Security-Policy"] = _policy(headers.get("host", ""))
            await send(message)

        if refusal is None and (given := self._token(scope)) is not None:
            await self._entered(given)(scope, receive, guarded)
        elif refusal is None:
            await self._app(scope, receive, guarded)
        else:
            await refusal(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        """The answer to a request that is not from the page; None to one that is, or that brings a token."""
        if scope["type"] == "http" and scope["method"] not in _READING:
            return PlainTextResponse("only GET", 405, {"Allow": ", ".join(_READING)})
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._keys.knows_host(hosts[0]):
            return PlainTextResponse("this server does not go by that name", 403)
        origins = headers.getlist("origin")
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return PlainTextResponse("this server answers its own page only", 403)
        if scope["type"] == "websocket" and not origins:  # which every browser sends
            return PlainTextResponse("a page says where it comes from", 403)
        if not self._keys.holds_cookie(headers) and (scope["type"] == "websocket" or self._token(scope) is None):
            return PlainTextResponse(
                "This page needs its token: open the address that `ialgebra studio` printed, or con.studio().", 403
            )
        return None

    def _token(self, scope: Scope) -> str | None:
        """The token of the address, where one stands."""
        if scope["path"] != "/":
            return None
        found = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        return None if found is None else found[0]

    def _entered(self, token: str) -> PlainTextResponse | RedirectResponse:
        """The cookie for the right token, and the way to the address without it."""
        if not _same(token, self._keys.token):
            return PlainTextResponse("this is not the token of this server, which may have been started anew", 403)
        entered = RedirectResponse("/", 303)
        entered.set_cookie(self._keys.cookie_name, self._keys.cookie, path="/", httponly=True, samesite="strict")
        return entered


def _policy(host: str) -> str:
    """What a page may load: its own scripts, styles, pictures and socket. Nothing inline, nothing from elsewhere."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            "font-src 'self'",
            f"connect-src 'self' ws://{host}" if _parted(host)[0] is not None else "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


def _parted(header: str) -> tuple[str | None, int]:
    """The host, in small letters, and the port of a Host header; no host, if it is none."""
    host, colon, port = header.lower().rpartition(":")
    if not colon or port.endswith("]"):
        host, port = header.lower(), "80"
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            return None, 0
    elif ":" in host:
        return None, 0
    good = host and port.isascii() and port.isdigit() and all(c.isalnum() or c in ".-:_%" for c in host)
    return (host, int(port)) if good and len(port) <= 5 else (None, 0)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

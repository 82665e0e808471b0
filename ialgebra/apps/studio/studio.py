"""A studio that runs: a socket on this machine, a server in a thread of its own, and the address of its page.

In: a session. Out: `Studio`, which tells its address and can be closed. May not know: routes or messages.
"""

from __future__ import annotations

import html
import os
import socket
import sys
import threading
import webbrowser
from types import TracebackType

import uvicorn

from ...errors import IalgebraError
from ...results.assemble import say
from ...session.session import Session
from .messages import MOST_BYTES
from .opening import Example, first_query
from .security import Keys, is_loopback
from .server import StudioServer
from .workplace import Workplace

_PINGED_EVERY = 20.0  # seconds: a page that does not answer for as long is gone
_CLOSED_WITHIN = 5.0  # seconds
_LOOKED_EVERY = 0.2  # seconds, for Ctrl-C


class Studio:
    """A page for a session, served until it is closed; also a context manager.

    `url` is its first address, with the token that lets a browser in.
    """

    def __init__(
        self, con: Session, *, host: str, port: int, opening: str | None = None, shown: Example | None = None
    ) -> None:
        listening = _listening(host, port)
        self._keys = Keys(host, listening.getsockname()[1])
        if not is_loopback(host):
            say(
                f"the studio listens on {host}, which other machines can reach: who learns its token can ask this "
                "session anything, and what is sent is not encrypted"
            )
        shown = shown or Example({})
        place = Workplace(con, first_query(con) if opening is None else opening, shown.about, shown.afterwards)
        self._pages = StudioServer(place, self._keys)
        config = uvicorn.Config(
            self._pages.app,
            log_config=None,
            access_log=False,
            lifespan="on",
            proxy_headers=False,  # what a header says of where a request comes from is not believed
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=MOST_BYTES,
            ws_ping_interval=_PINGED_EVERY,
            ws_ping_timeout=_PINGED_EVERY,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name="ialgebra-studio", daemon=True
        )
        self._thread.start()

    def __repr__(self) -> str:
        return f"Studio at {self.url}" if self.open else "Studio, closed"

    def _repr_html_(self) -> str:
        url = html.escape(self.url, quote=True)
        return f'<a href="{url}" target="_blank" rel="noreferrer">{url}</a>' if self.open else "Studio, closed"

    def __enter__(self) -> Studio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Its address, with the token."""
        return self._keys.url

    @property
    def open(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def browse(self) -> bool:
        """Show the page in the user's browser; False where there is none with a window."""
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            return False  # or a browser for terminals would take this one
        return webbrowser.open(self.url)

    def wait(self) -> None:
        """Return when it is closed; Ctrl-C raises KeyboardInterrupt as usual."""
        while self._thread.is_alive():
            self._thread.join(_LOOKED_EVERY)

    def close(self) -> None:
        """Stop serving, and give up what runs for its pages; the session stays open."""
        self._pages.stop()
        self._server.should_exit = True
        self._thread.join(_CLOSED_WITHIN)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that accepts connections; IalgebraError for a host or a port that cannot be had."""
    if not 0 <= port < 1 << 16:
        raise IalgebraError(f"{port} is no port; ports are 1 to 65535, and 0 takes a free one")
    if not host:
        raise IalgebraError("the host is empty, which means every network; say 0.0.0.0, or 127.0.0.1 for this machine")
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(address, family=family)
    except OSError as cause:
        raise IalgebraError(f"cannot listen on port {port} of '{host}': {_reason(cause)}") from cause
    except ValueError as cause:  # such as a null character
        raise IalgebraError(f"'{host}' is no name of a host") from cause


def _reason(cause: OSError) -> str:
    if isinstance(cause, socket.gaierror):
        return "there is no such host; leave the host out, or give 127.0.0.1"
    if isinstance(cause, PermissionError):
        return "this user may not; ports from 1024 on, or 0 for a free one, may be had"
    in_use = "it is taken, perhaps by another studio; give another port, or 0 for a free one"
    return in_use if "in use" in (cause.strerror or "") else cause.strerror or str(cause)

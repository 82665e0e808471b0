"""The studio's server: a page, its assets, files to fetch, and a WebSocket for each page.

In: HTTP requests and messages that `security` let through. Out: files, and the messages of `clients`. A message
that means nothing is answered by a problem; nothing that a page sends ends the server. May not know: what a query is.
"""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
from collections import OrderedDict
from collections.abc import AsyncIterator
from importlib import resources

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from ...errors import IalgebraError
from .clients import StudioClient
from .messages import hello, json_text, problem, request
from .outbox import TooSlow
from .security import DoorGuard, Keys
from .workplace import Workplace

TAKEN_OVER, CLOSING, TOO_SLOW = 4001, 4000, 1013  # why a socket is closed
_MOST_CLIENTS = 256  # pages that are remembered; those that have gone longest are forgotten first
_REFRESHED = 1.0  # seconds after which the catalog is compared with what pages know

_EMPTY_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>ialgebra studio</title>"
    "<body data-state=idle><p>The page has not been built: run `make page` in the repository.</p></body></html>"
)


class StudioServer:
    """The pages of one session, and the ASGI application that serves them."""

    def __init__(self, place: Workplace, keys: Keys) -> None:
        self._place = place
        self._clients: OrderedDict[str, StudioClient] = OrderedDict()
        self._sockets: set[WebSocket] = set()
        self._sending: dict[StudioClient, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        routes = [
            Route("/", self._index),
            Route("/assets/{name}", self._asset),
            Route("/export/{name}", self._export),
            WebSocketRoute("/ws", self._socket),
        ]
        self.app: ASGIApp = DoorGuard(Starlette(routes=routes, lifespan=self._lifespan), keys)

    async def _index(self, request: Request) -> Response:
        found = _asset("index.html")
        return Response(_EMPTY_PAGE if found is None else found, media_type="text/html")

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = _asset(name)
        if found is None:
            return PlainTextResponse("not found", 404)
        return Response(found, media_type=mimetypes.guess_type(name)[0] or "application/octet-stream")

    async def _export(self, request: Request) -> Response:
        file = self._place.exports.get(request.path_params["name"])
        if file is None:
            return PlainTextResponse("not found", 404)
        headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
        return Response(file.content, media_type=file.media_type, headers=headers)

    async def _socket(self, socket: WebSocket) -> None:
        """One page, from its hello until it goes."""
        await socket.accept()
        self._sockets.add(socket)
        client: StudioClient | None = None
        try:
            while True:
                message = await socket.receive()
                if message["type"] != "websocket.receive":
                    break
                raw = message.get("text")
                try:
                    asked = request(raw if raw is not None else message.get("bytes") or b"")
                    if client is None and asked.type == "hello":
                        came = hello(asked)
                        client = await self._taken(came.client, socket)
                        await client.hello(came)
                    elif client is None:
                        raise IalgebraError("say hello first")
                    elif asked.type == "hello":
                        raise IalgebraError("this page has said hello already")
                    elif client.socket is not socket:
                        break
                    else:
                        await client.handle(asked)
                except IalgebraError as error:
                    if client is None:
                        await socket.send_text(json_text(problem(error)))
                    else:
                        client.sender.put(problem(error))
        except TooSlow:
            await _close(socket, TOO_SLOW)
        except (WebSocketDisconnect, RuntimeError):  # gone, also while it was sent something
            pass
        finally:
            self._sockets.discard(socket)
            if client is not None and client.socket is socket:
                self._stop_sending(client)
                client.socket = None
                client.leave()
                self._forget()

    async def _taken(self, name: str, socket: WebSocket) -> StudioClient:
        """The client of this name, which now has this socket; one that it had before is closed."""
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = StudioClient(name, self._place)
        self._clients.move_to_end(name)
        before, client.socket = client.socket, socket
        if isinstance(before, WebSocket):
            self._stop_sending(client)
            await _close(before, TAKEN_OVER)
        self._sending[client] = asyncio.create_task(self._send(client, socket))
        return client

    def _stop_sending(self, client: StudioClient) -> None:
        task = self._sending.pop(client, None)
        if task is not None:
            task.cancel()

    async def _send(self, client: StudioClient, socket: WebSocket) -> None:
        """Send what waits for a page, for as long as it takes it."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while client.socket is socket:
                for each in await client.sender.next():
                    await (socket.send_text(each) if isinstance(each, str) else socket.send_bytes(each))

    def _forget(self) -> None:
        gone = [name for name, client in self._clients.items() if client.socket is None]
        for name in gone[: max(0, len(self._clients) - _MOST_CLIENTS)]:
            self._clients.pop(name).close()

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        refreshing = asyncio.create_task(self._refresh())
        try:
            yield
        finally:
            refreshing.cancel()
            await self._stop()
            self._place.threads.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Close all sockets, and give up what runs for their pages; may be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError, TimeoutError):  # it ends at the same moment
                asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(1.0)

    async def _stop(self) -> None:
        for client in self._clients.values():
            client.close()
        for socket in tuple(self._sockets):
            await _close(socket, CLOSING)

    async def _refresh(self) -> None:
        """Tell pages of what is registered meanwhile."""
        while True:
            await asyncio.sleep(_REFRESHED)
            for client in tuple(self._clients.values()):
                if client.socket is not None:
                    await client.refresh_catalog()


async def _close(socket: WebSocket, code: int) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code)


def _asset(name: str) -> bytes | None:
    """A file of the page by its own name, without a path; None if there is none."""
    folder = resources.files(__package__) / "assets"
    if not folder.is_dir():
        return None
    return next((each.read_bytes() for each in folder.iterdir() if each.name == name and each.is_file()), None)

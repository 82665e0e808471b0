"""The studio below a notebook's cell: the same page, whose messages go over the notebook's own connection.

In: a session and the first query. Out: a widget of anywidget. What the server does for a page in a browser is done here
by the same client, in an event loop of its own thread, so that maps go on refining while cells run. Where no widget can
be drawn (a notebook that is read as a file), its output is the picture of the answer. May not know: HTTP.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any, cast
from uuid import uuid4

import anywidget

from ...errors import IalgebraError
from ...results.relation import Relation
from ...session.session import Session
from .clients import StudioClient
from .messages import hello, problem, request, unframed
from .outbox import TooSlow
from .workplace import Workplace

_ASSETS = resources.files(__package__) / "assets"
_MOST_OFFERED = 8 << 20  # bytes of a file that is put into a message


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The event loop of all widgets, in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="ialgebra-widgets", daemon=True).start()
    return loop


class StudioWidget(anywidget.AnyWidget):
    """The studio of a session as an output of a cell; several outputs of one widget show the same.

    `con`: the session. `text`: the query that it begins with. `answer`: what a notebook shows of it that runs no
    widgets.
    """

    _esm = (_ASSETS / "studio.js").read_text(encoding="utf-8")
    _css = (_ASSETS / "studio.css").read_text(encoding="utf-8")

    def __init__(self, con: Session, text: str, answer: Relation | None = None) -> None:
        super().__init__()
        self._place = Workplace(con, text)
        self._client = StudioClient(f"notebook-{uuid4().hex}", self._place)
        self._answer = answer
        self._sending: asyncio.Task[None] | None = None
        self._in_turn = asyncio.Lock()  # of messages, which are handled in the order in which they came
        self.on_msg(self._received)

    def close(self) -> None:
        """Give up what runs for it, and take it off the notebook."""
        self._in_loop(self._leave())
        super().close()

    def _received(self, widget: object, content: object, buffers: object) -> None:
        """A message of the page, in the kernel's thread."""
        self._in_loop(self._asked(json.dumps(content)))

    def _in_loop(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, _loop())

    async def _asked(self, raw: str) -> None:
        async with self._in_turn:
            await self._handled(raw)

    async def _handled(self, raw: str) -> None:
        client = self._client
        try:
            asked = request(raw)
            if asked.type == "hello":
                client.socket = self
                await client.hello(replace(hello(asked), since=0))  # each output is a fresh page
                if self._sending is None:
                    self._sending = asyncio.create_task(self._tell_page())
            else:
                await client.handle(asked)
        except TooSlow:
            client.sender.clear()
        except IalgebraError as error:
            with contextlib.suppress(TooSlow):
                client.sender.put(problem(error))

    async def _tell_page(self) -> None:
        """Send what waits for the page."""
        while self._client.socket is self:
            for each in await self._client.sender.next():
                if isinstance(each, bytes):
                    header, arrays = unframed(each)
                    self.send(header, [array.tobytes() for array in arrays.values()])
                else:
                    self.send(self._delivered(json.loads(each)))

    def _delivered(self, message: dict[str, object]) -> Mapping[str, object]:
        """A message as a notebook can use it: files that a server would keep to be fetched are in the message."""
        if message.get("type") != "exported":
            return message
        file = self._place.exports.pop(str(message["href"]).rsplit("/", 1)[-1])
        if len(file.content) > _MOST_OFFERED:
            return problem(
                IalgebraError("this file is too large for a notebook"), cast("int | None", message.get("re"))
            )
        content = base64.b64encode(file.content).decode()
        return message | {"href": f"data:{file.media_type};base64,{content}"}

    async def _leave(self) -> None:
        self._client.socket = None
        self._client.close()
        if self._sending is not None:
            self._sending.cancel()
        self._place.threads.shutdown(wait=False, cancel_futures=True)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget, and beside it the picture, which is shown where no widget can be."""
        made = super()._repr_mimebundle_(**options)
        bundle = made[0] if isinstance(made, tuple) else made
        if bundle is not None and self._answer is not None:
            bundle["text/html"] = self._answer._repr_html_()
        return made

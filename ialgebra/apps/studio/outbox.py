"""What waits to be sent to one page: of each kind of news the latest only, so that a slow page is not behind for long.

In: messages, some of them in a slot. Out: messages, in the order in which they came. A message in a slot takes the
place of one that still waits there; answers to requests have no slot, and a page that never reads them is given up. May
not know: sockets, or what messages say.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TypeAlias

from .frames import AnswerFrame
from .messages import Said

Outgoing: TypeAlias = Said | AnswerFrame

_MOST_WAITING = 512  # messages


class TooSlow(Exception):
    """A page asks and asks, and reads no answers."""


class Outbox:
    """The messages that wait for one page. It is used in one event loop."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[object, tuple[str | None, Outgoing]] = OrderedDict()
        self._some = asyncio.Event()
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Outgoing, slot: str | None = None) -> None:
        """Add a message at the end; TooSlow if too many wait."""
        if slot is not None:
            self._waiting.pop(slot, None)
        elif len(self._waiting) >= _MOST_WAITING:
            raise TooSlow
        self._number += 1
        self._waiting[slot if slot is not None else self._number] = slot, message
        self._some.set()

    def drop(self, slot: str) -> None:
        """Forget what waits in a slot."""
        self._waiting.pop(slot, None)

    async def take(self) -> tuple[str | None, Outgoing]:
        """The message that waits longest, with its slot; waits for one."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        return self._waiting.popitem(last=False)[1]

    def clear(self) -> None:
        """Forget all that waits."""
        self._waiting.clear()

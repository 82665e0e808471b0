"""The messages of one page, numbered, so that a page that comes back is sent what it missed and no more.

In: messages, some of them in a slot. Out: texts and bytes for the socket that the page has now. Parts that the page
does not have yet come before the message that names them. May not know: sockets, or what messages say.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from .frames import AnswerFrame
from .messages import frame, json_text
from .outbox import Outbox, Outgoing

_KNOWN_KEYS = 64  # parts that a page is taken to have still
_NOT_SENT = 2**62  # in the place of a serial


class Sender:
    """What is sent to one page. It is used in one event loop."""

    def __init__(self) -> None:
        self._outbox = Outbox()
        self._serial = 0
        self._known: OrderedDict[str, int] = OrderedDict()  # keys of parts → the serials with which they were sent
        self._latest: OrderedDict[str, tuple[int, Outgoing]] = OrderedDict()  # by slot, as they were sent

    def begin(self, since: int) -> None:
        """A page comes that has seen the messages up to a serial; 0 has seen none. What waits is forgotten."""
        for key in [key for key, serial in self._known.items() if serial > since or not since]:
            del self._known[key]
        self._outbox.clear()

    def again(self, slots: Sequence[str], since: int) -> None:
        """Send the latest news of these slots that a page has not seen."""
        for slot in slots:
            serial, message = self._latest.get(slot, (0, {}))
            if serial > since or (message and not since):
                self._outbox.put(message, slot)

    def put(self, message: Outgoing) -> None:
        """Send an answer; TooSlow if too many wait."""
        self._outbox.put(message)

    def news(self, message: Outgoing, slot: str) -> None:
        """Send news, which take the place of older news in the slot, and are kept for a page that comes back."""
        self._outbox.put(message, slot)
        self._keep(message, slot)

    def answer(self, message: Outgoing, kept: Outgoing, slot: str) -> None:
        """Send an answer that is news too: what waits in the slot is dropped, and `kept` is for a page that comes
        back. TooSlow if too many wait."""
        self._outbox.drop(slot)
        self._outbox.put(message)
        self._keep(kept, slot)

    def clear(self) -> None:
        """Forget what waits."""
        self._outbox.clear()

    async def next(self) -> list[str | bytes]:
        """What is to be sent now; waits for it."""
        slot, message = await self._outbox.take()
        if not isinstance(message, AnswerFrame):
            self._sent(slot, message)
            return [json_text({**message, "serial": self._serial})]
        sent: list[str | bytes] = []
        for part in message.parts:
            if part.key in self._known:
                continue
            self._serial += 1
            self._known[part.key] = self._serial
            while len(self._known) > _KNOWN_KEYS:
                self._known.popitem(last=False)
            sent.append(frame({**part.header, "key": part.key, "serial": self._serial}, part.arrays))
        self._sent(slot, message)
        sent.append(frame({**message.header, "serial": self._serial}, message.arrays))
        return sent

    def _keep(self, message: Outgoing, slot: str) -> None:
        self._latest.pop(slot, None)
        self._latest[slot] = _NOT_SENT, message

    def _sent(self, slot: str | None, message: Outgoing) -> None:
        self._serial += 1
        if slot is not None and self._latest[slot][1] is message:
            self._latest[slot] = self._serial, message

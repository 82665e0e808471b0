"""Panels: parts of the page that other rooms add, each with its own messages and its place.

In: a `StudioPanel`, registered once. Out: what the catalog tells of panels, and answers to their messages. A panel is
a name, a title, where it stands, and a function from a message to an answer; its other half is a module of the page's
sources that registers under the same name. May not know: sockets, or any panel in particular.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ...errors import BindError, did_you_mean
from ...results.relation import Relation
from ...session.session import Session
from ...session.submitted import Submitted
from .frames import AnswerFrame
from .messages import Said


@dataclass(frozen=True)
class SeenPage:
    """What a page shows when a panel is asked: the session, the query, and its answer so far.

    `ask` asks the session a question beside the page's own one and waits for its last answer. It raises what the
    session raises, and CancelledError where the page asks the panel anew, or leaves.
    """

    con: Session
    text: str
    answer: Relation | None
    ask: Callable[[str], Relation]


PanelAnswer: TypeAlias = Said | AnswerFrame
"""What a panel answers: plain values; or a frame, with arrays and the pictures and players that it names."""


@dataclass(frozen=True)
class StudioPanel:
    """One panel. `place` is 'side' (below the inputs), 'beside' (right of the stage) or 'below' (below the stage).
    `told` is what the catalog says of it beside its name, such as the names that it offers; `answer` is called in a
    thread of its own, and what it raises is shown as a problem. Of the messages of one panel that say the same `do`, a
    later one takes the place of one that is not answered yet."""

    name: str
    title: str
    place: Literal["side", "beside", "below"]
    answer: Callable[[SeenPage, Said], PanelAnswer]
    told: Callable[[Session], Said] = lambda con: {}


PANELS: Final[dict[str, StudioPanel]] = {}
"""The registered panels, by name, in the order in which the page shows them."""


def register(panel: StudioPanel) -> None:
    """Add a panel to all pages; BindError for a name that is taken."""
    if panel.name in PANELS:
        raise BindError(f"there is a panel '{panel.name}' already; give another name")
    PANELS[panel.name] = panel


def told(con: Session) -> list[Said]:
    """What the catalog tells of all panels."""
    return [
        {**panel.told(con), "name": panel.name, "title": panel.title, "place": panel.place} for panel in PANELS.values()
    ]


def answered(name: str, page: SeenPage, message: Said) -> PanelAnswer:
    """The answer of a panel to a message; BindError for a panel that is not there."""
    if name not in PANELS:
        raise BindError(f"there is no panel '{name}'{did_you_mean(name, PANELS)}")
    return PANELS[name].answer(page, message)


class PanelQuestions:
    """The questions that a panel asks to answer one message, from its own thread; `end`, from any thread, gives up the
    one that runs and all that would follow."""

    def __init__(self, submit: Callable[[str], Submitted]) -> None:
        self._submit = submit
        self._running: Submitted | None = None
        self._over = False

    def ask(self, text: str) -> Relation:
        """The last answer to a text."""
        self._running = self._submit(text)
        if self._over:  # also where `end` came between
            self._running.cancel()
            raise CancelledError
        return self._running.result()

    def end(self) -> None:
        self._over = True
        if self._running is not None:
            self._running.cancel()

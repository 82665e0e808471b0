"""What a gesture meets and what it may make: a page's query with its controls, and drafts of another query.

In: a gesture as the page sends it. Out: what it names, checked against the catalog; drafts. May not know: any gesture
in particular.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ....algebra.windows import Window
from ....catalog.catalog import Catalog
from ....catalog.inputs import Entry
from ....errors import BindError, did_you_mean
from ....language import tree
from ....system import checks
from ....system.checks import shown
from . import shapes
from .controls import Chosen, Controls, from_controls
from .shapes import NOWHERE

GestureMessage: TypeAlias = Mapping[str, object]
"""A gesture as the page sends it: what to do, and with what."""


@dataclass(frozen=True)
class GestureDraft:
    """A query that a gesture may have meant, what must run before it, the windows that this makes, and what gives them
    their old meaning back."""

    query: tree.Query
    statements: tuple[tree.CreateWindow, ...] = ()
    windows: tuple[tuple[str, Window], ...] = ()
    undo: tuple[str, ...] = ()


@dataclass(frozen=True)
class GesturePage:
    """The query that a gesture meets, and what the controls say of it (None: nothing that they know)."""

    query: tree.Query
    controls: Controls | None
    catalog: Catalog

    @property
    def known(self) -> Controls:
        if self.controls is None:
            raise BindError(
                "the FROM of this query is written in a form of its own, which this control cannot change; change the "
                "text, or start from a model or an input on the left"
            )
        return self.controls

    @property
    def entry(self) -> Entry:
        return self.catalog.input(self.known.input.name)

    def with_controls(self, controls: Controls) -> GestureDraft:
        return GestureDraft(from_controls(self.query, controls))


def known_name(name: object, names: Iterable[str], what: str) -> str:
    if not isinstance(name, str):
        raise BindError(f"a {what} is named by a text, not by {shown(name)}")
    if name not in (known := list(names)):
        raise BindError(f"unknown {what} '{name}'{did_you_mean(name, known)}")
    return name


def chosen_input(gesture: Mapping[str, object], key: str, catalog: Catalog) -> Chosen:
    name = known_name(gesture.get(key), catalog.visible, "input")
    index, count = gesture.get("index"), len(catalog.input(name).elements)
    if index is None:
        return Chosen(name)
    if not catalog.input(name).collection:
        raise BindError(f"'{name}' is one input, no collection, and has no number {shown(index)}")
    return Chosen(name, checks.whole(f"the number of an input of '{name}'", index, 0, count - 1))


def text_or_none(gesture: GestureMessage, key: str, hint: str) -> str | None:
    value = gesture.get(key)
    if value is not None and not isinstance(value, str):
        raise BindError(f"{hint}, not by {shown(value)}")
    return value


def select_item(layer: object, query: tree.Query) -> tree.Item:
    """An item of a select list; it keeps the label that it has."""
    what: tree.StarItem | tree.Number | tree.Name
    if layer == "*":
        what = tree.StarItem(NOWHERE)
    elif isinstance(layer, str):
        what = shapes.named(layer, "a layer")
    else:
        what = shapes.number(checks.whole("a layer", layer, 1), "a layer")
    return next((each for each in query.items if each.what == what), tree.Item(what, None, NOWHERE))

"""Gestures that say where: shapes that are drawn, moved and named, and the part where a map is highest.

In: a gesture, the page's query. Out: a draft with another WHERE, and the statement that makes a window of a name. May
not know: models, edits, rankings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ....algebra.windows import EVERYTHING, Mask, Window
from ....catalog.catalog import Catalog
from ....errors import BindError
from ....language import tree
from ....language.bind.predicates import bind_window
from ....language.reader import parse
from ....language.writer import write
from ....session.names import valid_name
from ....system import checks
from ....system.checks import shown
from . import shapes
from .controls import Controls, from_controls
from .drafts import GestureDraft, GestureMessage, GesturePage
from .shapes import NOWHERE


def window(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    mode = gesture.get("mode", "replace")
    drawn = shapes.several(gesture.get("shapes", ()))
    now = shapes.shapes_of(page.query.where)
    match mode:
        case "replace":
            wanted = drawn
        case "clear":
            wanted = ()
        case "add" | "subtract" | "within":
            more = tuple(replace(each, mode=mode) for each in drawn)
            wanted = (*now, *more) if now and not _done(more, now) else now or more
        case _:
            raise BindError(f"unknown mode of a window {shown(mode)}; it replaces, adds, subtracts, or clears")
    yield GestureDraft(replace(page.query, where=shapes.predicate(wanted)))


def _done(more: tuple[shapes.WindowShape, ...], now: tuple[shapes.WindowShape, ...]) -> bool:
    """Whether the last shapes are these already."""
    return now[-len(more) :] == more or shapes.predicate(now) == shapes.predicate(more)


def move(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    now = list(shapes.shapes_of(page.query.where))
    index = checks.whole("the number of a shape", gesture.get("index"), 0)
    if index >= len(now):
        raise BindError(f"there is no shape {index} to move; the window has {len(now)}")
    said = shapes.described(now[index])
    if not isinstance(at := said.get("at"), list):
        raise BindError(f"a shape of kind '{said['kind']}' has no place; draw a box or a circle, and move that")
    if "at" in gesture:
        to = gesture["at"]
    else:
        match gesture.get("by"):
            case [across, down]:
                by = checks.number("a move", across), checks.number("a move", down)
            case other:
                raise BindError(f"a shape is moved by [columns, rows], not by {shown(other)}")
        to = [each + step for each, step in zip(at, _steps(str(said["kind"]), *by), strict=True)]
    now[index] = shapes.drawn({**said, "at": to})
    yield GestureDraft(replace(page.query, where=shapes.predicate(now)))


def _steps(kind: str, across: float, down: float) -> tuple[float, ...]:
    """How much is added to each number of a shape."""
    match kind:
        case "box":
            return down, across, down, across
        case "circle":
            return down, across, 0
    return across, across


def name(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    where, name = page.query.where, _window_name(gesture.get("name"))
    if where is None:
        raise BindError("there is no window to name; draw one first")
    if where == name:
        yield GestureDraft(page.query)
        return
    query = replace(page.query, where=name)
    window = bind_window(where, page.catalog.windows, None)
    if page.catalog.windows.get(name.value) == window:
        yield GestureDraft(query)
        return
    _check_free(gesture, name.value, page.catalog)
    yield _made(query, name, where, window, page.catalog)


def _window_name(name: object) -> tree.Name:
    return tree.Name(valid_name("window", shapes.named(name, "a window").value), NOWHERE)


def _check_free(gesture: GestureMessage, name: str, catalog: Catalog) -> None:
    """BindError for a window that exists, unless the gesture replaces it."""
    if name in catalog.windows and gesture.get("replace") is not True:
        raise BindError(f"there is a window '{name}' already; choose another name, or drop it first")


def _made(
    query: tree.Query, name: tree.Name, where: tree.Expression | tree.Region, window: Window, catalog: Catalog
) -> GestureDraft:
    """The query after a window was made, or made anew. BindError for one that no statement could make again."""
    exists = name.value in catalog.windows
    undo = window_again(name, catalog)
    if exists and undo is None:
        raise BindError(f"the window '{name.value}' was registered as a mask and would be lost; choose another name")
    statement = tree.CreateWindow(name, where, exists, NOWHERE)
    return GestureDraft(query, (statement,), ((name.value, window),), () if undo is None else (undo,))


def window_again(name: tree.Name, catalog: Catalog) -> str | None:
    """The statement that makes a registered window again; None for one that is not there, or that is a mask which no
    statement makes."""
    match catalog.windows.get(name.value):
        case None | Mask(origin=""):
            return None
        case Mask(origin=body):
            pass
        case window:
            body = window.text
    return f"create or replace window {write(name)} as {body}"


def hottest(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    amount = shapes.number(gesture.get("percent"), "a percentage")
    name, controls = _window_name(gesture.get("name", "hot")), page.known
    if not 0 < amount.value <= 100:
        raise BindError(f"a percentage of the features is more than 0 and at most 100, not {amount.text}")
    region = tree.Region("top", amount, True, _one_map(page, controls), "", NOWHERE)
    query = replace(page.query, where=name)
    made = _region_of(name.value, page.catalog)
    if page.query.where == name:
        if made is None or (made.amount, made.percent) == (amount, True):
            yield GestureDraft(page.query)
            return
        region = replace(made, amount=amount, percent=True)
    elif made == region:
        yield GestureDraft(query)
        return
    if made is None:
        _check_free(gesture, name.value, page.catalog)
    yield _made(query, name, region, EVERYTHING, page.catalog)


def _one_map(page: GesturePage, controls: Controls) -> tree.Query:
    """The query of the one map that is shown, without what it is compared with; of several layers, the last one."""
    several = page.entry.collection and len(page.entry.elements) > 1 and controls.input.index is None
    if several or controls.sweeps:
        raise BindError("the hottest part is that of one map, and this query has one for each input; choose one input")
    alone = replace(controls, pin=None, before_after=False, compare=None)
    return replace(from_controls(page.query, alone), items=(replace(page.query.items[-1], label=None),))


def _region_of(name: str, catalog: Catalog) -> tree.Region | None:
    """What a window was made from, if from an answer."""
    match catalog.windows.get(name):
        case Mask(origin=origin) if origin:
            (statement,) = parse(f"create window w as {origin}")
            if isinstance(statement, tree.CreateWindow) and isinstance(statement.where, tree.Region):
                return statement.where
    return None


def window_for(
    said: object, query: tree.Query, now: tree.Expression | None, what: str
) -> tuple[tree.Expression, tree.Query]:
    """A window that is said; else the one in WHERE, which leaves it; else the present one."""
    if said is not None:
        window = shapes.predicate(shapes.several(said))
        if window is not None:
            return window, query
    elif query.where is not None:
        return query.where, replace(query, where=None)
    elif now is not None:
        return now, query
    raise BindError(f"{what} works on a window; draw one first")

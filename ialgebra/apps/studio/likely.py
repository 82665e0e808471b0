"""What a page asks beside its question: what the models predict for its input, and what is likely to be asked next.

In: the text of a query, the catalog, and what the models predicted. Out: texts. It asks nothing itself. May not know:
sockets, answers, or when its texts are asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...catalog.catalog import Catalog
from ...catalog.inputs import Entry
from ...errors import IalgebraError
from ...language import reader, tree
from ...language.writer import write
from .document import gestures, view
from .messages import Said

_COARSE = 28  # steps of the lattice along a picture's longer side, on which a shape moves while it is dragged
_TILES = 4  # along each side of a window: a window a tile further shares most rows
_CORNERS: Mapping[str, int] = {"box": 4, "circle": 3}


@dataclass(frozen=True)
class ShownInput:
    """The input that a query shows first: its text with all edits, the models that are asked of it, the name that it
    was registered by (None: it is not known), and which element of a collection is meant (None: all)."""

    text: str
    models: tuple[str, ...]
    registered: str | None
    index: int | None


def shown_input(text: str, catalog: Catalog) -> ShownInput | None:
    """What a query shows first; None for a text that is no query, or whose FROM holds views only."""
    try:
        *_, statement = reader.parse(text)
    except IalgebraError:
        return None
    query = statement.query if isinstance(statement, tree.Explain) else statement
    calls = list(_calls(query)) if isinstance(query, tree.Query) else []
    if not calls:
        return None
    first = calls[0].arguments[0]
    models = dict.fromkeys(call.name.value for call in calls if call.arguments[0] == first)
    seen = view.viewed(text, catalog) or {}
    index = seen.get("index")
    return ShownInput(write(first), tuple(models), _registered(first), index if isinstance(index, int) else None)


def _registered(source: tree.Expression) -> str | None:
    """The registered name below the edits of an input."""
    while isinstance(source, tree.CallExpr) and source.arguments:
        source = source.arguments[0]
    return source.value if isinstance(source, tree.Name) else None


def _calls(query: tree.Query) -> Iterator[tree.CallExpr]:
    """The model calls of a FROM, also those of subqueries."""
    for operand in (query.operand, *(joined.operand for joined in query.joins)):
        match operand:
            case tree.CallExpr(arguments=arguments) if arguments:
                yield operand
            case tree.Subquery(query=inner):
                yield from _calls(inner)


def on_lattice(gesture: Said, text: str, catalog: Catalog) -> Said:
    """A gesture while something is dragged, with its shapes on a lattice: equal questions are asked once, and windows a
    step apart share rows."""
    entry = _entry(text, catalog)
    if entry is None or len(entry.shape) != 3:
        return gesture
    step = max(1, max(entry.shape[1:]) // _COARSE)
    if gesture.get("do") == "move":
        shapes, index = (view.viewed(text, catalog) or {}).get("shapes"), gesture.get("index", 0)
        if isinstance(shapes, list) and isinstance(index, int) and 0 <= index < len(shapes):
            moved = _snapped({**shapes[index], "at": gesture.get("at")}, step)
            return {**gesture, **({"at": moved["at"]} if "at" in gesture and isinstance(moved, Mapping) else {})}
    return {name: _snapped(value, step) for name, value in gesture.items()}


def _snapped(value: object, step: int) -> object:
    """A shape, or shapes, with whole steps as coordinates; anything else as it is."""
    if isinstance(value, list):
        return [_snapped(each, step) for each in value]
    if not isinstance(value, Mapping):
        return value
    at, kind = value.get("at"), value.get("kind")
    if not isinstance(at, Sequence) or not isinstance(kind, str) or len(at) != _CORNERS.get(kind):
        return value
    if not all(isinstance(each, int | float) for each in at):
        return value
    snapped = [step * round(each / step) for each in at]
    if kind == "box":  # never empty
        snapped[2], snapped[3] = max(snapped[2], snapped[0] + step), max(snapped[3], snapped[1] + step)
    else:
        snapped[2] = max(snapped[2], step)
    return {**value, "at": snapped}


def next_questions(text: str, catalog: Catalog, runner_up: str | None) -> list[str]:
    """Questions that a hand is likely to ask next: the class that came second, a window a tile further, the next
    input."""
    return list(dict.fromkeys(each for each in _next(text, catalog, runner_up) if each != text))


def _next(text: str, catalog: Catalog, runner_up: str | None) -> Iterator[str]:
    for gesture in _next_gestures(text, catalog, runner_up):
        try:
            change = gestures.changed(gesture, text, catalog)
        except IalgebraError:  # a gesture that means nothing here
            continue
        if not change.statements:
            yield change.text


def _next_gestures(text: str, catalog: Catalog, runner_up: str | None) -> Iterator[Said]:
    seen = view.viewed(text, catalog) or {}
    if runner_up is not None:
        yield {"do": "target", "class": runner_up}
    entry, shapes = _entry(text, catalog), seen.get("shapes")
    last = len(shapes) - 1 if isinstance(shapes, list) else -1
    if isinstance(shapes, list) and shapes and shapes[last].get("kind") == "box":
        top, left, bottom, right = shapes[last]["at"]
        down, across = max(1, (bottom - top) // _TILES), max(1, (right - left) // _TILES)
        rows, columns = (math.inf, math.inf) if entry is None or len(entry.shape) != 3 else entry.shape[1:]
        for x, y in ((across, 0), (-across, 0), (0, down), (0, -down)):
            if top + y >= 0 and left + x >= 0 and bottom + y <= rows and right + x <= columns:
                yield {"do": "move", "index": last, "by": [x, y]}
    if entry is not None and not entry.collection:
        alike = [name for name, each in catalog.visible.items() if each.shape == entry.shape and not each.collection]
        following = alike[(alike.index(entry.name) + 1) % len(alike)]
        yield {"do": "input", "name": following, "index": None}


def _entry(text: str, catalog: Catalog) -> Entry | None:
    """The registered input that a query explains, if the controls know it."""
    name = (view.viewed(text, catalog) or {}).get("input")
    return catalog.visible.get(name) if isinstance(name, str) else None

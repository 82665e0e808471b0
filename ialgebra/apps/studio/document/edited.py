"""Gestures that edit the input before it is explained: parts taken out, moved, turned, put in from another input.

In: a gesture, the page's query. Out: a draft with other edits. Which arguments an edit takes is read from its form, so
that a new edit needs nothing here. May not know: models, rankings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ....algebra.edits import EDITS, EditArgument, InputArgument, WindowArgument, meaningful
from ....algebra.kinds import KINDS
from ....catalog.catalog import Catalog
from ....errors import BindError, did_you_mean
from ....language import tree
from ....language.bind.inputs import SWEEP
from ....system import checks
from ....system.checks import shown
from . import shapes
from .controls import InputEdit, from_controls
from .drafts import GestureDraft, GestureMessage, GesturePage, known_name
from .shapes import NOWHERE
from .windows import window_for


def edit(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    controls, name = page.known, gesture.get("edit")
    if name == "none":
        yield page.with_controls(replace(controls, edits=(), before_after=False))
        return
    if not isinstance(name, str) or name not in EDITS:
        raise BindError(f"unknown edit {shown(name)}{did_you_mean(str(name), EDITS)}")
    if gesture.get("remove") is True:
        left = tuple(each for each in controls.edits if each.name != name)
        yield page.with_controls(replace(controls, edits=left, before_after=controls.before_after and bool(left)))
        return
    query, edit = _made(name, gesture, page)
    if any(each.name == name for each in controls.edits):
        edits = tuple(edit if each.name == name else each for each in controls.edits)
    else:
        edits = (*controls.edits, edit)
    yield GestureDraft(from_controls(query, replace(controls, edits=edits)))


def _made(name: str, gesture: GestureMessage, page: GesturePage) -> tuple[tree.Query, InputEdit]:
    """The edit that a gesture says, and the query, whose window the edit may have taken."""
    kind, form = KINDS[page.entry.kind], EDITS[name]
    wanted = form.arguments(kind)
    if wanted is None:
        legal = ", ".join(meaningful(kind))
        raise BindError(f"{name} means nothing for {kind.article}; it has {legal}")
    given = gesture.get("arguments", [])
    if not isinstance(given, list | tuple):
        raise BindError(f"the arguments of an edit are a list, not {shown(given)}")
    values, query, made = list(given), page.query, list[tree.Expression]()
    now = next((each for each in page.known.edits if each.name == name), None)
    for place, argument in enumerate(wanted):
        if isinstance(argument, WindowArgument):
            window, query = window_for(gesture.get("window"), query, now.arguments[place] if now else None, name)
            made.append(window)
        elif not values:
            raise BindError(f"{form.written(kind)} needs its {argument.name}; the gesture says none")
        else:
            made.append(_argument(argument, values.pop(0), page.catalog))
    if values:
        raise BindError(f"{form.written(kind)} takes no more than that: {shown(values)} is left over")
    return query, InputEdit(name, tuple(made), now.options if now else ())


def _argument(argument: EditArgument, value: object, catalog: Catalog) -> tree.Expression:
    match value:
        case {"steps": [low, high, count]}:
            numbers = tuple(shapes.number(each, f"a number of the steps of {argument.name}") for each in (low, high))
            counted = shapes.number(checks.whole("the number of steps", count, 1, 1000), "the number of steps")
            return tree.CallExpr(tree.Name(SWEEP, NOWHERE), (*numbers, counted), (), NOWHERE)
        case str(name) if isinstance(argument, InputArgument):
            return tree.Name(known_name(name, catalog.visible, "input"), NOWHERE)
        case str(text):
            return tree.Text(text, NOWHERE)
    return shapes.number(value, f"the {argument.name} of an edit")

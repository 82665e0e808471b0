"""Gestures that say which inputs of a collection are shown, in which order, and how exact the answer is.

In: a gesture, the page's query. Out: a draft with other clauses. May not know: models, edits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from ....errors import BindError
from ....language import tree
from ....language.reader import parse_predicate
from ....system import checks
from ....system.checks import shown
from . import shapes
from .controls import Chosen, Controls, fresh, from_controls
from .drafts import GestureDraft, GestureMessage, GesturePage, chosen_input, text_or_none
from .shapes import NOWHERE
from .windows import window_for


def rank(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    query, controls = page.query, page.controls
    if controls is not None and not page.entry.collection and not controls.sweeps:
        raise BindError("only the inputs of a collection have an order; choose a collection")
    if controls is not None and controls.input.index is not None:
        query = replace(query, having=None)  # it chooses the one element
    if "having" in gesture:
        text = text_or_none(gesture, "having", "HAVING is a text such as 'mass(w) > 0.5'")
        query = replace(query, having=None if text is None else parse_predicate(text))
    if "limit" in gesture:
        limit = gesture["limit"]
        least = None if limit is None else shapes.number(checks.whole("a limit", limit, 1), "a limit")
        query = replace(query, limit=least)
    if "by" in gesture:
        query = _sorted(gesture, page, query)
    if controls is None:
        yield GestureDraft(query)
        return
    if query.having is not None or query.order or query.limit is not None:
        whole = Chosen(controls.input.name)
        controls = replace(controls, input=whole, pin=None, before_after=False, compare=None)
    yield GestureDraft(from_controls(query, controls))


_PLAIN_KEYS: Final = ("label", "prediction", "index")
_KEYS: Final = ("distance", "mass", "score", "entropy", *_PLAIN_KEYS)


def _sorted(gesture: GestureMessage, page: GesturePage, query: tree.Query) -> tree.Query:
    """The query sorted by what the gesture says; a window that it is sorted by leaves WHERE."""
    by, of = gesture["by"], gesture.get("of")
    key: tree.Expression
    match by:
        case None:
            return replace(query, order=())
        case "mass":
            window, query = window_for(of, query, _sorted_by("mass", query), "a sort by mass")
            key = _call("mass", window)
        case "distance":
            present = None if of is not None or page.known.pin is not None else _sorted_by("distance", query)
            key = _call("distance", present or _measured_from(of, page))
        case "score":
            key = _call("score", _class(of, page, query))
        case "entropy":
            key = _call("entropy")
        case str(word) if word in _PLAIN_KEYS:
            key = tree.Name(word, NOWHERE)
        case _:
            raise BindError(f"unknown order {shown(by)}; inputs are sorted by {', '.join(_KEYS)}")
    descending = checks.flag("'descending'", gesture.get("descending", False))
    return replace(query, order=(tree.SortKey(key, descending, NOWHERE),))


def _call(name: str, *arguments: tree.Expression) -> tree.Expression:
    return tree.CallExpr(tree.Name(name, NOWHERE), arguments, (), NOWHERE)


def _sorted_by(name: str, query: tree.Query) -> tree.Expression | None:
    """What a function of the first key is given, if that is the function."""
    match query.order:
        case (tree.SortKey(tree.CallExpr(tree.Name(called), (*_, argument), ())), *_) if called.lower() == name:
            return argument
    return None


def _class(of: object, page: GesturePage, query: tree.Query) -> tree.Expression:
    """The class that is said, that is explained, or that the query is sorted by."""
    if of is not None:
        return (
            tree.Text(of, NOWHERE) if isinstance(of, str) else shapes.number(checks.whole("a class", of, 0), "a class")
        )
    said = page.known.option("target") or _sorted_by("score", query)
    if said is None:
        raise BindError("a sort by score is that of a class; choose a class first")
    return said


def _measured_from(of: object, page: GesturePage) -> tree.Expression:
    """The map that distances are measured from: of an input that is said, of the pinned one, else of the element that
    is shown, else of the first."""
    controls = page.known
    if isinstance(of, Mapping):
        chosen = chosen_input(of, "input", page.catalog)
    elif of is None:
        chosen = controls.pin or Chosen(controls.input.name, controls.input.index or 0)
    else:
        raise BindError(f'a distance is measured from an input, {{"input": "x"}}, not from {shown(of)}')
    alone = Controls(controls.model, chosen, (), controls.options)
    return tree.Subquery(from_controls(fresh(controls.model, chosen.name), alone), NOWHERE)


def precision(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    query = page.query
    if "error" in gesture:
        query = replace(query, error=_fraction(gesture["error"], "an error bound"))
        query = query if query.error is not None else replace(query, confidence=None)
    if "confidence" in gesture:
        query = replace(query, confidence=_fraction(gesture["confidence"], "a confidence"))
    if "seconds" in gesture:
        seconds = gesture["seconds"]
        query = replace(query, within=None if seconds is None else shapes.number(seconds, "a number of seconds"))
    if "budget" in gesture:
        budget = gesture["budget"]
        rows = None if budget is None else shapes.number(checks.whole("a budget", budget, 2), "a budget")
        query = replace(query, budget=rows)
    if query.confidence is not None and query.error is None:
        raise BindError("a confidence is that of an error bound; give one, such as 10%")
    if query.within is not None and query.within.value <= 0:
        raise BindError("a query needs some time: more than 0 seconds")
    yield GestureDraft(query)


def _fraction(value: object, what: str) -> tree.Number | None:
    if value is None:
        return None
    fraction = checks.number(what, value)
    if not 0 < fraction <= 1:
        raise BindError(f"{what} is a fraction of at most 1, such as 0.1 for 10%, not {shown(value)}")
    return tree.Number(fraction, "", NOWHERE)

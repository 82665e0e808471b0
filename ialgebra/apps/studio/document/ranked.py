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
    query, controls = page.query, page.known
    if controls.input.index is not None or not page.entry.collection:
        raise BindError("only the inputs of a collection have an order; choose a whole collection")
    if "having" in gesture:
        text = text_or_none(gesture, "having", "HAVING is a text such as 'mass(w) > 0.5'")
        query = replace(query, having=None if text is None else parse_predicate(text))
    if "limit" in gesture:
        limit = gesture["limit"]
        least = None if limit is None else shapes.number(checks.whole("a limit", limit, 1), "a limit")
        query = replace(query, limit=least)
    if "by" in gesture:
        query, controls = _order(gesture, page, query, controls)
    alone = replace(controls, pin=None, before_after=False, compare=None)
    yield GestureDraft(from_controls(query, alone))


_PLAIN_KEYS: Final = ("label", "prediction", "index")
_KEYS: Final = ("distance", "mass", "score", "entropy", *_PLAIN_KEYS)


def _order(
    gesture: GestureMessage, page: GesturePage, query: tree.Query, controls: Controls
) -> tuple[tree.Query, Controls]:
    by, of = gesture["by"], gesture.get("of")
    arguments: tuple[tree.Expression, ...] = ()
    now = _sorted_by(query)
    match by:
        case None:
            return replace(query, order=()), controls
        case "mass":
            present = now.arguments[0] if now is not None and now.name.value == "mass" and now.arguments else None
            window, query = window_for(of, query, present, "a sort by mass")
            arguments = (window,)
        case "distance":
            if of is not None or controls.pin is not None or now is None or now.name.value != "distance":
                arguments = (_measured_from(of, page, controls),)
            else:
                arguments = now.arguments
        case "score":
            said = controls.option("target") if of is None else None
            if said is None and now is not None and now.name.value == "score" and of is None:
                said = now.arguments[0] if isinstance(now.arguments[0], tree.Text | tree.Number) else None
            if said is None and of is None:
                raise BindError("a sort by score is that of a class; choose a class first")
            arguments = (said if said is not None else _class(of),)
        case "entropy":
            pass
        case str(word) if word in _PLAIN_KEYS:
            key: tree.Expression = tree.Name(word, NOWHERE)
        case _:
            raise BindError(f"unknown order {shown(by)}; inputs are sorted by {', '.join(_KEYS)}")
    if by not in _PLAIN_KEYS:
        key = tree.CallExpr(tree.Name(str(by), NOWHERE), arguments, (), NOWHERE)
    descending = checks.flag("'descending'", gesture.get("descending", False))
    return replace(query, order=(tree.SortKey(key, descending, NOWHERE),)), controls


def _sorted_by(query: tree.Query) -> tree.CallExpr | None:
    match query.order:
        case (tree.SortKey(tree.CallExpr() as call), *_):
            return call
    return None


def _class(of: object) -> tree.Expression:
    return tree.Text(of, NOWHERE) if isinstance(of, str) else shapes.number(checks.whole("a class", of, 0), "a class")


def _measured_from(of: object, page: GesturePage, controls: Controls) -> tree.Expression:
    """The map that distances are measured from: of an input that is said, of the pinned one, else of the first."""
    if isinstance(of, Mapping):
        chosen = chosen_input(of, "input", page.catalog)
    elif of is None:
        chosen = controls.pin or Chosen(controls.input.name, 0)
    else:
        raise BindError(f'a distance is measured from an input, {{"input": "x"}}, not from {shown(of)}')
    star = tree.Item(tree.StarItem(NOWHERE), None, NOWHERE)
    plain = replace(fresh(controls.model, chosen.name), items=(star,))
    return tree.Subquery(from_controls(plain, Controls(controls.model, chosen, (), controls.options)), NOWHERE)


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
    if not 0 < fraction < 1:
        raise BindError(f"{what} is a fraction between 0 and 1, such as 0.1 for 10%, not {shown(value)}")
    return tree.Number(fraction, "", NOWHERE)

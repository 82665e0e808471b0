"""Gestures: what a hand does on the page becomes another query text.

In: a gesture as the page sends it, the text of the query, the catalog. Out: the new text, and statements to run once
before it, such as `create window …`. A gesture says what is wanted, so that doing it twice is doing it once (arrow
keys, which move a shape by steps, are the exception). What comes out parses and binds; where that cannot be, the
gesture is refused with a sentence and the text stays. Runs no model, and does not know the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeGuard

from ....catalog.catalog import Catalog
from ....errors import BindError, IalgebraError, did_you_mean
from ....language import tree
from ....language.bind.models import NotKnownYet
from ....language.reader import parse
from ....language.writer import write
from ....system.checks import shown
from . import codes, concepts, edited, explained, ranked, windows
from .controls import controls_of, fresh
from .drafts import GestureDraft, GestureMessage, GesturePage
from .meaning import check_query, said
from .windows import window_again


@dataclass(frozen=True)
class Change:
    """What a gesture wrote: the text of the query; statements to run once, in order, before it is asked; and those that
    give windows their old meaning back, should the gesture be taken back."""

    text: str
    statements: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()


def changed(gesture: GestureMessage, text: str, catalog: Catalog) -> Change:
    """The text after a gesture. Raises an IalgebraError with a plain sentence where the gesture is none, or is
    impossible."""
    if not isinstance(gesture, Mapping) or not isinstance(gesture.get("do"), str):
        raise BindError(f'a gesture is said as {{"do": …}}, not as {shown(gesture)}')
    act = _GESTURES.get(str(gesture["do"]))
    if act is None:
        raise BindError(f"unknown gesture {shown(gesture['do'])}{did_you_mean(str(gesture['do']), _GESTURES)}")
    try:
        return _changed(act, gesture, text, catalog)
    except IalgebraError as error:  # its place is one in a text that the page does not show
        raise type(error)(said(error)) from error


def typed(text: str, catalog: Catalog) -> Change:
    """A text that was asked by hand as one step: its last query is the text of the step, and what stands before it is
    run once. Raises ParseError for a text that is none."""
    *before, last = parse(text)
    if not before or not isinstance(last, tree.Query | tree.Explain | tree.Predict):
        return Change(text)
    statements = tuple(text[slice(*each.span)] for each in before)
    names = [each.name for each in before if isinstance(each, tree.CreateWindow) or _drops_a_window(each)]
    undo = (window_again(name, catalog) for name in reversed(names))
    return Change(text[slice(*last.span)], statements, tuple(each for each in undo if each is not None))


def _drops_a_window(statement: tree.Statement) -> TypeGuard[tree.Drop]:
    return isinstance(statement, tree.Drop) and statement.kind == "window"


def _changed(act: _Act, gesture: GestureMessage, text: str, catalog: Catalog) -> Change:
    before, statement = _last(text, catalog, starts_afresh=act in (explained.model, explained.input))
    query = _query_of(statement)
    assert query is not None
    page = GesturePage(query, controls_of(query, catalog.visible), catalog)
    draft = _first_that_binds(act(gesture, page), page)
    statements = tuple(map(write, draft.statements))
    if draft.query == query and text.strip():
        return Change(text, statements, draft.undo)
    after = replace(statement, query=draft.query) if isinstance(statement, tree.Explain) else draft.query
    return Change(before + write(after), statements, draft.undo)


def _last(text: str, catalog: Catalog, *, starts_afresh: bool) -> tuple[str, tree.Query | tree.Explain]:
    """The last statement of a text, if it is a query, and the text before it. A text that is empty starts as the map of
    the first input; so does one that is no query, for gestures that say what to explain."""
    fault: IalgebraError | None = None
    if text.strip():
        try:
            *_, last = parse(text)
        except IalgebraError as error:
            fault = error
        else:
            if isinstance(last, tree.Query | tree.Explain) and _query_of(last) is not None:
                return text[: last.span.start], last
    if text.strip() and not starts_afresh:
        message = "the text is no query of maps, so this gesture has nothing to change; write one, or choose an input"
        raise BindError(message if fault is None else f"mend the text first: {fault.message}")
    if not catalog.models or not catalog.visible:
        raise BindError("register a model and an input first; a gesture explains one by the other")
    return "", fresh(next(iter(catalog.models)), next(iter(catalog.visible)))


def _query_of(statement: tree.Query | tree.Explain) -> tree.Query | None:
    """The query of a statement; None if it explains something else."""
    query = statement.query if isinstance(statement, tree.Explain) else statement
    return query if isinstance(query, tree.Query) else None


def _first_that_binds(drafts: Iterable[GestureDraft], page: GesturePage) -> GestureDraft:
    """The first draft that changes nothing or means something; the error of the first one where there is none."""
    fault: IalgebraError | None = None
    for draft in drafts:
        if draft.query == page.query:
            return draft
        known = page.catalog.snapshot()
        known.windows.update(draft.windows)
        text = write(draft.query)
        (statement,) = parse(text)
        assert isinstance(statement, tree.Query)
        try:
            check_query(statement, text, known)
        except NotKnownYet:  # a run of the model will tell
            return draft
        except IalgebraError as error:
            fault = fault or error
        else:
            return draft
    assert fault is not None
    raise fault


_Act: TypeAlias = Callable[[GestureMessage, GesturePage], Iterator[GestureDraft]]
_GESTURES: Final[Mapping[str, _Act]] = {
    "model": explained.model,
    "compare": explained.compare,
    "input": explained.input,
    "pin": explained.pin,
    "before after": explained.before_after,
    "target": explained.target,
    "layers": explained.layers,
    "players": explained.players,
    "baseline": explained.baseline,
    "window": windows.window,
    "move": windows.move,
    "name": windows.name,
    "hottest": windows.hottest,
    "edit": edited.edit,
    "axis": codes.axis,
    "mix": codes.mix,
    "counterfactual": codes.counterfactual,
    "keep": codes.keep,
    "end point": codes.end_point,
    "sort": codes.sort,
    "rank": ranked.rank,
    "precision": ranked.precision,
    "concept target": concepts.concept_target,
    "concept window": concepts.concept_window,
}

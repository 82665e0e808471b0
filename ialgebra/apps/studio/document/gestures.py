"""Gestures: what a hand does on the page becomes another query text.

In: a gesture as the page sends it, the text of the query, the catalog. Out: the new text, and statements to run once
before it, such as `create window …`. A gesture says what is wanted, so that doing it twice is doing it once (arrow
keys, which move a shape by steps, are the exception). What comes out parses and binds; where that cannot be, the
gesture is refused with a sentence and the text stays. Runs no model, and does not know the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final, TypeAlias

from ....algebra.edits import EDITS, EditArgument, InputArgument, WindowArgument, meaningful
from ....algebra.kinds import KINDS
from ....algebra.windows import EVERYTHING, Mask, Window, sql_name
from ....catalog.catalog import Catalog
from ....catalog.inputs import Entry
from ....errors import BindError, IalgebraError, did_you_mean
from ....language import tree
from ....language.bind.models import NotKnownYet
from ....language.bind.predicates import bind_window
from ....language.reader import parse, parse_predicate, parse_value
from ....language.writer import write
from ....session.names import valid_name
from ....system import checks
from ....system.checks import shown
from . import shapes
from .controls import Chosen, Controls, InputEdit, controls_of, fresh, from_controls
from .meaning import check_query
from .shapes import NOWHERE

GestureMessage: TypeAlias = Mapping[str, object]
"""A gesture as the page sends it: what to do, and with what."""


@dataclass(frozen=True)
class Change:
    """What a gesture wrote: the text of the query; statements to run once, in order, before it is asked; and those that
    give windows their old meaning back, should the gesture be taken back."""

    text: str
    statements: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Draft:
    """A query that a gesture may have meant, what must run before it, and the windows that this makes."""

    query: tree.Query
    statements: tuple[tree.CreateWindow, ...] = ()
    windows: tuple[tuple[str, Window], ...] = ()


@dataclass(frozen=True)
class _Page:
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

    def with_controls(self, controls: Controls) -> _Draft:
        return _Draft(from_controls(self.query, controls))


def changed(gesture: GestureMessage, text: str, catalog: Catalog) -> Change:
    """The text after a gesture. Raises an IalgebraError with a plain sentence where the gesture is none, or is
    impossible."""
    if not isinstance(gesture, Mapping) or not isinstance(gesture.get("do"), str):
        raise BindError(f'a gesture is said as {{"do": …}}, not as {shown(gesture)}')
    act = _GESTURES.get(str(gesture["do"]))
    if act is None:
        raise BindError(f"unknown gesture '{gesture['do']}'{did_you_mean(str(gesture['do']), _GESTURES)}")
    try:
        return _changed(act, gesture, text, catalog)
    except IalgebraError as error:  # its place is one in a text that the page does not show
        raise type(error)(error.message) from error


def _changed(act: _Act, gesture: GestureMessage, text: str, catalog: Catalog) -> Change:
    before, statement = _last(text, catalog, starts_afresh=act in (_model, _input))
    query = _query_of(statement)
    assert query is not None
    page = _Page(query, controls_of(query, catalog.visible), catalog)
    draft = _first_that_binds(act(gesture, page), page)
    statements = tuple(map(write, draft.statements))
    undo = tuple(_again(each.name.value, catalog) for each in draft.statements if each.replace)
    if draft.query == query and text.strip():
        return Change(text, statements, undo)
    after = replace(statement, query=draft.query) if isinstance(statement, tree.Explain) else draft.query
    return Change(before + write(after), statements, undo)


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


def _first_that_binds(drafts: Iterable[_Draft], page: _Page) -> _Draft:
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


# --- what is explained: models, inputs, what they are compared with


def _model(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    name = _known(gesture.get("name"), page.catalog.models, "model")
    controls = page.controls or Controls(name, _first_input(page))
    controls = replace(controls, model=name, compare=None if controls.compare == name else controls.compare)
    yield from _less_and_less(_Draft(page.query), controls, (_no_target, _no_layers, _no_comparison))


def _compare(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    controls = page.known
    if gesture.get("model") is None:
        yield page.with_controls(replace(controls, compare=None))
        return
    name = _known(gesture.get("model"), page.catalog.models, "model")
    if name == controls.model:
        raise BindError(f"'{name}' is the model that is shown already; compare it with another one")
    yield from _less_and_less(_Draft(page.query), replace(controls, compare=name), (_no_target, _no_layers))


def _input(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    chosen = _chosen(gesture, "name", page.catalog)
    model = page.controls.model if page.controls else next(iter(page.catalog.models))
    controls = page.controls or Controls(model, chosen)
    pin = None if controls.pin == chosen else controls.pin
    controls = replace(controls, input=chosen, pin=pin)
    forgetting = (_no_edits, _no_window, _no_players, _no_pin, _no_ranking, _no_target, _no_layers)
    yield from _less_and_less(_Draft(page.query), controls, forgetting)


def _pin(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    controls = page.known
    if gesture.get("input") is None:
        yield page.with_controls(replace(controls, pin=None))
        return
    chosen = _chosen(gesture, "input", page.catalog)
    if chosen == controls.input:
        raise BindError(f"'{chosen.name}' is the input that is shown already; pin another one")
    yield page.with_controls(replace(controls, pin=chosen, before_after=False))


def _before_after(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    controls, on = page.known, checks.flag("'on'", gesture.get("on"))
    if on and not controls.edits:
        raise BindError("there is no edit to compare with what was before it; edit the input first")
    yield page.with_controls(replace(controls, before_after=on, pin=None if on else controls.pin))


_Forgetting: TypeAlias = Callable[[tree.Query, Controls], tuple[tree.Query, Controls]]


def _less_and_less(draft: _Draft, controls: Controls, forgetting: Sequence[_Forgetting]) -> Iterator[_Draft]:
    """The query with these controls; then without one of the parts that may not fit them; then without more and more
    of these parts."""
    singly = [forget(draft.query, controls) for forget in forgetting]
    together = accumulate(forgetting, lambda left, forget: forget(*left), initial=(draft.query, controls))
    fault: BindError | None = None
    for query, less in dict.fromkeys([(draft.query, controls), *singly, *together]):
        try:
            made = from_controls(query, less)
        except BindError as error:
            fault = fault or error
        else:
            yield replace(draft, query=made)
    if fault is not None:
        raise fault


def _no_target(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return query, controls.with_option("target", None)


def _no_layers(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return replace(query, items=(_item("*", query),)), controls


def _no_comparison(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return query, replace(controls, compare=None)


def _no_edits(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return query, replace(controls, edits=(), before_after=False)


def _no_window(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return replace(query, where=None), controls


def _no_players(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return query, controls.with_option("players", None).with_option("baseline", None)


def _no_pin(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return query, replace(controls, pin=None)


def _no_ranking(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return replace(query, having=None, order=(), limit=None), controls


# --- what is asked of it: classes, layers, players


def _target(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    match gesture.get("class"):
        case None:
            value: tree.ValueExpr | None = None
        case str(name):
            value = tree.Text(name, NOWHERE)
        case other:
            value = shapes.number(checks.whole("a class", other, 0), "a class")
    yield page.with_controls(page.known.with_option("target", value))


def _players(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    if "rows" in gesture or "columns" in gesture:
        numbers = (checks.whole(f"the number of {key}", gesture.get(key), 1, 10_000) for key in ("rows", "columns"))
        text: str | None = "grid({}, {})".format(*numbers)
    else:
        text = _text_or_none(gesture, "text", "players are said by a text such as 'grid(4, 4)'")
    value = None if text is None else parse_value(text)
    yield page.with_controls(page.known.with_option("players", value))


def _baseline(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    text = _text_or_none(gesture, "text", "a baseline is said by a text such as 'blur(9)'")
    value = None if text is None else parse_value(text)
    yield page.with_controls(page.known.with_option("baseline", value))


def _layers(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    layers = gesture.get("layers")
    if not isinstance(layers, list | tuple):
        raise BindError(f'layers are a list such as [6, 12, "*"], not {shown(layers)}')
    items = dict.fromkeys(_item(layer, page.query) for layer in layers or ["*"])
    yield _Draft(replace(page.query, items=tuple(items)))


def _item(layer: object, query: tree.Query) -> tree.Item:
    """An item of a select list; it keeps the label that it has."""
    what: tree.StarItem | tree.Number | tree.Name
    if layer == "*":
        what = tree.StarItem(NOWHERE)
    elif isinstance(layer, str):
        what = shapes.named(layer, "a layer")
    else:
        what = shapes.number(checks.whole("a layer", layer, 1), "a layer")
    return next((each for each in query.items if each.what == what), tree.Item(what, None, NOWHERE))


# --- windows


def _window(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
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
    yield _Draft(replace(page.query, where=shapes.predicate(wanted)))


def _done(more: tuple[shapes.WindowShape, ...], now: tuple[shapes.WindowShape, ...]) -> bool:
    """Whether the last shapes are these already."""
    return now[-len(more) :] == more or shapes.predicate(now) == shapes.predicate(more)


def _move(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
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
    yield _Draft(replace(page.query, where=shapes.predicate(now)))


def _steps(kind: str, across: float, down: float) -> tuple[float, ...]:
    """How much is added to each number of a shape."""
    match kind:
        case "box":
            return down, across, down, across
        case "circle":
            return down, across, 0
    return across, across


def _name(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    where, name = page.query.where, _window_name(gesture.get("name"))
    if where is None:
        raise BindError("there is no window to name; draw one first")
    if where == name:
        yield _Draft(page.query)
        return
    query = replace(page.query, where=name)
    window = bind_window(where, page.catalog.windows, None)
    if page.catalog.windows.get(name.value) == window:
        yield _Draft(query)
        return
    again = _may_replace(gesture, name.value, page.catalog)
    yield _Draft(query, (tree.CreateWindow(name, where, again, NOWHERE),), ((name.value, window),))


def _window_name(name: object) -> tree.Name:
    return tree.Name(valid_name("window", shapes.named(name, "a window").value), NOWHERE)


def _may_replace(gesture: GestureMessage, name: str, catalog: Catalog) -> bool:
    """Whether the window exists; BindError if it may not be replaced."""
    if name in catalog.windows and gesture.get("replace") is not True:
        raise BindError(f"there is a window '{name}' already; choose another name, or drop it first")
    return name in catalog.windows


def _again(name: str, catalog: Catalog) -> str:
    """The statement that makes a registered window again; BindError for one that no statement makes."""
    window = catalog.windows[name]
    if isinstance(window, Mask) and not window.origin:
        raise BindError(f"the window '{name}' was registered as a mask and could not be had back; choose another name")
    body = window.origin if isinstance(window, Mask) else window.text
    return f"create or replace window {sql_name(name)} as {body}"


def _hottest(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    amount = shapes.number(gesture.get("percent"), "a percentage")
    name, controls = _window_name(gesture.get("name", "hot")), page.known
    if not 0 < amount.value <= 100:
        raise BindError(f"a percentage of the features is more than 0 and at most 100, not {amount.text}")
    region = tree.Region("top", amount, True, _one_map(page, controls), "", NOWHERE)
    query = replace(page.query, where=name)
    made = _region_of(name.value, page.catalog)
    if page.query.where == name:
        if made is None or (made.amount, made.percent) == (amount, True):
            yield _Draft(page.query)
            return
        region = replace(made, amount=amount, percent=True)
    elif made == region:
        yield _Draft(query)
        return
    again = name.value in page.catalog.windows if made is not None else _may_replace(gesture, name.value, page.catalog)
    yield _Draft(query, (tree.CreateWindow(name, region, again, NOWHERE),), ((name.value, EVERYTHING),))


def _one_map(page: _Page, controls: Controls) -> tree.Query:
    """The query of the one map that is shown, without what it is compared with; of several layers, the last one."""
    if page.entry.collection and len(page.entry.elements) > 1 and controls.input.index is None:
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


# --- edits


def _edit(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
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
    yield _Draft(from_controls(query, replace(controls, edits=edits)))


def _made(name: str, gesture: GestureMessage, page: _Page) -> tuple[tree.Query, InputEdit]:
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
            window, query = _window_of(gesture.get("window"), query, now.arguments[place] if now else None, name)
            made.append(window)
        elif not values:
            raise BindError(f"{form.written(kind)} needs its {argument.name}; the gesture says none")
        else:
            made.append(_argument(argument, values.pop(0), page.catalog))
    if values:
        raise BindError(f"{form.written(kind)} takes no more than that: {shown(values)} is left over")
    return query, InputEdit(name, tuple(made), now.options if now else ())


def _window_of(
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


def _argument(argument: EditArgument, value: object, catalog: Catalog) -> tree.Expression:
    match value:
        case {"steps": [low, high, count]}:
            numbers = tuple(shapes.number(each, f"a number of the steps of {argument.name}") for each in (low, high))
            counted = shapes.number(checks.whole("the number of steps", count, 1, 1000), "the number of steps")
            return tree.CallExpr(tree.Name("steps", NOWHERE), (*numbers, counted), (), NOWHERE)
        case str(name) if isinstance(argument, InputArgument):
            return tree.Name(_known(name, catalog.visible, "input"), NOWHERE)
        case str(text):
            return tree.Text(text, NOWHERE)
    return shapes.number(value, f"the {argument.name} of an edit")


# --- the multiples' order, and how exact


def _rank(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
    query, controls = page.query, page.known
    if controls.input.index is not None or not page.entry.collection:
        raise BindError("only the inputs of a collection have an order; choose a whole collection")
    if "having" in gesture:
        text = _text_or_none(gesture, "having", "HAVING is a text such as 'mass(w) > 0.5'")
        query = replace(query, having=None if text is None else parse_predicate(text))
    if "limit" in gesture:
        limit = gesture["limit"]
        least = None if limit is None else shapes.number(checks.whole("a limit", limit, 1), "a limit")
        query = replace(query, limit=least)
    if "by" in gesture:
        query, controls = _order(gesture, page, query, controls)
    alone = replace(controls, pin=None, before_after=False, compare=None)
    yield _Draft(from_controls(query, alone))


_PLAIN_KEYS: Final = ("label", "prediction", "index")
_KEYS: Final = ("distance", "mass", "score", "entropy", *_PLAIN_KEYS)


def _order(gesture: GestureMessage, page: _Page, query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    by, of = gesture["by"], gesture.get("of")
    arguments: tuple[tree.Expression, ...] = ()
    now = _sorted_by(query)
    match by:
        case None:
            return replace(query, order=()), controls
        case "mass":
            present = now.arguments[0] if now is not None and now.name.value == "mass" and now.arguments else None
            window, query = _window_of(of, query, present, "a sort by mass")
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


def _measured_from(of: object, page: _Page, controls: Controls) -> tree.Expression:
    """The map that distances are measured from: of an input that is said, of the pinned one, else of the first."""
    if isinstance(of, Mapping):
        chosen = _chosen(of, "input", page.catalog)
    elif of is None:
        chosen = controls.pin or Chosen(controls.input.name, 0)
    else:
        raise BindError(f'a distance is measured from an input, {{"input": "x"}}, not from {shown(of)}')
    star = tree.Item(tree.StarItem(NOWHERE), None, NOWHERE)
    plain = replace(fresh(controls.model, chosen.name), items=(star,))
    return tree.Subquery(from_controls(plain, Controls(controls.model, chosen, (), controls.options)), NOWHERE)


def _precision(gesture: GestureMessage, page: _Page) -> Iterator[_Draft]:
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
    yield _Draft(query)


def _fraction(value: object, what: str) -> tree.Number | None:
    if value is None:
        return None
    fraction = checks.number(what, value)
    if not 0 < fraction < 1:
        raise BindError(f"{what} is a fraction between 0 and 1, such as 0.1 for 10%, not {shown(value)}")
    return tree.Number(fraction, "", NOWHERE)


# --- what gestures name


def _known(name: object, names: Iterable[str], what: str) -> str:
    if not isinstance(name, str):
        raise BindError(f"a {what} is named by a text, not by {shown(name)}")
    if name not in (known := list(names)):
        raise BindError(f"unknown {what} '{name}'{did_you_mean(name, known)}")
    return name


def _chosen(gesture: Mapping[str, object], key: str, catalog: Catalog) -> Chosen:
    name = _known(gesture.get(key), catalog.visible, "input")
    index, count = gesture.get("index"), len(catalog.input(name).elements)
    if index is None:
        return Chosen(name)
    if not catalog.input(name).collection:
        raise BindError(f"'{name}' is one input, no collection, and has no number {shown(index)}")
    return Chosen(name, checks.whole(f"the number of an input of '{name}'", index, 0, count - 1))


def _first_input(page: _Page) -> Chosen:
    return Chosen(next(iter(page.catalog.visible)))


def _text_or_none(gesture: GestureMessage, key: str, hint: str) -> str | None:
    value = gesture.get(key)
    if value is not None and not isinstance(value, str):
        raise BindError(f"{hint}, not by {shown(value)}")
    return value


_Act: TypeAlias = Callable[[GestureMessage, _Page], Iterator[_Draft]]
_GESTURES: Final[Mapping[str, _Act]] = {
    "model": _model,
    "compare": _compare,
    "input": _input,
    "pin": _pin,
    "before after": _before_after,
    "target": _target,
    "layers": _layers,
    "players": _players,
    "baseline": _baseline,
    "window": _window,
    "move": _move,
    "name": _name,
    "hottest": _hottest,
    "edit": _edit,
    "rank": _rank,
    "precision": _precision,
}

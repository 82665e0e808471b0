"""A FROM as the controls of a page know it: a model, an input with its edits, and what it is compared with.

    f(x)                                        a model and an input
    f(rotate(nullify(x, w), 15), target => 3)   with edits, and with options
    … having index = 3                          one element of a collection
    f(x) anti join f(y)                         beside a pinned input
    f(rotate(x, 15)) anti join f(x)             after an edit, and before
    f(each(rotate(x, steps(0, 90, 4)))) anti join f(x)   after each of several edits, and before
    f(x) anti join g(x)                         beside a second model
    f(x, baseline => y) anti join g(x, baseline => y)    how the models differ in telling x from y

In: the syntax tree of a query, and the names of the inputs. Out: `Controls`, or None for a FROM of another form, such
as one with weights or subqueries of its own; and from changed controls a query again. May not know: gestures.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from ....algebra.edits import EDITS, LATENT_EDITS, EditForm
from ....errors import BindError
from ....language import tree
from ....language.bind.inputs import EACH, SWEEP
from ....language.bind.operands import CALL_OPTIONS
from ....language.writer import write
from .shapes import NOWHERE

FORMS: Final[Mapping[str, EditForm]] = {**EDITS, **LATENT_EDITS}
"""The edits that an input may have inside its parentheses, by name."""


@dataclass(frozen=True)
class Chosen:
    """An input by name, or one element of a collection."""

    name: str
    index: int | None = None


@dataclass(frozen=True)
class InputEdit:
    """An edit of the input: what is written after the input inside its parentheses."""

    name: str
    arguments: tuple[tree.Expression, ...]
    options: tuple[tree.OptionExpr, ...] = ()

    @property
    def sweeps(self) -> bool:
        """Whether it is several edits, one a step."""
        values = (*self.arguments, *(each.value for each in self.options))
        return SWEEP in (each.name.value.lower() for each in values if isinstance(each, tree.CallExpr))

    @property
    def fills_up(self) -> bool:
        """Whether it puts the baseline of its model call somewhere."""
        return FORMS[self.name].takes_baseline and not self.options


@dataclass(frozen=True)
class Controls:
    """What a FROM says. Edits are in the order in which they are made; options are those of every operand by their
    names, but a pinned input explains its own class. At most one of `pin` and `before_after` is there."""

    model: str
    input: Chosen
    edits: tuple[InputEdit, ...] = ()
    options: tuple[tree.OptionExpr, ...] = ()
    pin: Chosen | None = None
    before_after: bool = False
    compare: str | None = None

    @property
    def sweeps(self) -> bool:
        """Whether the input stands for one input a step."""
        return any(each.sweeps for each in self.edits)

    def option(self, name: str) -> tree.ValueExpr | None:
        return next((each.value for each in self.options if each.name.value.lower() == name), None)

    def with_option(self, name: str, value: tree.ValueExpr | None) -> Controls:
        """The controls with another value of an option, or without it."""
        return replace(self, options=_with_option(self.options, name, value))


class _Call(NamedTuple):
    """An operand: a model call, and which element of the collection."""

    model: str
    input: Chosen
    edits: tuple[InputEdit, ...]
    options: tuple[tree.OptionExpr, ...]
    each: bool = False  # whether each step of its input is compared by itself


def controls_of(query: tree.Query, inputs: Collection[str]) -> Controls | None:
    """The controls that say what the FROM of a query says; None if there are none. `inputs` are the names that a
    baseline may mean."""
    calls = [_read(operand) for operand in (query.operand, *(joined.operand for joined in query.joins))]
    if any(joined.kind != "anti" or joined.weight is not None for joined in query.joins):
        return None
    match calls:
        case [_Call(each=False) as call]:
            return Controls(call.model, Chosen(call.input.name, _index(query)), call.edits, call.options)
        case [_Call() as call, _Call() as other]:
            return _compared(call, other, inputs)
    return None


def _compared(call: _Call, other: _Call, inputs: Collection[str]) -> Controls | None:
    plain = Controls(*call[:4])
    if other.each or call.each != (plain.sweeps and call.model == other.model):
        return None
    if call.model == other.model:
        if other.edits:
            return None
        if call.edits and other.input == call.input and _same(other.options, call.options):
            return replace(plain, before_after=True)
        pinned = other.input != call.input and _same(other.options, _with_option(call.options, "target", None))
        return replace(plain, pin=other.input) if pinned else None
    if other != call._replace(model=other.model, options=other.options) or not _same(other.options, call.options):
        return None
    plain = replace(plain, compare=other.model)
    baseline = plain.option("baseline")
    single = call.input.index is None and not any(each.fills_up for each in call.edits)
    if single and isinstance(baseline, tree.Name) and baseline.value in inputs:
        if baseline.value != call.input.name:
            return replace(plain.with_option("baseline", None), pin=Chosen(baseline.value))
        if call.edits:
            return replace(plain.with_option("baseline", None), before_after=True)
    return plain


def from_controls(query: tree.Query, controls: Controls) -> tree.Query:
    """The query with the FROM that the controls say, and with the HAVING that takes one element of a collection.

    BindError where a second model and another input cannot be said together.
    """
    calls = _calls(controls)
    having, order, limit = query.having, query.order, query.limit
    if _index(query) is not None or len(calls) > 1 or controls.input.index is not None:
        having, order, limit = None, (), None
    if len(calls) == 1:
        having = having if controls.input.index is None else _is_index(controls.input.index)
        operands: list[tree.Operand] = [_written(calls[0])]
    else:
        operands = [_operand(each) for each in calls]
    joins = tuple(tree.Joined("anti", each, None, NOWHERE) for each in operands[1:])
    return replace(query, operand=operands[0], joins=joins, having=having, order=order, limit=limit)


def _calls(controls: Controls) -> Sequence[_Call]:
    call = _Call(controls.model, controls.input, controls.edits, controls.options)
    against = controls.pin or (controls.input if controls.before_after else None)
    if controls.compare is None:
        if against is None:
            return (call,)
        options = _with_option(call.options, "target", None) if controls.pin else call.options
        return call._replace(each=controls.sweeps), _Call(call.model, against, (), options)
    if against is not None:
        _check_baseline(controls, against)
        call = call._replace(options=_with_option(call.options, "baseline", tree.Name(against.name, NOWHERE)))
    return call, call._replace(model=controls.compare)


def _check_baseline(controls: Controls, against: Chosen) -> None:
    """Beside a second model, the other input is the baseline of both."""
    what = "the pinned input" if controls.pin else "the input before its edits"
    if against.index is not None:
        raise BindError(
            f"beside a second model, {what} is the baseline of both, and one element of a collection cannot be one; "
            "take the second model off first"
        )
    for edit in controls.edits:
        if edit.fills_up:
            raise BindError(
                f"beside a second model, {what} is the baseline of both, with which {edit.name} would fill up the "
                f"input; take the second model or {edit.name} off first"
            )


# --- one operand


def _read(operand: tree.Operand) -> _Call | None:
    match operand:
        case tree.Subquery(tree.Query((tree.Item(tree.StarItem(), None, _),), tree.CallExpr() as inner, ()) as query):
            call, index = _read(inner), _index(query)
            only = replace(query, having=None) == _plain(inner)
            return call._replace(input=Chosen(call.input.name, index)) if call and only and index is not None else None
        case tree.CallExpr(tree.Name(model), (of,), options, _):
            each, edits = False, list[InputEdit]()
            match of:
                case tree.CallExpr(tree.Name(called), (swept,), ()) if called.lower() == EACH:
                    each, of = True, swept
            while isinstance(of, tree.CallExpr) and of.name.value.lower() in FORMS and of.arguments:
                edits.append(InputEdit(of.name.value.lower(), of.arguments[1:], of.options))
                of = of.arguments[0]
            if isinstance(of, tree.Name):
                return _Call(model, Chosen(of.value), tuple(reversed(edits)), options, each)
    return None


def edited_input(name: str, edits: Iterable[InputEdit]) -> tree.Name | tree.CallExpr:
    """An input inside the calls of its edits."""
    of: tree.Name | tree.CallExpr = tree.Name(name, NOWHERE)
    for edit in edits:
        of = tree.CallExpr(tree.Name(edit.name, NOWHERE), (of, *edit.arguments), edit.options, NOWHERE)
    return of


def plain_value(value: tree.Expression | None) -> object:
    """A number, a text or a name as itself; steps as such; anything else as it is written."""
    match value:
        case None:
            return None
        case tree.Number(plain) | tree.Text(plain) | tree.Name(plain):
            return plain
        case tree.CallExpr(tree.Name(name), arguments, ()) if name.lower() == SWEEP:
            numbers = [each.value for each in arguments if isinstance(each, tree.Number)]
            if len(numbers) == len(arguments) == 3:
                return {"steps": numbers}
    return write(value)


def _written(call: _Call) -> tree.CallExpr:
    of = edited_input(call.input.name, call.edits)
    if call.each:
        of = tree.CallExpr(tree.Name(EACH, NOWHERE), (of,), (), NOWHERE)
    return tree.CallExpr(tree.Name(call.model, NOWHERE), (of,), call.options, NOWHERE)


def _operand(call: _Call) -> tree.Operand:
    """An operand of a join: one element of a collection is chosen in a subquery."""
    if call.input.index is None:
        return _written(call)
    query = replace(_plain(_written(call)), having=_is_index(call.input.index))
    return tree.Subquery(query, NOWHERE)


def _plain(call: tree.CallExpr) -> tree.Query:
    star = tree.Item(tree.StarItem(NOWHERE), None, NOWHERE)
    return tree.Query((star,), call, (), None, None, (), None, None, None, None, None, None, NOWHERE)


def fresh(model: str, name: str) -> tree.Query:
    """`select * from model(input)`"""
    return _plain(_written(_Call(model, Chosen(name), (), ())))


# --- one element of a collection


def _index(query: tree.Query) -> int | None:
    """The element that a HAVING takes, if it takes just one by its number."""
    match query.having:
        case tree.CompareExpr("=", tree.Name(column), tree.Number(int(index)), _) if column.lower() == "index":
            return index if not query.order and query.limit is None and index >= 0 else None
    return None


def _is_index(index: int) -> tree.Expression:
    number = tree.Number(index, str(index), NOWHERE)
    return tree.CompareExpr("=", tree.Name("index", NOWHERE), number, NOWHERE)


# --- options


def _same(first: Iterable[tree.OptionExpr], other: Iterable[tree.OptionExpr]) -> bool:
    """Whether two lists of options say the same, in any order."""
    return sorted(map(write, first)) == sorted(map(write, other))


def _with_option(
    options: tuple[tree.OptionExpr, ...], name: str, value: tree.ValueExpr | None
) -> tuple[tree.OptionExpr, ...]:
    """The options with another value of one, or without it. One that was not there comes before those that are usually
    written after it."""
    if value is None:
        return tuple(each for each in options if each.name.value.lower() != name)
    option = tree.OptionExpr(tree.Name(name, NOWHERE), value, NOWHERE)
    if any(each.name.value.lower() == name for each in options):
        return tuple(option if each.name.value.lower() == name else each for each in options)
    later = CALL_OPTIONS[CALL_OPTIONS.index(name) + 1 :]
    place = next((k for k, each in enumerate(options) if each.name.value.lower() in later), len(options))
    return (*options[:place], option, *options[place:])

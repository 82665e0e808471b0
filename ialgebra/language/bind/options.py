"""What options mean: players, budgets and words. In: a value of the syntax tree; out: its meaning.

Options of queries, of SET, and of Python arguments that are given as text are all read here. Every error stands at its
own word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NoReturn, cast, get_args

from ...algebra.operators import Contrast
from ...algebra.players import (
    Blocks,
    Features,
    Grid,
    Groups,
    Labels,
    OfConcepts,
    OfParts,
    Partition,
    Parts,
    Pixels,
    Sentences,
    Slic,
    Spans,
    Tile,
    Tokens,
    Words,
)
from ...algebra.sources import Source
from ...catalog.catalog import Catalog
from ...errors import BindError, BudgetError, Span, did_you_mean
from ...models.outputs import OUTPUTS
from .. import tree

CONTRASTS: Final[tuple[Contrast, ...]] = get_args(Contrast)

__all__ = [
    "CONTRASTS",
    "OUTPUTS",
    "bind_budget",
    "bind_contrast",
    "bind_players",
    "call",
    "choice",
    "class_reference",
    "own_word",
    "whole",
    "word",
]


def choice(what: str, given: str, legal: Iterable[str]) -> str:
    """`given` in lower case if it is one of `legal`; else raises BindError that suggests the nearest one."""
    name = given.lower()
    if name not in legal:
        raise BindError(f"unknown {what} '{given}'{did_you_mean(given, legal)}")
    return name


def whole(value: tree.Expression, what: str, least: int) -> int:
    """A whole number ≥ `least`; else raises BindError."""
    if not isinstance(value, tree.Number) or not math.isfinite(value.value) or value.value != int(value.value):
        raise BindError(f"{what} must be a whole number", value.span)
    if value.value < least:
        raise BindError(f"{what} must be at least {least}, not {value.text}", value.span)
    return int(value.value)


def bind_budget(value: tree.ValueExpr) -> int:
    """Rows for each game; raises BudgetError below 2, which v(∅) and v(N) need."""
    if isinstance(value, tree.Number) and value.value < 2:
        raise BudgetError(f"a budget of {value.text} rows is too small: v(∅) and v(N) alone are two", value.span)
    return whole(value, "a budget", 2)


def bind_contrast(value: tree.ValueExpr) -> Contrast:
    """How the two maps of an anti-join are contrasted; BindError for another word."""
    return cast("Contrast", choice("contrast", word(value, "a contrast"), CONTRASTS))


def word(value: tree.ValueExpr, what: str) -> str:
    """A name or a text."""
    if isinstance(value, (tree.Name, tree.Text)):
        return value.value
    raise BindError(f"{what} must be a name or a text", value.span)


def class_reference(value: tree.ValueExpr) -> int | str:
    if isinstance(value, tree.Number):
        return whole(value, "a class", 0)
    return word(value, "a class")


def call(value: tree.ValueExpr) -> tuple[str, tuple[tree.Expression, ...]]:
    """The name, in lower case, and the arguments of `name(arguments)`; `name` alone has none."""
    if isinstance(value, tree.CallExpr):
        if value.options:
            raise BindError(f"{value.name.value} takes no options", value.options[0].span)
        return value.name.value.lower(), value.arguments
    return word(value, "this option").lower(), ()


def own_word(value: tree.ValueExpr) -> Span:
    return value.name.span if isinstance(value, tree.CallExpr) else value.span


def _arguments(value: tree.ValueExpr, what: str, names: Sequence[str]) -> list[int]:
    _, arguments = call(value)
    if len(arguments) != len(names):
        raise BindError(f"{what} takes whole numbers, {what}({', '.join(names)}); got {len(arguments)}", value.span)
    return [whole(argument, f"{what}'s {name}", 1) for argument, name in zip(arguments, names, strict=True)]


def _group(value: tree.Expression) -> tuple[str, ...]:
    """The names of one group: a name, or several in parentheses."""
    match value:
        case tree.Text(name) | tree.Name(name):
            return (name,)
        case tree.TextTuple(values):
            return tuple(each.value for each in values)
    raise BindError("a group is a name in quotes, or several: groups('job', ('city', 'zip'))", value.span)


def _dictionary(value: tree.ValueExpr, arguments: tuple[tree.Expression, ...]) -> tuple[str, ...]:
    """The name of a dictionary, if it is given."""
    match arguments:
        case ():
            return ()
        case (tree.Text(name) | tree.Name(name),):
            return (name,)
    raise BindError("concepts takes the name of one dictionary: concepts('motifs')", value.span)


def _no_groups(value: tree.ValueExpr) -> NoReturn:
    raise BindError("groups takes the names of features: groups('job', ('city', 'zip'))", value.span)


_SIMPLE: dict[str, Callable[[], Partition]] = {
    "pixels": Pixels,
    "features": Features,
    "tokens": Tokens,
    "parts": Parts,
    "of_parts": OfParts,
    "words": Words,
    "sentences": Sentences,
}


def bind_players(value: tree.ValueExpr, catalog: Catalog) -> Partition:
    """A partition from `pixels`, `features`, `tokens`, `words`, `sentences`, `grid(r, c)`, `grid(d, r, c)`, `tile(s)`,
    `slic(n)`, `spans(n)`, `groups(…)`, `parts`, `concepts`, `concepts('motifs')` or a registered feature mask."""
    name, arguments = call(value)
    if isinstance(value, tree.Name) and value.value in catalog.inputs:
        return Labels(Source(value.value))
    match name:
        case _ if name in _SIMPLE:
            if arguments:
                raise BindError(f"{name} takes no arguments", value.span)
            return _SIMPLE[name]()
        case "grid" if len(arguments) == 3:
            return Blocks(*_arguments(value, "grid", ("depth", "rows", "cols")))
        case "grid":
            return Grid(*_arguments(value, "grid", ("rows", "cols")))
        case "tile":
            return Tile(*_arguments(value, "tile", ("size",)))
        case "slic":
            return Slic(*_arguments(value, "slic", ("segments",)))
        case "spans":
            return Spans(*_arguments(value, "spans", ("count",)))
        case "concepts":
            return OfConcepts(*_dictionary(value, arguments))
        case "groups":
            return Groups(tuple(map(_group, arguments)) if arguments else _no_groups(value))
    known = (
        "pixels",
        "features",
        "tokens",
        "words",
        "sentences",
        "grid",
        "tile",
        "slic",
        "spans",
        "groups",
        "parts",
        "concepts",
        *catalog.visible,
    )
    raise BindError(f"unknown players '{name}'{did_you_mean(name, known)}", own_word(value))

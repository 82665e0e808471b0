"""What options mean: baselines, players, budgets and words. In: a value of the syntax tree; out: its meaning.

Queries, SET and the text that Python arguments may be given in all read their options here. Every error stands at its
own word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from ..algebra.baselines import Baseline, Blur, Constant, Given, Mean
from ..algebra.players import Features, Grid, Labels, Partition, Pixels, Slic, Tile, Tokens
from ..algebra.sources import Source
from ..catalog import Catalog
from ..errors import BindError, BudgetError, Span, did_you_mean
from ..models.adapters import OUTPUTS
from . import syntax

CONTRASTS = ("difference", "literal")

__all__ = [
    "CONTRASTS",
    "OUTPUTS",
    "bind_baselines",
    "bind_budget",
    "bind_players",
    "choice",
    "class_reference",
    "whole",
    "word",
]


def choice(what: str, given: str, legal: Iterable[str]) -> str:
    """`given` in lower case if it is one of `legal`; BindError that names the nearest otherwise."""
    name = given.lower()
    if name not in legal:
        raise BindError(f"unknown {what} '{given}'{did_you_mean(given, legal)}")
    return name


def whole(value: syntax.Expression, what: str, least: int) -> int:
    """A whole number ≥ `least`; BindError otherwise (BudgetError is the planner's)."""
    if not isinstance(value, syntax.Number) or not math.isfinite(value.value) or value.value != int(value.value):
        raise BindError(f"{what} must be a whole number", value.span)
    if value.value < least:
        raise BindError(f"{what} must be at least {least}, not {value.text}", value.span)
    return int(value.value)


def bind_budget(value: syntax.Value) -> int:
    """Rows a game, at least the two ends v(∅) and v(N); BudgetError below."""
    if isinstance(value, syntax.Number) and value.value < 2:
        raise BudgetError(f"a budget of {value.text} rows is too small: v(∅) and v(N) alone are two", value.span)
    return whole(value, "a budget", 2)


def word(value: syntax.Value, what: str) -> str:
    """A name or a text."""
    if isinstance(value, (syntax.Name, syntax.Text)):
        return value.value
    raise BindError(f"{what} must be a name or a text", value.span)


def class_reference(value: syntax.Value) -> int | str:
    if isinstance(value, syntax.Number):
        return whole(value, "a class", 0)
    return word(value, "a class")


def _call(value: syntax.Value) -> tuple[str, tuple[syntax.Expression, ...]]:
    """`name` and `name(arguments)` alike, the name in lower case."""
    if isinstance(value, syntax.Call):
        if value.options:
            raise BindError(f"{value.name.value} takes no options", value.options[0].span)
        return value.name.value.lower(), value.arguments
    return word(value, "this option").lower(), ()


def _own_word(value: syntax.Value) -> Span:
    return value.name.span if isinstance(value, syntax.Call) else value.span


def _arguments(value: syntax.Value, what: str, names: Sequence[str]) -> list[int]:
    _, arguments = _call(value)
    if len(arguments) != len(names):
        raise BindError(
            f"{what} takes {len(names)} whole numbers ({', '.join(names)}); got {len(arguments)}", value.span
        )
    return [whole(argument, f"{what}'s {name}", 1) for argument, name in zip(arguments, names, strict=True)]


_SIMPLE: dict[str, Callable[[], Partition]] = {"pixels": Pixels, "features": Features, "tokens": Tokens}


def bind_players(value: syntax.Value, catalog: Catalog) -> Partition:
    """A partition from `pixels`, `features`, `tokens`, `grid(r, c)`, `tile(s)`, `slic(n)` or a registered feature
    mask."""
    name, arguments = _call(value)
    if isinstance(value, syntax.Name) and value.value in catalog.inputs:
        return Labels(Source(value.value))
    match name:
        case "pixels" | "features" | "tokens":
            if arguments:
                raise BindError(f"{name} takes no arguments", value.span)
            return _SIMPLE[name]()
        case "grid":
            return Grid(*_arguments(value, "grid", ("rows", "cols")))
        case "tile":
            return Tile(*_arguments(value, "tile", ("size",)))
        case "slic":
            return Slic(*_arguments(value, "slic", ("segments",)))
    known = ("pixels", "features", "tokens", "grid", "tile", "slic", *catalog.visible)
    raise BindError(f"unknown players '{name}'{did_you_mean(name, known)}", _own_word(value))


def bind_baselines(value: syntax.Value, catalog: Catalog) -> tuple[Baseline, ...]:
    """A baseline, or one for each element of a collection, from zeros, a number, mean(xs), blur(…) or an input's
    name."""
    match value:
        case syntax.Number(value=number):
            if not math.isfinite(number):
                raise BindError("a baseline must be a finite number", value.span)
            return (Constant(float(number)),)
        case syntax.Name(value=name) if name in catalog.inputs:
            return tuple(Given(source) for source in catalog.input(name).sources)
    name, arguments = _call(value)
    match name:
        case "zeros" if not arguments:
            return (Constant(0.0),)
        case "constant" if len(arguments) == 1 and isinstance(arguments[0], syntax.Number):
            return (Constant(float(arguments[0].value)),)
        case "mean":
            if len(arguments) != 1 or not isinstance(arguments[0], syntax.Name):
                raise BindError("mean takes the name of a registered collection, as in mean(xs)", value.span)
            return (Mean(catalog.input(arguments[0].value).name),)
        case "blur":
            return (_blur(value, arguments, catalog),)
    known = ("zeros", "mean", "blur", *catalog.visible)
    raise BindError(f"unknown baseline '{name}'{did_you_mean(name, known)}", _own_word(value))


def _blur(value: syntax.Value, arguments: tuple[syntax.Expression, ...], catalog: Catalog) -> Blur:
    source: Source | None = None
    sigma: float | None = None
    for argument in arguments:
        match argument:
            case syntax.Number(value=number) if sigma is None and 0 < number < 1e4:
                sigma = float(number)
            case syntax.Name(value=name) if source is None and sigma is None:
                source = Source(name)
                catalog.element(source)
            case _:
                raise BindError(
                    "blur takes an input's name and a sigma in pixels, both optional: blur(x, 8)", argument.span
                )
    return Blur(source, sigma)

"""A window as a list of shapes: those that are drawn on a picture, spans of a text, columns of a table, names.

In: the predicate of a WHERE, or shapes as a page says them. Out: shapes as a page shows them, or a predicate. A shape
adds to those before it (`or`), is subtracted from them (`and not`), or bounds them (`and`). What is none of the shapes
is one of kind `text`, so that every predicate is a list of shapes, and nothing of it is lost. May not know: catalogs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ....errors import BindError, Span
from ....language import tree
from ....language.bind.predicates import SHAPES
from ....language.reader import parse_predicate
from ....language.writer import write
from ....system import checks
from ....system.checks import shown

ShapeMode = Literal["add", "subtract", "within"]

NOWHERE: Final = Span(0, 0)
"""The span of nodes that stand in no text yet."""

RANGES: Final[Mapping[str, str]] = {"span": "position", "times": "time", "slices": "depth", "frames": "frame"}
"""Shapes that are ranges, both ends included, and the columns that they are ranges of."""

_MOST: Final = 1e9  # of a number of a shape; a larger one is a fault of the page
_MOST_NAMES: Final = 10_000
_KINDS: Final = (*SHAPES, "name", *RANGES, "columns", "text")


@dataclass(frozen=True)
class WindowShape:
    """One shape of a window, and what it does to the shapes before it."""

    mode: ShapeMode
    of: tree.Expression


def shapes_of(where: tree.Expression | None) -> tuple[WindowShape, ...]:
    """The shapes of a predicate; none where there is no predicate. `predicate` makes the same predicate of them."""
    return () if where is None else tuple(_shapes(where))


def _shapes(where: tree.Expression) -> Iterator[WindowShape]:
    match where:
        case tree.OrExpr((first, *others), _):
            yield from _shapes(first)
            yield from (WindowShape("add", each) for each in others)
        case tree.AndExpr((first, *others), _):
            yield from _shapes(first)
            for each in others:
                yield (
                    WindowShape("subtract", each.of) if isinstance(each, tree.NotExpr) else WindowShape("within", each)
                )
        case tree.NotExpr(of, _):
            yield WindowShape("subtract", of)
        case _:
            yield WindowShape("add", where)


def predicate(shapes: Iterable[WindowShape]) -> tree.Expression | None:
    """The predicate that shapes make, one after the other; None where there are none."""
    made: tree.Expression | None = None
    for shape in shapes:
        of: tree.Expression = tree.NotExpr(shape.of, NOWHERE) if shape.mode == "subtract" else shape.of
        if made is None:
            made = of
        elif shape.mode == "add":
            made = tree.OrExpr((*(made.parts if isinstance(made, tree.OrExpr) else (made,)), of), NOWHERE)
        else:
            made = tree.AndExpr((*(made.parts if isinstance(made, tree.AndExpr) else (made,)), of), NOWHERE)
    return made


# --- as a page says and shows them


def described(shape: WindowShape) -> dict[str, object]:
    """A shape as a page shows it: its kind, and its numbers, names or text."""
    said = _described(shape.of)
    return said if shape.mode == "add" else {**said, "mode": shape.mode}


def _described(of: tree.Expression) -> dict[str, object]:
    match of:
        case tree.CallExpr(tree.Name(name), arguments, (), _) if name.lower() in SHAPES:
            numbers = [each.value for each in arguments if isinstance(each, tree.Number)]
            if len(numbers) == len(arguments) == len(SHAPES[name.lower()]):
                return {"kind": name.lower(), "at": numbers}
        case tree.Name(name) if name.lower() not in ("true", "false"):
            return {"kind": "name", "name": name}
        case tree.Between(tree.Name(column), tree.Number(low), tree.Number(high), _):
            kind = next((kind for kind, each in RANGES.items() if each == column.lower()), None)
            if kind is not None:
                return {"kind": kind, "at": [low, high]}
        case tree.InExpr(tree.Name(column), values, _) if column.lower() == "feature":
            names = [each.value for each in values if isinstance(each, tree.Text | tree.Number)]
            if len(names) == len(values):
                return {"kind": "columns", "names": names}
        case tree.CompareExpr("=", tree.Name(column), tree.Text() | tree.Number() as value, _):
            if column.lower() == "feature":
                return {"kind": "columns", "names": [value.value]}
    return {"kind": "text", "text": write(of)}


def drawn(said: object) -> WindowShape:
    """A shape as a page says it; BindError for what is none."""
    if not isinstance(said, Mapping):
        raise BindError(f'a shape is said as {{"kind": …}}, not as {shown(said)}')
    mode = said.get("mode", "add")
    if mode not in get_args(ShapeMode):
        raise BindError(f"a shape is added, subtracted, or bounds the others ('within'), not {shown(mode)}")
    return WindowShape(mode, _drawn(said))


def several(said: object) -> tuple[WindowShape, ...]:
    """The shapes of a list, or one shape."""
    return tuple(map(drawn, said)) if isinstance(said, list | tuple) else (drawn(said),)


def _drawn(said: Mapping[object, object]) -> tree.Expression:
    match said.get("kind"):
        case str(kind) if kind in SHAPES:
            numbers = tuple(_numbers(said.get("at"), SHAPES[kind], kind))
            return tree.CallExpr(tree.Name(kind, NOWHERE), numbers, (), NOWHERE)
        case str(kind) if kind in RANGES:
            low, high = _numbers(said.get("at"), ("from", "to"), kind)
            return tree.Between(tree.Name(RANGES[kind], NOWHERE), low, high, NOWHERE)
        case "name":
            return named(said.get("name"), "a window")
        case "columns":
            match said.get("names"):
                case [_, *_] as names if len(names) <= _MOST_NAMES:
                    return tree.InExpr(tree.Name("feature", NOWHERE), tuple(map(_feature, names)), NOWHERE)
            raise BindError('columns are said by their names: {"kind": "columns", "names": ["age"]}')
        case "text":
            if isinstance(text := said.get("text"), str):
                return parse_predicate(text)
            raise BindError("a shape of kind 'text' has a predicate as its text, such as 'row < 12'")
        case kind:
            raise BindError(f"unknown shape {shown(kind)}; the shapes are {', '.join(_KINDS)}")


def _numbers(at: object, names: Sequence[str], kind: str) -> Iterator[tree.Number]:
    if not isinstance(at, list | tuple) or len(at) != len(names):
        raise BindError(f"a shape of kind '{kind}' has {len(names)} numbers: {', '.join(names)}; not {shown(at)}")
    for value in at:
        yield number(value, f"a number of a shape of kind '{kind}'")


def _feature(name: object) -> tree.Expression:
    return tree.Text(name, NOWHERE) if isinstance(name, str) else number(name, "a column's number")


# --- nodes that stand in no text yet


def named(name: object, what: str) -> tree.Name:
    """A name; BindError for what the language cannot read as one."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise BindError(f"{shown(name)} cannot name {what}; a name is a word such as w")
    return tree.Name(name.replace("′", "'"), NOWHERE)


def number(value: object, what: str) -> tree.Number:
    """A finite number of common size, whole if it has no fraction; BindError for anything else."""
    said = checks.number(what, value, -_MOST, _MOST)
    plain = int(said) if said == int(said) else said
    return tree.Number(plain, repr(plain), NOWHERE)

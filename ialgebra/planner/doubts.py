"""Doubts about a query: what is legal, but rarely meant.

    a window that selects nothing of an input, in WHERE, in an edit or in a mass
    a region of a window that lies outside the input, wholly or in part
    a budget with fewer rows than a game has players

In: the leaves of a lowered query with their boards, the windows that its rankings read, and the catalog. Out: warnings,
each once. It runs no model, and raises nothing that lowering does not raise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import NamedTuple

import numpy as np

from ..algebra.baselines import Baseline, Given
from ..algebra.interning import inner_first
from ..algebra.sources import Edit, Source
from ..algebra.windows import EVERYTHING, Box, Circle, Column, Columns, Compare, In, Window, WindowConstant, evaluate
from ..catalog.catalog import Catalog
from ..errors import BudgetWarning, IalgebraWarning, WindowWarning
from ..interpreters.protocol import GameInterpreter
from ..system.arrays import Array
from .games import Board, Leaf, Several

_ROWS_A_PLAYER = 8  # rows from which errors can be trusted, as in the pilot of a bound
_MOST_SHOWN = 200  # characters of a window
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_SHAPES = Box | Circle | Compare | In  # the windows that are no combinations of others


class Use(NamedTuple):
    """A window as a query applies it: what it is applied to, and what follows if it selects nothing there."""

    window: Window
    source: Source
    outcome: str


def doubts(asked: Iterable[tuple[Leaf, Board]], masses: Iterable[Use], catalog: Catalog) -> list[IalgebraWarning]:
    """The warnings of a query with these leaves and boards, whose rankings read the windows of `masses`."""
    found: dict[str, IalgebraWarning] = {}
    every = list(asked)
    for each in (*_windows(every, masses, catalog), *_budgets(every, catalog)):
        found.setdefault(str(each), each)
    return list(found.values())


def _windows(asked: Sequence[tuple[Leaf, Board]], masses: Iterable[Use], catalog: Catalog) -> Iterator[WindowWarning]:
    """Warnings about windows. The elements of a collection are spoken of together."""
    groups: dict[tuple[Window, Source, str], dict[Source, bool | None]] = {}

    def use(window: Window, source: Source, outcome: str, empty: bool | None = None) -> None:
        groups.setdefault((window, source.collection, outcome), {})[source] = empty

    explained: dict[tuple[Window, str, tuple[Edit, ...]], dict[Source, bool | None]] = {}
    for leaf, board in asked:
        source = leaf.source
        explained.setdefault((leaf.window, source.name, source.edits), {})[source] = board.count == 0
    for (window, _, _), sources in explained.items():
        whole = next(iter(sources)).collection
        groups.setdefault((window, whole, "its map is empty"), {}).update(sources)
    for read in _with_edits(asked):
        for window, inner in _edited(read):
            use(window, inner, "nothing is edited")
    for window, source, outcome in masses:
        use(window, source, outcome)
    columns = _Columns(catalog)
    for (window, whole, outcome), sources in groups.items():
        empty = [
            source
            for source, known in sources.items()
            if (columns.selects_nothing(window, source) if known is None else known)
        ]
        if empty:
            plays = window is EVERYTHING or not all(columns.selects_nothing(window, source) for source in empty)
            what = "no feature" if window is EVERYTHING else f"the window {_cut(window)} selects no feature"
            name = _named(whole, len(empty), len(sources), catalog)
            within = "" if plays else columns.ranges(window, empty)
            yield WindowWarning(f"{what} of {name}{' plays' if plays else ''}; {outcome}{within}")
        if len(empty) < len(sources):
            left = sources.keys() - set(empty)
            for words in columns.outside(window, [source for source in sources if source in left]):
                yield WindowWarning(f"{words} of '{whole}'")


def _with_edits(asked: Iterable[tuple[Leaf, Board]]) -> Iterator[Source]:
    """The edited inputs that leaves explain, or explain against."""
    backgrounds: dict[Baseline | Several, list[Source]] = {}
    for leaf, _ in asked:
        if leaf.source.edits:
            yield leaf.source
        if leaf.baseline not in backgrounds:
            several = leaf.baseline.baselines if isinstance(leaf.baseline, Several) else (leaf.baseline,)
            edits = [each.source for each in several if isinstance(each, Given) and each.source.edits]
            backgrounds[leaf.baseline] = edits
            yield from edits


def _cut(window: Window) -> str:
    text = str(window)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"


def _named(whole: Source, count: int, among: int, catalog: Catalog) -> str:
    if not catalog.input(whole.name).collection:
        return f"'{whole}'"
    return f"{'any' if count == among else count} of the {among} inputs of '{whole}'"


def _edited(source: Source) -> Iterator[tuple[Window, Source]]:
    """The windows of an input's edits, each with what it is applied to; also those of inputs that the edits read."""
    for number, edit in enumerate(source.edits):
        before = Source(source.name, source.index, source.edits[:number])
        for value in (getattr(edit, field.name) for field in fields(edit)):  # type: ignore[arg-type]
            match value:
                case Window():
                    yield value, before
                case Source() | Given():
                    yield from _edited(value.source if isinstance(value, Given) else value)


class _Columns:
    """The columns of inputs, and what windows select of them. Columns that are positions are read once for a shape."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.known: dict[object, Columns] = {}

    def of(self, source: Source) -> Columns:
        return self.catalog.columns(source)

    def selects_nothing(self, window: Window, source: Source) -> bool:
        return not evaluate(window, self.of(source)).any()

    def positions(self, source: Source) -> Columns:
        """The columns that count positions from 0, their names, and `value`."""
        place = source.name, self.catalog.shape(source)
        if place not in self.known:
            columns = self.of(source)
            counted = {name for name, each in columns.items() if each is not columns["value"] and _counts(each)}
            names = {name: each for name, each in columns.items() if name.removesuffix("_name") in counted}
            self.known[place] = {**names, "value": columns["value"]}
        return self.known[place]

    def ranges(self, window: Window, sources: Iterable[Source]) -> str:
        """The end of a sentence: how far the positions go that a window reads, over all these inputs."""
        every = [self.positions(source) for source in sources]
        sizes = {
            name: max(_size(each[name]) for each in every) for name in every[0] if name in window.columns - {"value"}
        }
        return f" ({', '.join(f'{name} goes from 0 to {size - 1}' for name, size in sizes.items())})" if sizes else ""

    def outside(self, window: Window, sources: Iterable[Source]) -> Iterator[str]:
        """Words about each part of a window that reads positions only, and lies outside all these inputs, wholly or in
        part."""
        parts = [
            part
            for part in inner_first(window)
            if isinstance(part, _SHAPES) and part.columns and "value" not in part.columns
        ]
        every = list({id(columns): columns for columns in map(self.positions, sources if parts else ())}.values())
        for part in parts:
            if all(part.columns <= each.keys() for each in every):
                within = self.ranges(part, sources)
                if not any(evaluate(part, each).any() for each in every):
                    yield f"{_cut(part)} selects nothing{within}"
                elif all(_reaches_beyond(part, each) for each in every):
                    yield f"{_cut(part)} reaches beyond the border{within}"


def _counts(column: Array) -> bool:
    """Whether a column counts positions from 0; features that have no such position have NaN."""
    if column.dtype.kind not in "iuf":
        return False
    known = np.unique(column[np.isfinite(column)])
    return known.size > 0 and np.array_equal(known, np.arange(known.size))


def _size(column: Array) -> int:
    """How many positions a column counts."""
    return int(np.nanmax(column)) + 1


def _reaches_beyond(part: Box | Circle | Compare | In, columns: Columns) -> bool:
    """Whether a region, drawn with numbers alone, has positions that an input with these columns lacks."""
    match part:
        case Box(top, left, bottom, right):
            spans = (("row", _number(top), _number(bottom)), ("col", _number(left), _number(right)))
            return any(low < 0 or high > _size(columns[name]) for name, low, high in spans)
        case Circle(row, col, radius):  # pixels are squares about their centres, so a border is half a pixel away
            reach = _number(radius)
            return any(
                _number(middle) - reach < -1 or _number(middle) + reach > _size(columns[name])
                for name, middle in (("row", row), ("col", col))
            )
        case In(Column(name), values):
            numbers = [value.value for value in values if not isinstance(value.value, str)]
            return any(not 0 <= number < _size(columns[name]) for number in numbers)
        case Compare(op, WindowConstant() as constant, Column() as column) if op in _FLIPPED:
            return _reaches_beyond(Compare(_FLIPPED[op], column, constant), columns)  # type: ignore[arg-type]
        case Compare(op, Column(name), WindowConstant(int() | float() as limit)):
            size = _size(columns[name])
            match op:
                case "<":
                    return limit > size
                case "<=":
                    return limit > size - 1
                case ">":
                    return limit < -1
                case ">=":
                    return limit < 0
    return False


def _number(constant: WindowConstant) -> float:
    return float(constant.value)


def _budgets(asked: Iterable[tuple[Leaf, Board]], catalog: Catalog) -> Iterator[BudgetWarning]:
    """Warnings about budgets that are below the number of players, one for each budget."""
    few: dict[tuple[str, int], tuple[int, Leaf]] = {}
    for leaf, board in asked:
        budget, players = leaf.estimation.budget, board.hybrids.players
        if budget is None or players <= budget:
            continue
        if isinstance(catalog.interpreter(leaf.estimation.interpreter), GameInterpreter):
            place = leaf.model, budget
            few[place] = max(few.get(place, (0, leaf)), (players, leaf), key=lambda each: each[0])
    for (model, budget), (players, leaf) in few.items():
        yield BudgetWarning(
            f"the {players:,} players ({leaf.partition}) of {model}({leaf.source}) are more than the budget of "
            f"{budget:,} rows, which tells few of them apart; take {_ROWS_A_PLAYER * players:,} rows or more, or fewer "
            "players"
        )

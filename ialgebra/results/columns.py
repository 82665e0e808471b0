"""The maps of an answer as arrays: a column for each field, and the values of all their players one after another.

In: finished maps, or the fields of many maps. Out: `MapColumns`, from which one map, a data frame, means and files are
made. What maps share (players, inputs, texts) is held once, and a map of features is computed when it is asked for. May
not know: the class of one map, relations, plans or files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..algebra.kinds import kind_named
from ..errors import visible
from ..system.arrays import Array, Floats, Ints
from .shown import WholeMap

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class CodedColumn(Generic[_T]):
    """One field of n maps: `codes` (n,) int32 number the entries of `table`, which maps share."""

    codes: NDArray[np.int32]
    table: Sequence[_T]

    @classmethod
    def of(cls, values: Sequence[_T]) -> CodedColumn[_T]:
        """The column of these values, each of which can be hashed."""
        table = tuple(dict.fromkeys(values))
        numbers = {value: number for number, value in enumerate(table)}
        return cls(np.fromiter(map(numbers.__getitem__, values), np.int32, len(values)), table)

    @classmethod
    def of_objects(cls, values: Sequence[_T]) -> CodedColumn[_T]:
        """The column of these values, of which each object is an entry of its own."""
        table = {id(value): value for value in values}
        numbers = {name: number for number, name in enumerate(table)}
        codes = np.fromiter((numbers[id(value)] for value in values), np.int32, len(values))
        return cls(codes, tuple(table.values()))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> _T:
        return self.table[int(self.codes[row])]

    def taken(self, rows: slice | Ints) -> CodedColumn[_T]:
        """The column of some maps, with the same table."""
        return CodedColumn(self.codes[rows], self.table)

    @property
    def compact(self) -> CodedColumn[_T]:
        """The same column with a table of what its maps use."""
        used, codes = np.unique(self.codes, return_inverse=True)
        if len(used) == len(self.table):
            return self
        return CodedColumn(codes.astype(np.int32), taken_of(self.table, used.tolist()))


class ReadContents(Sequence[Array]):
    """The inputs of maps, each read when it is asked for. A copy of it in another process or a file holds them."""

    def __init__(self, read: tuple[Callable[[], Array], ...]) -> None:
        self.read = read

    def __len__(self) -> int:
        return len(self.read)

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Array]: ...
    def __getitem__(self, index: int | slice) -> Array | Sequence[Array]:
        return ReadContents(self.read[index]) if isinstance(index, slice) else self.read[index]()

    def __reduce__(self) -> tuple[type[tuple[Array, ...]], tuple[list[Array]]]:
        return tuple, (list(self),)


def taken_of(table: Sequence[_T], numbers: Sequence[int]) -> Sequence[_T]:
    """Some entries of a table; what is read when it is needed is not read for it."""
    if isinstance(table, ReadContents):
        return cast("Sequence[_T]", ReadContents(tuple(table.read[number] for number in numbers)))
    return tuple(table[number] for number in numbers)


def texts(values: Sequence[str]) -> CodedColumn[str]:
    """The column of texts, with escapes in place of control characters."""
    return _shown(CodedColumn.of(values))


def _shown(column: CodedColumn[str]) -> CodedColumn[str]:
    return CodedColumn(column.codes, tuple(map(visible, column.table)))


def named_features(values: Sequence[tuple[str, ...] | None]) -> CodedColumn[tuple[str, ...] | None]:
    """The column of names of features, with escapes in place of control characters."""
    found = CodedColumn.of(values)
    shown = (None if names is None else tuple(visible(str(name)) for name in names) for names in found.table)
    return CodedColumn(found.codes, tuple(shown))


@dataclass(frozen=True, eq=False)
class PlayerNumbers:
    """Which player each feature belongs to, −1 outside the window, in the smallest form: `labels` broadcasts to
    `shape`, that of the input."""

    labels: Ints
    shape: tuple[int, ...]

    @classmethod
    def of(cls, players: Ints) -> PlayerNumbers:
        """The partition of labels that have the input's shape."""
        thin = _thin(players)
        most = int(thin.max(initial=0))
        narrow = np.int16 if most < 1 << 15 else np.int32 if most < 1 << 31 else np.int64
        return cls(thin.astype(narrow), players.shape)

    @property
    def whole(self) -> Ints:
        """The labels of every feature, int64, in an array of their own."""
        return np.array(np.broadcast_to(self.labels, self.shape), dtype=np.int64)

    @cached_property
    def sizes(self) -> Ints:
        """The number of features of each player that has one."""
        repeats = math.prod(self.shape) // max(self.labels.size, 1)
        return np.bincount(self.labels[self.labels >= 0]) * repeats

    def spread(self, values: Floats) -> Floats:
        """The map of these players' values (d,): each value spread evenly over its player's features."""
        sizes = np.ones(len(values), dtype=np.int64)
        sizes[: len(self.sizes)] = np.maximum(self.sizes, 1)
        return np.array(np.broadcast_to(np.append(values / sizes, 0.0)[self.labels], self.shape))


def _thin(players: Ints) -> Ints:
    """The labels without the axes along which they repeat in memory."""
    return players[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in players.strides)]


def partitions(players: Iterable[Ints]) -> CodedColumn[PlayerNumbers]:
    """The column of labels that have their inputs' shapes; equal ones become one partition."""
    table: list[PlayerNumbers] = []
    by_memory: dict[tuple[object, ...], int] = {}
    by_content: dict[tuple[object, ...], int] = {}
    kept: list[Ints] = []  # alive, so that no other array takes its place in memory
    codes: list[int] = []
    for each in players:
        place = (each.__array_interface__["data"][0], each.shape, each.strides)
        number = by_memory.get(place)
        if number is None:
            thin = _thin(each)
            key = (each.shape, thin.shape, thin.tobytes())
            if (number := by_content.get(key)) is None:
                number = by_content[key] = len(table)
                table.append(PlayerNumbers.of(each))
            by_memory[place] = number
            kept.append(each)
        codes.append(number)
    return CodedColumn(np.array(codes, dtype=np.int32), tuple(table))


@dataclass(frozen=True, eq=False, kw_only=True)
class MapColumns:
    """The fields of n maps; `Attribution` says what each means.

    `values` and `stderr` hold the players of all maps, those of map k at `starts[k]:starts[k + 1]`; `starts` is
    (n + 1,). `error_bound` is NaN where it is not known beside the standard errors. `own` has the maps (input-shaped,
    by row) that are not spread from their players' values.
    """

    values: Floats
    stderr: Floats
    starts: Ints
    base_value: Floats
    full_value: Floats
    error_bound: Floats
    players: CodedColumn[PlayerNumbers]
    content: CodedColumn[Array]
    label: CodedColumn[str]
    model: CodedColumn[str]
    layer: CodedColumn[int | None]
    input: CodedColumn[str]
    baseline: CodedColumn[str]
    target: CodedColumn[int | tuple[int, ...]]
    target_name: CodedColumn[str]
    kind: CodedColumn[str]
    feature_names: CodedColumn[tuple[str, ...] | None]
    method: CodedColumn[str]
    component: CodedColumn[int | None]
    item: CodedColumn[int]
    scores: CodedColumn[Mapping[str, tuple[float, float]]]
    prediction: CodedColumn[str | None]
    unit: CodedColumn[str]
    unexplained: CodedColumn[float | None]
    own: Mapping[int, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, maps: Sequence[WholeMap]) -> MapColumns:
        """The columns of finished maps."""
        bounds = [math.nan if a.error_bound is None else a.error_bound for a in maps]
        return cls(
            values=joined([a.values for a in maps]),
            stderr=joined([a.stderr for a in maps]),
            starts=starts_of([len(a.values) for a in maps]),
            base_value=np.array([a.base_value for a in maps], dtype=np.float64),
            full_value=np.array([a.full_value for a in maps], dtype=np.float64),
            error_bound=np.array(bounds, dtype=np.float64),
            players=partitions([a.players for a in maps]),
            content=CodedColumn.of_objects([a.content for a in maps]),
            label=texts([a.label for a in maps]),
            model=texts([a.model for a in maps]),
            layer=CodedColumn.of([a.layer for a in maps]),
            input=texts([a.input for a in maps]),
            baseline=texts([a.baseline for a in maps]),
            target=CodedColumn.of([a.target if isinstance(a.target, int) else tuple(a.target) for a in maps]),
            target_name=texts([a.target_name for a in maps]),
            kind=CodedColumn.of([a.kind for a in maps]),
            feature_names=named_features([a.feature_names for a in maps]),
            method=texts([a.method for a in maps]),
            component=CodedColumn.of([a.component for a in maps]),
            item=CodedColumn.of([a.item for a in maps]),
            scores=CodedColumn.of_objects([a.scores for a in maps]),
            prediction=CodedColumn.of([a.prediction for a in maps]),
            unit=texts([a.unit for a in maps]),
            unexplained=CodedColumn.of([a.unexplained for a in maps]),
            own={row: a.map for row, a in enumerate(maps)},
        )

    def __len__(self) -> int:
        return len(self.base_value)

    @property
    def counts(self) -> Ints:
        """The number of players of each map, (n,)."""
        return np.diff(self.starts)

    @property
    def rows(self) -> Ints:
        """The map of each of all players."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def bounds(self) -> list[tuple[str, float]]:
        """The label of each map and the relative bound that is known of it, at 95 %."""
        return [(self.label[row], bound) for row, bound in enumerate(self.error_bound.tolist())]

    def span(self, row: int) -> slice:
        """Where the players of a map are."""
        return slice(int(self.starts[row]), int(self.starts[row + 1]))

    def map(self, row: int) -> Floats:
        """The map of the features of one input, in its shape."""
        if row in self.own:
            return self.own[row]
        return self.players[row].spread(self.values[self.span(row)])

    def entry(self, name: str, row: int) -> object:
        """A field of one map; an array of its own."""
        match name, getattr(self, name, None):
            case "map", _:
                return np.array(self.map(row))
            case "players", _:
                return self.players[row].whole
            case "content", _:
                return np.array(self.content[row])
            case "values" | "stderr", np.ndarray() as array:
                return array[self.span(row)].copy()
            case "error_bound", np.ndarray() as array:
                return None if np.isnan(array[row]) else float(array[row])
            case _, np.ndarray() as array:
                return float(array[row])
            case "scores", _:
                return dict(self.scores[row])
            case _, CodedColumn() as column:
                return column[row]
        raise AttributeError(f"a map has no field '{name}'")

    def taken(self, rows: range | Ints) -> MapColumns:
        """The columns of some maps, in this order. Of maps that follow one another the arrays are shared."""
        numbers = list(rows) if isinstance(rows, range) else rows.tolist()
        own = {k: self.own[row] for k, row in enumerate(numbers) if row in self.own} if self.own else {}
        changed: dict[str, Any] = {"own": own}
        if isinstance(rows, range) and rows.step == 1:
            first, end = rows.start, max(rows.start, rows.stop)
            some: slice | Ints = slice(first, end)
            flat: slice | Ints = slice(int(self.starts[first]), int(self.starts[end]))
            starts = self.starts[first : end + 1] - self.starts[first]
        else:
            some = np.array(rows, dtype=np.int64)
            starts = starts_of(self.counts[some])
            flat = np.repeat(self.starts[some] - starts[:-1], np.diff(starts)) + np.arange(starts[-1])
        for each in dataclasses.fields(self):
            held = getattr(self, each.name)
            if isinstance(held, CodedColumn):
                changed[each.name] = held.taken(some)
            elif each.name in ("base_value", "full_value", "error_bound"):
                changed[each.name] = held[some]
        return dataclasses.replace(self, values=self.values[flat], stderr=self.stderr[flat], starts=starts, **changed)

    @property
    def compact(self) -> MapColumns:
        """The same maps with nothing that only other maps use, and without maps of their own that their values
        give."""
        tables = {
            each.name: held.compact
            for each in dataclasses.fields(self)
            if isinstance(held := getattr(self, each.name), CodedColumn)
        }
        own = {row: given for row, given in self.own.items() if not self._is_spread(row, given)}
        changed: dict[str, Any] = tables | {"own": own}
        return dataclasses.replace(self, **changed)

    def _is_spread(self, row: int, given: Floats) -> bool:
        spread = self.players[row].spread(self.values[self.span(row)])
        return spread.dtype == given.dtype and spread.shape == given.shape and spread.tobytes() == given.tobytes()

    @cached_property
    def digest(self) -> str:
        """A digest of the values and standard errors of all maps, bit for bit."""
        found = hashlib.blake2b(digest_size=8)
        for row in range(len(self)):
            found.update(self.values[self.span(row)].tobytes() + self.stderr[self.span(row)].tobytes())
        return found.hexdigest()

    @cached_property
    def names(self) -> CodedColumn[tuple[str, ...]]:
        """The names of each map's players."""
        by_content = [
            [_named_by_content(kind, names) for names in self.feature_names.table] for kind in self.kind.table
        ]
        matters = np.array(by_content, dtype=bool)[self.kind.codes, self.feature_names.codes]
        contents = np.where(matters, self.content.codes, -1)
        key = np.stack([self.players.codes, self.kind.codes, self.feature_names.codes, contents, self.counts], axis=1)
        _, first, codes = np.unique(key, axis=0, return_index=True, return_inverse=True)
        return CodedColumn(codes.ravel().astype(np.int32), tuple(self._names(row) for row in first.tolist()))

    def _names(self, row: int) -> tuple[str, ...]:
        count = int(self.starts[row + 1] - self.starts[row])
        kind = kind_named(self.kind[row])
        return tuple(kind.player_names(self.players[row].whole, count, self.content[row], self.feature_names[row]))


def _named_by_content(name: str, feature_names: tuple[str, ...] | None) -> bool:
    """Whether players of this kind are called what their tokens are."""
    kind = kind_named(name)
    parts = any(kind_named(part.kind).vocabulary and part.names is None for part in kind.parts)
    return parts or (kind.vocabulary and feature_names is None)


def joined(arrays: Sequence[Floats]) -> Floats:
    """The arrays one after another, float64."""
    return np.concatenate(arrays).astype(np.float64, copy=False) if arrays else np.zeros(0)


def starts_of(counts: Sequence[int] | Ints) -> Ints:
    """Where each map's players begin, and the end of the last, (n + 1,)."""
    starts = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


@runtime_checkable
class HasColumns(Protocol):
    """Maps that are held as arrays."""

    @property
    def columns(self) -> MapColumns: ...


def columns_of(maps: Sequence[WholeMap]) -> MapColumns:
    """The maps as arrays: those that hold them, or new ones."""
    return maps.columns if isinstance(maps, HasColumns) else MapColumns.of(maps)

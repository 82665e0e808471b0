"""The store of values that were computed before. Each model has a table. In a table, each input has a row, named by the
input's content, and everything that is read from a pass has a column.

In: blocks of values as batches finish. Out: the known values of the rows that a plan asks for, and the purpose for
which they were evaluated. Rows are named by `kernels.naming`, so that a hybrid is found again from another window,
another partition, another estimator or the other side of an anti-join. The size is bounded in bytes: rows that would
cost least to evaluate again, relative to their bytes and age, are forgotten first. Several threads may use the store;
each call is atomic, and `lock` makes several calls atomic. It may know no plan and run no model.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ..kernels.estimators.estimate import Estimate
from ..system import forking
from ..system.arrays import Floats, Ints
from ..system.kept import Kept

StoredValues = NDArray[np.float32] | NDArray[np.float64]
_ArrayT = TypeVar("_ArrayT", bound=np.ndarray[Any, Any])

_NAME_BYTES = 150  # bytes of a name and its entry in a dictionary
_GAMES_SHARE = 0.25  # share of the limit for the values of whole games, whose rows have no names
_ESTIMATE_BYTES = 96 << 20  # of estimates that are kept beside the rows
_ANSWER_BYTES = 64 << 20  # of whole answers
_KEPT_SHARE = 0.75  # share of the limit that is kept once it is passed, so that not every batch has to forget rows


@dataclass(frozen=True)
class StoreKey:
    """Names a table by a digest that no table of other content has. `owner` is the last model that used the table: once
    it is gone, the table is forgotten first."""

    digest: bytes
    owner: weakref.ref[object] = field(compare=False)


@dataclass(eq=False)
class Origin:
    """The purpose for which rows were evaluated: a set of hybrids by content, the names of its foreground and its
    background, and the columns that were read from it."""

    hybrids: str
    foreground: bytes
    background: bytes
    asked: set[Hashable] = field(default_factory=set)


class Table:
    """The known values of one model: `rows` by name; a column (capacity, width) for each thing read, NaN where a row
    lacks it; and for each row its seconds, the time of its last use, and its origin. `canaries` are rows, as whoever
    keeps them can evaluate them anew, with what was read from them; they were `checked` last at that time."""

    def __init__(self, checked: float = 0.0) -> None:
        self.rows: dict[bytes, int] = {}
        self.columns: dict[Hashable, StoredValues] = {}
        self.origins: dict[str, Origin] = {}
        self.seconds = np.zeros(0)
        self.used = np.zeros(0)
        self.origin = np.zeros(0, dtype=object)
        self.canaries: list[tuple[object, Mapping[Hashable, StoredValues]]] = []
        self.checked = checked

    @property
    def nbytes(self) -> int:
        return len(self.rows) * _NAME_BYTES + sum(array.nbytes for array in self._arrays)

    @property
    def width(self) -> int:
        """Bytes a row."""
        return _NAME_BYTES + sum(array.itemsize * math.prod(array.shape[1:]) for array in self._arrays)

    @property
    def _arrays(self) -> list[NDArray[np.generic]]:
        return [self.seconds, self.used, self.origin, *self.columns.values()]

    def places(self, names: Sequence[bytes]) -> Ints:
        """The positions of the rows with these names; −1 for a name that is not in the table."""
        return np.array([self.rows.get(name, -1) for name in names], dtype=np.int64)

    def read(self, places: Ints, column: Hashable) -> tuple[NDArray[np.bool_], StoredValues]:
        """Which of the rows at `places` have the column, and what it holds for these, (known, width)."""
        known = places >= 0
        if column not in self.columns:
            return np.zeros(len(places), dtype=bool), np.zeros((0, 1))
        values = self.columns[column][places[known]]
        whole = ~np.isnan(values).any(axis=1)
        known[known] = whole
        return known, values[whole]

    def keep(
        self,
        names: Sequence[bytes],
        columns: Mapping[Hashable, StoredValues],
        seconds: float,
        now: float,
        origin: Origin,
    ) -> None:
        """Keep the values that were read from the rows with these names.

        Names are written last: if this is interrupted (Ctrl-C, no memory), rows without a name are invisible.
        """
        fresh: dict[bytes, int] = {}
        for name in names:
            if name not in self.rows:
                fresh.setdefault(name, len(self.rows) + len(fresh))
        first, end = len(self.rows), len(self.rows) + len(fresh)
        places = np.array([fresh[name] if name in fresh else self.rows[name] for name in names], dtype=np.int64)
        self.seconds, self.used = _grown(self.seconds, end, 0.0), _grown(self.used, end, 0.0)
        self.origin = _grown(self.origin, end, None)
        for column, held in self.columns.items():
            self.columns[column] = _grown(held, end, np.nan)
            self.columns[column][first:end] = np.nan  # values of an interrupted call may still be there
        for column, values in columns.items():
            if column not in self.columns:
                self.columns[column] = np.full((len(self.used), values.shape[1]), np.nan, dtype=values.dtype)
            elif self.columns[column].dtype != values.dtype:
                self.columns[column] = self.columns[column].astype(np.float64)
            self.columns[column][places] = values
        self.seconds[first:end] = 0.0
        self.seconds[places] = np.maximum(self.seconds[places], seconds)
        self.used[first:end] = 0.0
        self.used[places] = np.maximum(self.used[places], now)
        self.origin[places] = origin
        self.origins[origin.hybrids] = origin
        self.rows.update(fresh)

    def retained(self, kept: NDArray[np.bool_]) -> Table:
        """A table with only the rows for which `kept` (rows,) is true."""
        remaining, found = np.flatnonzero(kept), Table(self.checked)
        found.canaries = self.canaries
        found.seconds, found.used, found.origin = (each[remaining] for each in (self.seconds, self.used, self.origin))
        columns = {name: column[remaining] for name, column in self.columns.items()}
        found.columns = {name: column for name, column in columns.items() if not np.isnan(column).all()}
        names = list(self.rows)
        found.rows = {names[place]: number for number, place in enumerate(remaining.tolist())}
        found.origins = {each.hybrids: each for each in set(found.origin.tolist())}
        return found


def _grown(array: _ArrayT, rows: int, blank: object) -> _ArrayT:
    """The array, if it has so many rows, or a longer copy."""
    if len(array) >= rows:
        return array
    longer = np.full((rows * 3 // 2, *array.shape[1:]), blank, dtype=array.dtype)
    longer[: len(array)] = array
    return cast(_ArrayT, longer)


class Store:
    """The session's tables, within `limit` bytes. Time is counted in queries.

    A query's time is the number that `begin` returned. A call without a time belongs to the last query. `estimates` are
    what was computed from columns of values, by the content of all that they depend on; `answers` are whole answers, by
    the question, for whoever gave them to judge.
    """

    def __init__(self, limit: int = 256 << 20) -> None:
        self.limit = limit
        self.tables: dict[Hashable, Table] = {}
        self.games: dict[StoreKey, dict[tuple[Hashable, ...], Floats]] = {}
        self._game_bytes = 0
        self.now = 0.0
        self.lock = forking.lock()
        self.estimates: Kept[Estimate] = Kept(min(limit, _ESTIMATE_BYTES))
        self.answers: Kept[object] = Kept(min(limit, _ANSWER_BYTES))

    def begin(self) -> float:
        """Begin a query; returns its time. Rows that it does not use become older by one."""
        with self.lock:
            self.now += 1.0
            return self.now

    def claim(self, model: StoreKey) -> None:
        """Make a model the owner of its table, which another model of equal content may have made."""
        with self.lock:
            if model in self.tables:
                self.tables[model] = self.tables.pop(model)

    def table(self, model: Hashable) -> Table:
        """The table of a model (by content), to read from; `keep` writes."""
        return self.tables.get(model, Table())

    def use(self, model: Hashable, places: Ints, now: float | None = None) -> NDArray[np.bool_]:
        """Note that the rows at `places` are used. Returns which of them neither this query nor a later one has used
        before."""
        if not len(places):
            return np.zeros(0, dtype=bool)
        with self.lock:
            now = self.now if now is None else now
            used = self.tables[model].used
            news: NDArray[np.bool_] = used[places] < now
            used[places] = np.maximum(used[places], now)
            return news

    def origin(self, model: Hashable, hybrids: str, foreground: bytes, background: bytes) -> Origin:
        """The origin for a set of hybrids, which records the columns that were read; made if there is none."""
        known = self.table(model).origins.get(hybrids)
        return known if known is not None else Origin(hybrids, foreground, background)

    def keep(
        self,
        model: Hashable,
        names: Sequence[bytes],
        columns: Mapping[Hashable, StoredValues],
        seconds: float,
        origin: Origin,
        now: float | None = None,
    ) -> None:
        """Keep the values that were read from the rows with these names, (rows, width) for each column; each row took
        `seconds`."""
        with self.lock:
            now = self.now if now is None else now
            table = self.tables.setdefault(model, Table(checked=now))
            table.keep(names, columns, seconds, now, origin)
            if sum(each.nbytes for each in self.tables.values()) > self.limit:
                self._forget()

    def find_games(self, model: StoreKey, names: Iterable[tuple[Hashable, ...]]) -> list[Floats | None]:
        """The values (m,) of all coalitions of games, by name; None for those that are not known."""
        with self.lock:
            known = self.games.get(model, {})
            return [known.get(name) for name in names]

    def keep_games(self, model: StoreKey, names: Sequence[tuple[Hashable, ...]], values: Floats) -> None:
        """Keep the values (games, m) of all coalitions of games, in an array that nobody changes. Of more than a share
        of the limit, the oldest go."""
        with self.lock:
            known = self.games.setdefault(model, {})
            known.update(zip(names, values, strict=True))
            self._game_bytes += values.nbytes + len(names) * _NAME_BYTES
            while self._game_bytes > _GAMES_SHARE * self.limit:
                for each in self.games.values():
                    for name in list(islice(each, (len(each) + 1) // 2)):
                        del each[name]
                self._game_bytes = sum(
                    _NAME_BYTES + found.nbytes for each in self.games.values() for found in each.values()
                )

    def _forget(self) -> None:
        """Keep the rows that would take the most seconds to evaluate again, relative to their bytes and their age.

        Similar to GreedyDual-Size (Cao & Irani, USITS 1997) and hyperbolic caching (Blankstein et al., ATC 2017).
        """
        for key in [key for key in self.tables if isinstance(key, StoreKey) and key.owner() is None]:
            del self.tables[key]
        tables = list(self.tables.values())
        if not tables:
            return
        lengths = [len(table.rows) for table in tables]
        widths = np.repeat([table.width for table in tables], lengths)
        seconds, used = (
            np.concatenate([array[:length] for array, length in zip(arrays, lengths, strict=True)])
            for arrays in ([table.seconds for table in tables], [table.used for table in tables])
        )
        order = np.argsort(-seconds / widths / (self.now - used + 1.0), kind="stable")
        kept = np.empty(len(order), dtype=bool)
        kept[order] = np.cumsum(widths[order]) <= _KEPT_SHARE * self.limit
        parts = np.split(kept, np.cumsum(lengths)[:-1])
        for (model, table), part in zip(list(self.tables.items()), parts, strict=True):
            self.tables[model] = table.retained(part)  # if interrupted, the old table or the new one is there
        self.tables = {model: table for model, table in self.tables.items() if table.rows}

    def forget(self, owner: object) -> None:
        """Forget the tables of a model, and all answers."""
        with self.lock:
            self.answers.clear()
            for key in [key for key in self.tables if isinstance(key, StoreKey) and key.owner() is owner]:
                del self.tables[key]
            for key in [key for key in self.games if key.owner() is owner]:
                del self.games[key]

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self.tables.clear()
            self.games.clear()
            self._game_bytes = 0
            self.estimates.clear()
            self.answers.clear()

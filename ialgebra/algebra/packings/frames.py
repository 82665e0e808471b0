"""Frames of pandas as numbers, and rows of numbers as frames again.

In: a DataFrame. Out: its rows as float64, and the `FramePacking` that turns rows of numbers, also mixed ones, into a
DataFrame of the same columns, dtypes and categories. Numbers and booleans are themselves, dates and durations are
microseconds, missing values NaN, and all else is coded by value (`codes`). pandas is imported only here, and only when
a frame has come.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from ...errors import BindError, ShapeError, did_you_mean
from ...system.arrays import Array, Bools, Floats, Ints
from ..middles import Middle, median, most_frequent
from . import codes
from .packing import carrying

if TYPE_CHECKING:
    import pandas as pd

_joint: dict[tuple[str, str], FramePacking] = {}  # of two frames, by the keys of both; or widened, by key and dtypes

_NUMBERS, _TIMES, _VALUES = "numbers", "times", "values"


@dataclass(frozen=True)
class FrameColumn:
    """One column: its name, its dtype as pandas writes it and, of a category, the categories in order.

    `inferred` says that the dtype was found by looking at one row, so that another frame's dtype goes before it.
    """

    name: Hashable
    dtype: str
    categories: tuple[Hashable, ...] | None = None
    ordered: bool = False
    inferred: bool = False

    @property
    def holds(self) -> str:
        """How cells are held: 'numbers', 'times' (microseconds) or 'values' (codes, or numbers where they are some)."""
        if self.categories is not None:
            return _VALUES
        return _held_as(self.dtype)

    @property
    def is_amount(self) -> bool:
        """Whether cells are amounts, which have means; others have a mode."""
        return self.holds == _TIMES or (self.holds == _NUMBERS and self.dtype not in ("bool", "boolean"))


@dataclass(frozen=True)
class FramePacking:
    """The columns of a frame, in order."""

    columns: tuple[FrameColumn, ...]
    column_names: tuple[Hashable, ...] = ()  # the names of the columns' own levels

    @cached_property
    def key(self) -> str:
        return hashlib.blake2b(repr(self).encode(errors="surrogatepass"), digest_size=12).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names as texts."""
        return tuple(str(each.name) for each in self.columns)

    def unpack(self, batch: Tensor) -> pd.DataFrame:
        """The rows (B, D) as a DataFrame. BindError for codes of no value."""
        import pandas as pd

        held = batch.detach().cpu().to(torch.float64).numpy()
        series = [_series(each, held[:, place]) for place, each in enumerate(self.columns)]
        frame = pd.DataFrame(dict(enumerate(series)), copy=False)
        frame.columns = _index([each.name for each in self.columns], self.column_names)
        return frame

    def numbers(self, batch: Tensor) -> Tensor | None:
        numeric = all(each.holds == _NUMBERS for each in self.columns)
        return None if not numeric or bool(codes.is_code(_doubles(batch)).any()) else batch

    def cast(self, dtype: torch.dtype) -> None:
        return None

    @property
    def is_inferred(self) -> bool:
        """Whether some dtypes were found by looking at one row."""
        return any(each.inferred for each in self.columns)

    @property
    def without_numbers(self) -> str:
        lacking = [each.name for each in self.columns if each.holds != _NUMBERS]
        return f"column{'s' if len(lacking) > 1 else ''} {_shown(lacking)}" if lacking else ""

    def without_arithmetic(self, rows: Tensor) -> str:
        return "a DataFrame"  # whose whole numbers, texts and missing values are not to be mixed

    def amounts(self, row: Tensor) -> Tensor:
        found = _amounts(self) & ~codes.is_code(_doubles(row)) & ~np.isnan(_doubles(row))
        return torch.from_numpy(found).to(row.device)

    def assigned(self, row: Tensor, inside: Bools, value: float | str) -> Tensor:
        """The row (D,) with one value in some columns, as a model is given it: a number in columns of numbers (a
        fraction makes one of whole numbers float64, as in pandas), a text or a number in columns of values. BindError
        where a column cannot hold it."""
        held = _doubles(row).copy()
        for place in np.flatnonzero(inside):
            held[place] = _assigned(self.columns[place], value)
        found = torch.from_numpy(held).to(row.dtype)
        return carrying(found, self._fitting(row, found))

    @property
    def rides(self) -> bool:
        return False

    def settled(self, x: Tensor, background: Tensor) -> Tensor:
        return background

    def moved(self, row: Tensor) -> Tensor:
        near = torch.nextafter(row, torch.full_like(row, torch.inf))
        return torch.where(self.amounts(row), near, row)

    def middle(self, rows: Tensor, how: Middle) -> Tensor:
        found = torch.full_like(rows[0], torch.nan)
        amounts = _amounts(self)
        for place in range(len(self.columns)):
            cells = rows[:, place]
            cells = cells[~cells.isnan()]
            if not len(cells):
                continue
            if how == "mode" or not amounts[place] or codes.is_code(_doubles(cells)).any():
                found[place] = most_frequent(cells)
            else:
                found[place] = cells.mean() if how == "mean" else median(cells)
        return found

    def joined(self, other: object, x: Tensor, background: Tensor) -> FramePacking:
        """The columns for rows mixed of both: categories that only the background has come last; whole numbers that
        have fractions, such as a mean, become float64, as in pandas."""
        if not isinstance(other, FramePacking):
            raise ShapeError("an input from a DataFrame meets one of another form; register both as DataFrames")
        if other is self or other.key == self.key:
            return self._fitting(x, background)
        place = (self.key, other.key)
        if place not in _joint:
            _joint[place] = self._with(other)
        return _joint[place]._fitting(x, background)

    def _with(self, other: FramePacking) -> FramePacking:
        """The columns of both frames."""
        mine, its = [each.name for each in self.columns], [each.name for each in other.columns]
        if mine != its:
            if sorted(map(repr, mine)) == sorted(map(repr, its)):
                raise ShapeError(
                    f"the columns of two frames come in another order: {_shown(mine)} and {_shown(its)}; "
                    "register other[list(frame.columns)]"
                )
            raise ShapeError(_of_other_columns(mine, its))
        columns = tuple(_joined(one, two) for one, two in zip(self.columns, other.columns, strict=True))
        return dataclasses.replace(self, columns=columns)

    def _fitting(self, *rows: Tensor) -> FramePacking:
        """The columns wide enough for the numbers of these rows (D,)."""
        whole = self._whole
        if not whole.size:
            return self
        held = np.stack([_doubles(row) for row in rows])
        if bool((held[:, whole] == np.rint(held[:, whole])).all()) and not self._truths.size:
            return self
        columns = list(self.columns)
        for place in whole:
            columns[place] = _wide_enough(columns[place], held[:, place])
        if all(one is two for one, two in zip(columns, self.columns, strict=True)):
            return self
        place = (self.key, ",".join(each.dtype for each in columns))
        return _joint.setdefault(place, dataclasses.replace(self, columns=tuple(columns)))

    @cached_property
    def _whole(self) -> Ints:
        """The places of columns of whole numbers or booleans."""
        fractions = ("float",)
        holds = [each.holds == _NUMBERS and not each.dtype.lower().startswith(fractions) for each in self.columns]
        return np.flatnonzero(holds)

    @cached_property
    def _truths(self) -> Ints:
        """The places of columns of booleans."""
        return np.flatnonzero([each.dtype.lower().startswith("bool") for each in self.columns])

    def shown(self, rows: Array) -> list[Array]:
        held = rows.astype(np.float64)
        texts: Bools = np.asarray(codes.is_code(held).any(axis=1)) | bool(self.without_numbers)
        if not texts.any():
            return list(rows)
        frame = self.unpack(torch.from_numpy(held))
        words = [_words(frame.iloc[:, place]) for place in range(frame.shape[1])]
        named = zip(rows, texts.tolist(), zip(*words, strict=True), strict=True)
        return [np.array(cells) if text else row for row, text, cells in named]


def written_frame(packing: FramePacking, rows: Tensor, held: str) -> str:
    """The frame of rows (N, D) as Python source, which reads the rows from the expression `held`; `pandas`, `datetime`
    and `decimal` must be imported, and `frame_of`. BindError for values that cannot be written."""
    coded = np.unique(_doubles(rows)[codes.is_code(_doubles(rows))]).tolist()
    values = [codes.written(codes.value_of(each)) for each in coded]
    columns = (
        f"({codes.written(each.name)}, {each.dtype!r}, "
        + ("None" if each.categories is None else codes.written(each.categories))
        + f", {each.ordered!r}, {each.inferred!r})"
        for each in packing.columns
    )
    said = f"{held}, [{', '.join(columns)}], [{', '.join(values)}]"
    return f"frame_of({said}{f', {codes.written(packing.column_names)}' if packing.column_names else ''})"


def frame_of(
    held: Tensor,
    columns: Sequence[tuple[Hashable, str, tuple[Hashable, ...] | None, bool, bool]],
    values: Sequence[Hashable],
    column_names: tuple[Hashable, ...] = (),
) -> pd.DataFrame | pd.Series[Any]:
    """The frame that `written_frame` wrote: rows (N, D) as they are held, the columns, and the values of codes. Of a
    Series, whose dtypes were inferred, the Series."""
    for value in values:
        codes.code(value)
    frame = FramePacking(tuple(FrameColumn(*each) for each in columns), column_names).unpack(held)
    return frame.astype(object).iloc[0] if any(each[-1] for each in columns) else frame


def packed_frame(name: str, frame: pd.DataFrame, inferred: bool = False) -> tuple[Floats, FramePacking]:
    """The rows of a frame (N, D), and their packing. BindError for a column that cannot be held, which it names."""
    names = list(frame.columns)
    if len({repr(each) for each in names}) < len(names):
        twice = next(each for each in names if names.count(each) > 1)
        raise BindError(f"two columns of input '{name}' are called {twice!r}; give them different names")
    columns, held = list[FrameColumn](), np.empty((len(frame), len(names)))
    for place, label in enumerate(names):
        series = frame.iloc[:, place]
        column = _column(label, series, inferred)
        try:
            held[:, place] = _numbers_of(column, series)
        except (BindError, TypeError, ValueError, OverflowError) as error:
            said = error.message if isinstance(error, BindError) else str(error)
            raise BindError(
                f"column {label!r} ({series.dtype}) of input '{name}' cannot be read: {said}; "
                f"make it a text with frame[{label!r}].astype(str), or drop it"
            ) from None
        columns.append(column)
    return held, FramePacking(tuple(columns), tuple(frame.columns.names) if any(frame.columns.names) else ())


def _words(column: pd.Series) -> list[str]:
    """The cells of a column as texts, "" where one is missing."""
    return ["" if missing else str(cell) for cell, missing in zip(column.array, column.isna(), strict=True)]


def _amounts(packing: FramePacking) -> Bools:
    """Which columns hold amounts (D,)."""
    return np.array([each.is_amount for each in packing.columns], dtype=bool)


def _held_as(dtype: str) -> str:
    plain = dtype.lower().split("[")[0]
    if plain in ("datetime64", "timedelta64"):
        return _TIMES
    if plain.rstrip("0123456789") in ("int", "uint", "float", "bool", "boolean"):
        return _NUMBERS
    return _VALUES


def _column(label: Hashable, series: pd.Series[Any], inferred: bool) -> FrameColumn:
    dtype = series.dtype
    if hasattr(dtype, "categories") and hasattr(dtype, "ordered"):
        return FrameColumn(label, "category", tuple(_plain(each) for each in dtype.categories), bool(dtype.ordered))
    return FrameColumn(label, str(dtype), inferred=inferred)


def _numbers_of(column: FrameColumn, series: pd.Series[Any]) -> Floats:
    """The cells of a column as they are held."""
    missing = series.isna().to_numpy(dtype=bool)
    if column.holds == _NUMBERS:
        if series.dtype.kind == "c":
            raise BindError("complex numbers have no order")
        kept = series[~missing]
        numbers: Floats = np.full(len(series), np.nan)
        numbers[~missing] = codes.numbers(kept.to_numpy(dtype=getattr(series.dtype, "numpy_dtype", series.dtype)))
        return numbers
    if column.holds == _TIMES:
        unit, per = _unit_of(column)
        kind = "timedelta64" if column.dtype.startswith("timedelta") else "datetime64"
        ticks = np.asarray(series.to_numpy(dtype=f"{kind}[{unit}]")).view(np.int64)
        found: Floats = ticks / float(per)
        for place in np.flatnonzero(~missing & ((ticks % per != 0) | (np.abs(found) > codes.MOST_EXACT))):
            found[place] = codes.code((unit, int(ticks[place])))
        found[missing] = np.nan
        return found
    if column.categories is not None:
        held = np.array([*(_value(each) for each in column.categories), np.nan])
        return cast(Floats, held[np.asarray(series.cat.codes)])
    own = series.dtype != object  # None and NaN are different values in an object column only
    values = series.to_numpy(dtype=object)
    return np.array([np.nan if own and gone else _value(cell) for cell, gone in zip(values, missing, strict=True)])


def _assigned(column: FrameColumn, value: float | str) -> float:
    """A value as a column holds it."""
    what = f"column {column.name!r} ({column.dtype})"
    if column.holds == _TIMES:
        raise BindError(f"{what} holds times, which cannot be assigned; substitute takes them from another row")
    if column.holds == _NUMBERS:
        if isinstance(value, str):
            raise BindError(f"'{value}' is a text, and {what} holds numbers")
        if column.dtype.lower().startswith("bool") and value not in (0, 1):
            raise BindError(f"{value:g} is no value of {what}: 0 is false, 1 is true")
        return float(value)
    plain = int(value) if isinstance(value, float) and value == int(value) else value
    if column.categories is not None and plain not in column.categories:
        known = [str(each) for each in column.categories]
        raise BindError(f"'{plain}' is no category of {what}{did_you_mean(str(plain), known)}")
    return _value(plain)


def _plain(cell: object) -> Hashable:
    """A cell as a Python value: NumPy's numbers and texts are those of Python."""
    found = cell.item() if isinstance(cell, np.generic) and cell.dtype.kind in "biufUS" else cell
    try:
        hash(found)
    except TypeError:
        raise BindError(f"it holds a {type(found).__name__}, which is no single value") from None
    return cast(Hashable, found)


def _value(cell: object) -> float:
    """A cell of a column of values as it is held: whole numbers, and numbers with a fraction, as themselves."""
    found = _plain(cell)
    if type(found) is int or (type(found) is float and found != np.floor(found)):
        return np.nan if found != found else codes.number(found)
    return codes.code(found)


def _series(column: FrameColumn, held: Floats) -> pd.Series[Any]:
    """Held numbers (B,) as a series of the column's dtype."""
    import pandas as pd

    missing, coded = np.isnan(held), codes.is_code(held)
    if column.holds == _VALUES:
        unique, places = np.unique(held, return_inverse=True, equal_nan=True)
        cells = [_cell_of(each, column) for each in unique.tolist()]
        if column.categories is not None:
            order = {(type(each), each): place for place, each in enumerate(column.categories)}
            position = np.array([-1 if each is None else order[type(each), each] for each in cells], dtype=np.int64)
            made = pd.Categorical.from_codes(
                position[places], categories=pd.Index(column.categories), ordered=column.ordered
            )
            return pd.Series(made)
        values = np.empty(len(cells), dtype=object)
        values[:] = cells
        return pd.Series(values[places], dtype=cast(Any, column.dtype))
    if column.holds == _TIMES:
        return _times(column, held)
    if column.dtype[0].isupper() or column.dtype == "boolean" or "[" in column.dtype or coded.any():
        values = np.empty(len(held), dtype=object)
        kind = column.dtype.lower()
        for place, each in enumerate(held.tolist()):
            if missing[place]:
                values[place] = pd.NA if "float" not in kind or column.dtype[0].isupper() else np.nan
            elif coded[place]:
                values[place] = codes.value_of(each)
            else:
                values[place] = bool(each) if kind.startswith("bool") else each if "float" in kind else round(each)
        return pd.Series(values).astype(cast(Any, column.dtype))
    numbers = held if column.dtype.startswith("float") else np.rint(held)
    return pd.Series(numbers.astype(column.dtype))


def _unit_of(column: FrameColumn) -> tuple[str, int]:
    """The unit in which times are exact, and how many of it are a microsecond."""
    return ("ns", 1000) if "[ns" in column.dtype else ("us", 1)


def _times(column: FrameColumn, held: Floats) -> pd.Series[Any]:
    """Held microseconds (B,) as a series of times."""
    import pandas as pd

    unit, per = _unit_of(column)
    missing, coded = np.isnan(held), codes.is_code(held)
    ticks: Ints = np.zeros(len(held), dtype=np.int64)
    whole = ~missing & ~coded
    ticks[whole] = np.rint(held[whole] * per).astype(np.int64)
    for place in np.flatnonzero(coded).tolist():
        of, count = cast(tuple[str, int], codes.value_of(float(held[place])))
        ticks[place] = count if of == unit else count * 1000 if unit == "ns" else count // 1000
    ticks[missing] = np.int64(np.iinfo(np.int64).min)
    if column.dtype.startswith("timedelta"):
        return pd.Series(ticks.view(f"timedelta64[{unit}]")).astype(cast(Any, column.dtype))
    series = pd.Series(ticks.view(f"datetime64[{unit}]"))
    if "," in column.dtype:  # of a time zone
        series = series.dt.tz_localize("UTC")
    return series.astype(cast(Any, column.dtype))


def _cell_of(held: float, column: FrameColumn) -> object:
    if np.isnan(held):
        return None if column.categories is not None else np.nan
    if codes.is_code(np.array([held]))[0]:
        return codes.value_of(held)
    return int(held) if held == np.floor(held) else held


def _joined(one: FrameColumn, two: FrameColumn) -> FrameColumn:
    """The column that holds the cells of both."""
    if one.inferred != two.inferred:
        return two if one.inferred else one
    if one.categories is not None and two.categories is not None:
        added = [each for each in two.categories if each not in one.categories]
        return dataclasses.replace(one, categories=(*one.categories, *added)) if added else one
    if one.dtype == two.dtype:
        return one
    if one.holds == two.holds == _NUMBERS:
        return dataclasses.replace(one, dtype=_common(one.dtype, two.dtype))
    texts = ("object", "str", "string")
    if one.dtype in texts and two.dtype in texts:
        return one
    if one.holds == two.holds == _TIMES and one.dtype[:8] == two.dtype[:8] and ("," in one.dtype) == ("," in two.dtype):
        return one
    raise BindError(
        f"column {one.name!r} is {one.dtype} in one frame and {two.dtype} in the other; give both one dtype, as in "
        "other.astype(frame.dtypes)"
    )


def _common(one: str, two: str) -> str:
    import pandas as pd

    both = (pd.Series([1], dtype=cast(Any, each)) for each in (one, two))
    found = str(pd.concat(list(both), ignore_index=True).dtype)
    return found if _held_as(found) == _NUMBERS else "float64"


def _wide_enough(column: FrameColumn, held: Floats) -> FrameColumn:
    """The column, as fractions where its whole numbers or booleans have some."""
    kind = column.dtype.lower().split("[")[0]
    if column.holds != _NUMBERS or kind.startswith("float"):
        return column
    missing = np.isnan(held)
    fits = (held == np.floor(held)) | missing | codes.is_code(held)
    if kind.startswith("bool"):
        fits &= missing | (held == 0) | (held == 1)
    nullable = column.dtype[0].isupper() or column.dtype == "boolean" or "[" in column.dtype
    if fits.all() and (nullable or not missing.any()):
        return column
    return dataclasses.replace(column, dtype="Float64" if nullable else "float64")


def _index(names: Sequence[Hashable], levels: Sequence[Hashable]) -> pd.Index[Any]:
    import pandas as pd

    if names and all(isinstance(each, tuple) for each in names) and len(levels) != 1:
        return pd.MultiIndex.from_tuples(cast(Any, list(names)), names=cast(Any, list(levels) or None))
    return pd.Index(list(names), name=levels[0] if levels else None, tupleize_cols=False)


def _doubles(row: Tensor) -> Floats:
    return cast(Floats, row.detach().cpu().to(torch.float64).numpy())


def _shown(names: Sequence[Hashable]) -> str:
    return ", ".join(repr(each) for each in names[:4]) + (f" +{len(names) - 4}" if len(names) > 4 else "")


def _of_other_columns(mine: list[Hashable], its: list[Hashable]) -> str:
    """That the frames of an input and of what it meets differ in their columns, which one lacks what, and what may be
    meant by it."""
    lacks, more = [each for each in mine if each not in its], [each for each in its if each not in mine]
    said = [f"the frame that it meets (a baseline, or another input) lacks {_shown(lacks)}"] if lacks else []
    said += [f"the input lacks {_shown(more)}, which the frame that it meets has"] if more else []
    told = "; ".join(said)
    return f"an input's frame and another differ in their columns: {told}; register frames of the same columns"

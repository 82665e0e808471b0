"""Maps for other libraries: data frames for pandas, explanations for shap.

In: the columns of finished maps. Out: objects of those libraries. May not know: queries, plans or models. pandas and
shap are extras, imported where they are used; IalgebraError if one is not installed.
"""

from __future__ import annotations

import importlib
from statistics import NormalDist
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..algebra.kinds import kind_named
from ..errors import IalgebraError, ShapeError
from ..system.arrays import Array, Ints
from .columns import CodedColumn, MapColumns, starts_of

if TYPE_CHECKING:
    import pandas
    import shap

_T = TypeVar("_T")


def frame(maps: MapColumns, details: bool) -> pandas.DataFrame:
    """All maps as one long data frame: one line per map and player; with `details` also how each was estimated. Of
    maps over concepts each line says what its map leaves unexplained."""
    pandas = require("pandas", "pandas")
    if not len(maps):
        return pandas.DataFrame()
    rows, names = maps.rows, maps.names
    fields: dict[str, CodedColumn[int] | CodedColumn[int | None] | CodedColumn[str]] = {
        "item": maps.item,
        "label": maps.label,
        "component": maps.component,
        "model": maps.model,
        "layer": maps.layer,
        "input": maps.input,
        "baseline": maps.baseline,
        "target": maps.target_name,
    }
    if details:
        fields["method"] = maps.method
    columns: dict[str, object] = {
        name: pandas.Series(list(field.table), dtype=_TYPES.get(name)).take(field.codes[rows]).to_numpy()
        for name, field in fields.items()
    }
    if any(each is not None for each in maps.unexplained.table):
        rest = np.array([np.nan if each is None else each for each in maps.unexplained.table])
        columns["unexplained"] = rest[maps.unexplained.codes[rows]]
    with np.errstate(over="ignore"):  # of huge values an interval may end in infinity
        reach = NormalDist().inv_cdf(0.975) * maps.stderr
        low, high = maps.values - reach, maps.values + reach
    columns["player"] = np.arange(len(rows)) - maps.starts[rows]
    columns["features"] = _objects([name for each in names.table for name in each])[_places(names, maps.counts, rows)]
    columns |= {"value": maps.values, "stderr": maps.stderr, "low": low, "high": high}
    return pandas.DataFrame(columns).astype({"component": "Int64", "layer": "Int64"})


_TYPES = {"component": "Int64", "layer": "Int64"}


def _objects(values: list[str]) -> NDArray[np.object_]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _places(names: CodedColumn[tuple[str, ...]], counts: Ints, rows: Ints) -> Ints:
    """For each player of each map, the place of its name among the names of all entries of the table."""
    first, starts = starts_of([len(each) for each in names.table])[names.codes], np.cumsum(counts) - counts
    places: Ints = (first - starts)[rows] + np.arange(len(rows))
    return places


def explanation(maps: MapColumns) -> shap.Explanation:
    """One map as a `shap.Explanation` of one instance; an image's channels come last, as shap expects."""
    names = maps.feature_names[0]
    return require("shap", "peers").Explanation(
        values=_channels_last(maps.kind[0], maps.map(0)),
        base_values=float(maps.base_value[0]),
        data=_channels_last(maps.kind[0], maps.content[0]),
        feature_names=None if names is None else list(names),
    )


def explanations(maps: MapColumns) -> shap.Explanation:
    """All maps as one batched `shap.Explanation`, `(n, *input_shape)`; ShapeError unless all have one shape."""
    shapes = {maps.content.table[code].shape for code in set(maps.content.codes.tolist())}
    if len(shapes) != 1:
        shown = ", ".join(map(str, sorted(shapes))) or "no shape"
        raise ShapeError(f"shap stacks maps of one shape and these have {shown}; convert them one by one")
    names, every = maps.feature_names[0], range(len(maps))
    values = np.empty((len(maps), *_channels_last(maps.kind[0], maps.map(0)).shape))
    for row in every:  # one at a time, because all maps together are large
        values[row] = _channels_last(maps.kind[row], maps.map(row))
    return require("shap", "peers").Explanation(
        values=values,
        base_values=maps.base_value.copy(),
        data=np.stack([_channels_last(maps.kind[row], maps.content[row]) for row in every]),
        feature_names=None if names is None else list(names),
    )


def _channels_last(kind: str, array: Array) -> Array:
    return np.moveaxis(array, 0, -1) if kind_named(kind).layout == "plane" and array.ndim == 3 else array


def require(module: str, extra: str) -> ModuleType:
    """An optional module, or an IalgebraError that says which extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        remedy = f'pip install "ialgebra[{extra}]"'
        raise IalgebraError(f"this needs {module}, which is not installed; run: {remedy}") from cause

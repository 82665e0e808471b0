"""Maps for other libraries: data frames for pandas, explanations for shap.

In: finished maps. Out: objects of those libraries. May not know: queries, plans or models. pandas and shap are extras,
imported where they are used; IalgebraError if one is not installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from ..algebra.kinds import kind_named
from ..errors import IalgebraError, ShapeError
from ..system.arrays import Array
from .shown import ShownMap

if TYPE_CHECKING:
    import pandas
    import shap


def frame(maps: Sequence[ShownMap], details: bool) -> pandas.DataFrame:
    """All maps as one long data frame: one line per map and player; with `details` also how each was estimated."""
    pandas = require("pandas", "pandas")
    if not maps:
        return pandas.DataFrame()
    counts = [len(a.values) for a in maps]
    names = [("item", "item"), ("label", "label"), ("component", "component"), ("model", "model"), ("layer", "layer")]
    names += [("input", "input"), ("baseline", "baseline"), ("target", "target_name")]
    names += [("method", "method")] if details else []
    columns: dict[str, object] = {
        name: pandas.Series([getattr(a, field) for a in maps], dtype=_TYPES.get(name)).repeat(counts).to_numpy()
        for name, field in names
    }
    intervals = [a.interval() for a in maps]
    columns["player"] = np.concatenate([np.arange(count) for count in counts])
    columns["features"] = [name for a in maps for name in a.player_names()]
    columns["value"] = np.concatenate([a.values for a in maps])
    columns["stderr"] = np.concatenate([a.stderr for a in maps])
    columns["low"] = np.concatenate([low for low, _ in intervals])
    columns["high"] = np.concatenate([high for _, high in intervals])
    return pandas.DataFrame(columns).astype({"component": "Int64", "layer": "Int64"})


_TYPES = {"component": "Int64", "layer": "Int64"}


def explanation(a: ShownMap) -> shap.Explanation:
    """One map as a `shap.Explanation` of one instance; an image's channels come last, as shap expects."""
    return require("shap", "peers").Explanation(
        values=_channels_last(a, a.map),
        base_values=a.base_value,
        data=_channels_last(a, a.content),
        feature_names=None if a.feature_names is None else list(a.feature_names),
    )


def explanations(maps: Sequence[ShownMap]) -> shap.Explanation:
    """All maps as one batched `shap.Explanation`, `(n, *input_shape)`; ShapeError unless all have one shape."""
    if len({a.map.shape for a in maps}) != 1:
        shapes = ", ".join(str(shape) for shape in sorted({a.map.shape for a in maps})) or "no shape"
        raise ShapeError(f"shap stacks maps of one shape and these have {shapes}; convert them one by one")
    first = maps[0]
    return require("shap", "peers").Explanation(
        values=np.stack([_channels_last(a, a.map) for a in maps]),
        base_values=np.array([a.base_value for a in maps]),
        data=np.stack([_channels_last(a, a.content) for a in maps]),
        feature_names=None if first.feature_names is None else list(first.feature_names),
    )


def _channels_last(a: ShownMap, array: Array) -> Array:
    return np.moveaxis(array, 0, -1) if kind_named(a.kind).layout == "plane" and array.ndim == 3 else array


def require(module: str, extra: str) -> ModuleType:
    """An optional module, or an IalgebraError that says which extra to install."""
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        remedy = f'pip install "ialgebra[{extra}]"'
        raise IalgebraError(f"this needs {module}, which is not installed; run: {remedy}") from cause

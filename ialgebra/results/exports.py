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


def frame(maps: Sequence[ShownMap]) -> pandas.DataFrame:
    """All maps as one long data frame: one line per map and player."""
    pandas = require("pandas", "pandas")
    pieces = []
    for a in maps:
        low, high = a.interval()
        about = {"item": a.item, "label": a.label, "component": a.component, "model": a.model, "layer": a.layer}
        about |= {"input": a.input, "baseline": a.baseline, "target": a.target_name, "method": a.method}
        figures = {"value": a.values, "stderr": a.stderr, "low": low, "high": high}
        names = {"player": np.arange(len(a.values)), "features": a.player_names()}
        pieces.append(pandas.DataFrame(about | names | figures).astype({"component": "Int64", "layer": "Int64"}))
    return pandas.concat(pieces, ignore_index=True) if pieces else pandas.DataFrame()


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

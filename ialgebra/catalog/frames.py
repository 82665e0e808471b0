"""Frames of pandas as they are registered: a DataFrame is a collection of rows, a Series or a single row one input.

In: what a caller registered. Out: its rows as numbers with their packing, or a BindError or ShapeError that says what
to register. It imports no pandas: without it, nothing is a frame.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from ..algebra.packings.frames import FramePacking, packed_frame
from ..errors import ShapeError
from ..system.arrays import Floats

if TYPE_CHECKING:
    import pandas as pd


def is_frame(value: object) -> bool:
    """Whether a value is a DataFrame or a Series of pandas, or a list of such."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return False
    several = list(value) if isinstance(value, list | tuple) else [value]
    return bool(several) and all(isinstance(each, (pandas.DataFrame, pandas.Series)) for each in several)


def read_frame(name: str, value: object) -> tuple[Floats, FramePacking]:
    """The rows of a frame (N, D), and their packing. The names of a Series are its index."""
    frame, inferred = _frame(name, value)
    if frame.shape[0] == 0 or frame.shape[1] == 0:
        raise ShapeError(f"frame '{name}' has shape {frame.shape}; it needs rows and columns")
    held, packing = packed_frame(name, frame, inferred)
    return np.ascontiguousarray(held), packing


def _frame(name: str, value: object) -> tuple[pd.DataFrame, bool]:
    """A DataFrame, and whether its dtypes are only those of one row's values."""
    import pandas as pd

    if isinstance(value, list | tuple):
        several = [_frame(name, each) for each in value]
        if any(list(each.columns) != list(several[0][0].columns) for each, _ in several):
            raise ShapeError(f"the frames of '{name}' differ in their columns; give all the same, in one order")
        return pd.concat([each for each, _ in several], ignore_index=True), any(inferred for _, inferred in several)
    if isinstance(value, pd.DataFrame):
        return value, False
    assert isinstance(value, pd.Series)
    row = value.to_frame().T
    return (row.infer_objects(), True) if value.dtype == object else (row.astype(value.dtype), False)

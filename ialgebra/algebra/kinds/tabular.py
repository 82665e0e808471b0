"""Tabular inputs: one row of a table, (features,), with fractions; each feature is a player."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ...system.arrays import Array, Ints
from ..players import Features, Labels
from .kind import InputKind, names_of_members


def _accepts(shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    return len(shape) == 1 and dtype.is_floating_point


def _index(value: Array) -> dict[str, Array]:
    return {"feature": np.arange(len(value)), "value": value}


def _player_names(players: Ints, count: int, content: Array, feature_names: Sequence[str] | None) -> list[str]:
    return names_of_members(players, count, feature_names or ())


TABULAR = InputKind(
    name="tabular",
    article="a tabular input",
    form="a tabular vector (D,)",
    axes="(features,)",
    dimensions=1,
    accepts=_accepts,
    common_dtype=True,
    columns=("feature", "value"),
    index=_index,
    named="feature",
    vocabulary=False,
    layout="none",
    quantities=True,
    partitions=(Features, Labels),
    default_partition=Features(),
    drawing="bars",
    player_names=_player_names,
)

"""Tabular inputs: one row of a table, (features,), with fractions; each feature is a player."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ...system.arrays import Array, Ints
from ..packings.codes import is_code, text_of
from ..players import Features, Groups, Labels
from .kind import InputKind, names_of_members

_MARKS = ("_", "=", ":", ".")  # between the name of a one-hot feature and its value


def _accepts(shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    return len(shape) == 1 and dtype.is_floating_point


def _index(value: Array) -> dict[str, Array]:
    """Texts are no numbers: their column `value` is not known, and `value_name` is the text."""
    columns: dict[str, Array] = {"feature": np.arange(len(value)), "value": value}
    if is_code(value.astype(np.float64)).any():
        words = [text_of(each) for each in value.tolist()]
        texts = np.array([word is not None for word in words])
        columns |= {"value": np.where(texts, np.nan, value), "value_name": np.array([word or "" for word in words])}
    return columns


def _player_names(players: Ints, count: int, content: Array, feature_names: Sequence[str] | None) -> list[str]:
    """The features' names; of all columns of one one-hot feature, the beginning that they share."""
    words = feature_names or ()
    found = names_of_members(players, count, words)
    labels = players.ravel()
    for player in range(count):
        members = np.flatnonzero(labels == player)
        if len(members) < 2 or len(words) != len(labels):
            continue
        stem = _shared_stem([words[place] for place in members.tolist()])
        if stem and all(labels[place] == player for place, word in enumerate(words) if stem_of(word, stem)):
            found[player] = stem
    return found


def stem_of(name: str, stem: str) -> bool:
    """Whether a feature is one of the one-hot columns of `stem`: city_A, city=A or onehot__city_A of city."""
    ends = (f"{stem}{mark}" for mark in _MARKS)
    return any(name.startswith(end) or f"__{end}" in name for end in ends)


def _shared_stem(words: Sequence[str]) -> str:
    """The longest beginning that the words share and that ends before a mark; empty if there is none."""
    first, last = min(words), max(words)
    same = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    shared = first[: next(same, min(len(first), len(last)))]
    ends = [shared.rfind(mark) for mark in _MARKS]
    return shared[: max(ends)] if max(ends) > 0 else ""


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
    partitions=(Features, Groups, Labels),
    default_partition=Features(),
    drawing="bars",
    player_names=_player_names,
)

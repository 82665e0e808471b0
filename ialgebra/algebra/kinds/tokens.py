"""Token sequences: (tokens,) of whole numbers, which a vocabulary may name; each token is a player."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ...system.arrays import Array, Ints
from ..players import Labels, Tokens
from .kind import InputKind, names_of_members


def _accepts(shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    return len(shape) == 1 and not dtype.is_floating_point


def _index(value: Array) -> dict[str, Array]:
    return {"position": np.arange(len(value)), "token": value, "value": value}


def _player_names(players: Ints, count: int, content: Array, feature_names: Sequence[str] | None) -> list[str]:
    words = [str(token) for token in content.ravel()] if feature_names is None else feature_names
    return names_of_members(players, count, words)


TOKENS = InputKind(
    name="tokens",
    article="a token sequence",
    form="integer tokens (T,)",
    axes="(tokens,)",
    dimensions=1,
    accepts=_accepts,
    common_dtype=False,
    columns=("position", "token"),
    index=_index,
    named="token",
    vocabulary=True,
    layout="line",
    quantities=False,
    partitions=(Tokens, Labels),
    default_partition=Tokens(),
    drawing="passage",
    player_names=_player_names,
)

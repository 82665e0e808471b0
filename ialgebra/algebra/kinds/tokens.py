"""Token sequences: (tokens,) of whole numbers, which a vocabulary or a tokenizer may name; each token is a player."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ...system.arrays import Array, Ints
from ..players import Labels, Sentences, Tokens, Words
from .kind import InputKind
from .naming import named_passages

_WORDS_SHOWN = 8  # of a player


def _accepts(shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    return len(shape) == 1 and not dtype.is_floating_point


def _index(value: Array) -> dict[str, Array]:
    return {"position": np.arange(len(value)), "token": value, "word": np.arange(len(value)), "value": value}


def _player_names(players: Ints, count: int, content: Array, feature_names: Sequence[str] | None) -> list[str]:
    words = [str(token) for token in content.ravel()] if feature_names is None else feature_names
    places = [np.flatnonzero(players.ravel() == player).tolist() for player in range(count)]
    return [named_passages([words[k] for k in place], place, _WORDS_SHOWN) for place in places]


TOKENS = InputKind(
    name="tokens",
    article="a token sequence",
    form="integer tokens (T,)",
    axes="(tokens,)",
    dimensions=1,
    accepts=_accepts,
    common_dtype=False,
    columns=("position", "token", "word"),
    index=_index,
    named="token",
    vocabulary=True,
    layout="line",
    quantities=False,
    partitions=(Tokens, Words, Sentences, Labels),
    default_partition=Tokens(),
    drawing="passage",
    player_names=_player_names,
)

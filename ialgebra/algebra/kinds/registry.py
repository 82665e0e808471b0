"""The kinds of inputs by name, and functions over all of them. A new kind is added here.

In: a kind's name, a tensor's shape and type, an input's values. Out: the kind, its columns. May not
know: the catalog, plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch

from ...errors import BindError, ShapeError, did_you_mean
from ...system.arrays import Array
from .composite import COMPOSITE, FORM, PART, composite, parts_of
from .image import IMAGE
from .kind import InputKind
from .naming import TextNames, text_names
from .naming import columns as text_columns
from .series import SERIES, SIGNAL
from .tabular import TABULAR
from .tokens import TOKENS
from .volume import VIDEO, VOLUME


class _Kinds(dict[str, InputKind]):
    """The kinds by name. A composite is not among them: its name tells its parts, and is read when it is asked for."""

    def __missing__(self, name: str) -> InputKind:
        parts = parts_of(name)
        if not parts:
            raise BindError(f"unknown kind of input '{name}'{did_you_mean(name, [*self, COMPOSITE])}")
        self_made = _composites.get(name)
        if self_made is None:
            self_made = _composites[name] = composite(name, parts, kind_named)
        return self_made


# The first kind that accepts an input is its kind.
KINDS: Final[Mapping[str, InputKind]] = _Kinds(
    (each.name, each)
    for each in (
        IMAGE,
        TABULAR,
        TOKENS,
        SERIES,
        SIGNAL,
        VOLUME,
        VIDEO,
    )
)
_OTHER_NAMES: Final = {"table": TABULAR.name}
_composites: dict[str, InputKind] = {}


def kind_named(name: str) -> InputKind:
    """The kind of this name; BindError for an unknown one."""
    return KINDS[_OTHER_NAMES.get(name, name)]


def kind_of(shape: tuple[int, ...], dtype: torch.dtype) -> InputKind | None:
    """The kind of an input of this shape and type that no one named; None if no kind accepts it."""
    return next((kind for kind in KINDS.values() if not kind.by_name_only and kind.accepts(shape, dtype)), None)


def is_batch(dimensions: int) -> bool:
    """Whether a tensor with this number of axes, of a kind that no one named, is a batch of inputs, not one input."""
    of_one = {kind.dimensions for kind in KINDS.values() if not kind.by_name_only}
    return dimensions not in of_one and dimensions - 1 in of_one


def forms() -> str:
    """What may be registered, in words."""
    return ", ".join([*(kind.form for kind in KINDS.values()), FORM]) + ", or a batch or list of these"


def all_columns() -> tuple[str, ...]:
    """The columns that a predicate may read on inputs of any kind, each once."""
    return tuple(dict.fromkeys([*(name for kind in KINDS.values() for name in kind.columns), PART]))


def named_columns() -> tuple[str, ...]:
    """The columns whose entries may have names; a predicate may compare them with a text."""
    named = [kind.named for kind in KINDS.values() if kind.named is not None]
    return tuple(dict.fromkeys([*named, "word", PART]))


def describe_columns(name: str | None) -> str:
    """`an image has row, col, channel and value`: the end of a sentence about an unknown column."""
    if name is None:
        return "; ".join(map(describe_columns, KINDS))
    kind = kind_named(name)
    return f"{kind.article} has {', '.join(kind.columns[:-1])} and {kind.columns[-1]}"


def columns_of(name: str, tensor: Array, feature_names: Sequence[str] | TextNames | None = None) -> dict[str, Array]:
    """The columns of one input of the kind `name`, as arrays that broadcast to the shape of `value`.

    `feature_names` name the features or, for a kind with a vocabulary, the words that values stand for. They are added
    as the column `feature_name` or `token_name`; names of tokens also make the column `word_name`. ShapeError
    for a tensor or names of another length; BindError for an unknown kind.
    """
    kind, value = kind_named(name), np.asarray(tensor)
    if value.ndim != kind.dimensions:
        raise ShapeError(f"{kind.article} has shape {kind.axes}, not {value.shape}")
    columns = kind.index(value)
    if isinstance(feature_names, TextNames):
        if len(feature_names) != len(value):
            raise ShapeError(f"{len(feature_names)} names do not name the tokens of a text of shape {value.shape}")
        return columns | text_columns(feature_names)
    if feature_names is not None and kind.named is not None:
        words = np.array(feature_names, dtype=np.object_)
        if len(words) != len(value) and not (kind.vocabulary and _counts_within(value, len(words))):
            raise ShapeError(f"{len(words)} feature names do not name the features of an input of shape {value.shape}")
        of_values = words if len(words) == len(value) else words[value.astype(np.intp)]
        columns[f"{kind.named}_name"] = of_values
        if kind.vocabulary:
            columns |= text_columns(text_names(of_values.tolist()))
    return columns


def _counts_within(value: Array, count: int) -> bool:
    numbers = value.astype(np.float64)
    return bool(((numbers >= 0) & (numbers < count)).all())

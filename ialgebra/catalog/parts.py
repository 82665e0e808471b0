"""Inputs of several named parts, as a caller gives them: a mapping, and words for each part.

In: what a caller registered. Out: whether it is a composite, and what its registration says of each part. It may not
know how a part is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np
from torch import Tensor

from ..errors import BindError, ShapeError, did_you_mean
from . import encodings

SaidOfParts = str | Mapping[str, str] | None  # what a registration says of an input, or of each of its parts

_RIDERS = ("attention_mask", "token_type_ids", "position_ids", "pixel_mask", "special_tokens_mask")


def is_composite(value: object) -> bool:
    """Whether a value is a mapping of named parts, and not what a tokenizer returns."""
    if not isinstance(value, Mapping) or not value:
        return False
    return not ("input_ids" in value and set(value) <= encodings.PARTS)


def together(name: str, inputs: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Several inputs of the same parts as one mapping, from part to the list of what each input has there."""
    parts = list(inputs[0])
    for number, each in enumerate(inputs):
        if list(each) != parts:
            raise ShapeError(
                f"input {number} of collection '{name}' has the parts {list(each)}, input 0 {parts}; give all the same"
            )
    return {part: [each[part] for each in inputs] for part in parts}


def is_rider(name: str) -> bool:
    """Whether a part rides along with the others: masks and positions of tokens or pixels."""
    return name in _RIDERS


def is_scalar(value: object) -> bool:
    """Whether a part is a single number."""
    return isinstance(value, Real) or (isinstance(value, Tensor | np.ndarray | np.generic) and value.ndim == 0)


def one_word(name: str, what: str, said: SaidOfParts) -> str | None:
    """What a registration says of an input without parts."""
    if said is None or isinstance(said, str):
        return said
    raise BindError(f"{what} of input '{name}' is a mapping, but the input has no named parts; give one word")


def words_of_parts(name: str, what: str, said: SaidOfParts, parts: Mapping[str, object]) -> dict[str, str]:
    """What a registration says of each part, by name; BindError for names that are none of a part."""
    for part in parts:
        if not isinstance(part, str):
            raise BindError(f"the parts of input '{name}' are named by texts, as in forward; {part!r} is none")
    if isinstance(said, str):
        if what == "kind" and said == "composite":
            return {}
        raise BindError(f"input '{name}' has several parts; say the {what} of each: {what}={{'part': '{said}'}}")
    for part in said or ():
        if part not in parts:
            raise BindError(f"input '{name}' has no part '{part}'{did_you_mean(part, list(parts))}")
    return dict(said or {})

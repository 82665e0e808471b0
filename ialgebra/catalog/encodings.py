"""What a tokenizer returns, read: token ids, and what rides on them.

In: a mapping with `input_ids` (a dict, or a BatchEncoding of Hugging Face), or a list of such. Out: the ids, the
attention mask and the token types, as arrays of one shape; a BindError or ShapeError says what else was given. It may
not know models, and imports no tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..errors import BindError, ShapeError

_READ = {"input_ids": "ids", "attention_mask": "attention", "token_type_ids": "types"}
_NOT_FOR_MODELS = {"special_tokens_mask", "offset_mapping", "length", "overflow_to_sample_mapping", "labels"}
PARTS = frozenset(_READ) | _NOT_FOR_MODELS
"""The names of all that a tokenizer may return."""


class Encoding(NamedTuple):
    """Token ids (T,) or (N, T), and, where they were given, the attention mask and the types, of the same shape."""

    ids: Tensor
    attention: Tensor | None
    types: Tensor | None


def is_encoding(value: object) -> bool:
    """Whether a value is what a tokenizer returns, or a list of such."""
    several = isinstance(value, list | tuple) and value
    return all(isinstance(each, Mapping) for each in cast("list[object]", value if several else [value]))


def encoding(name: str, value: object) -> Encoding:
    """What a mapping, or a list of mappings, holds. A batch of one sequence is one sequence."""
    if not isinstance(value, Mapping):
        texts = [encoding(name, each) for each in cast("list[object]", value)]
        if len({(tuple(text.ids.shape), text.attention is None, text.types is None) for text in texts}) > 1:
            raise ShapeError(f"the texts of collection '{name}' differ in length or parts; {_PADDED}")
        masks = [each.attention for each in texts if each.attention is not None]
        types = [each.types for each in texts if each.types is not None]
        ids = torch.stack([each.ids for each in texts])
        return Encoding(ids, torch.stack(masks) if masks else None, torch.stack(types) if types else None)
    parts = {str(key): part for key, part in value.items()}
    if "input_ids" not in parts:
        held = ", ".join(f"'{key}'" for key in parts) or "nothing"
        raise BindError(
            f"input '{name}' is a mapping of {held}; what a tokenizer returns is read, with 'input_ids' and perhaps "
            "'attention_mask' and 'token_type_ids'; register other parts one by one"
        )
    unread = [key for key in parts if key not in _READ and key not in _NOT_FOR_MODELS]
    if unread:
        raise BindError(f"part '{unread[0]}' of input '{name}' is not read; only {', '.join(_READ)} are; leave it out")
    read = {key: _array(name, key, parts[key]) for key in _READ if parts.get(key) is not None}
    shapes = {tuple(each.shape) for each in read.values()}
    if len(shapes) > 1:
        shown = ", ".join(f"{key} {tuple(each.shape)}" for key, each in read.items())
        raise ShapeError(f"the parts of input '{name}' differ in shape: {shown}")
    if "token_type_ids" in read and not read["token_type_ids"].any():
        del read["token_type_ids"]
    return Encoding(read["input_ids"], read.get("attention_mask"), read.get("token_type_ids"))


_PADDED = "pad them to one length, as in tokenizer(texts, padding=True)"


def _array(name: str, key: str, value: object) -> Tensor:
    """A part as whole numbers (T,) or (N, T)."""
    try:
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.array(cast("ArrayLike", value))
    except ValueError:
        raise ShapeError(f"the sequences of '{key}' of input '{name}' differ in length; {_PADDED}") from None
    if array.dtype.kind == "f" and (array == np.round(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "biu" or array.ndim not in (1, 2) or not array.size:
        raise ShapeError(
            f"'{key}' of input '{name}' has shape {array.shape} and holds {array.dtype} values; whole numbers (T,) or "
            "(N, T) are needed"
        )
    tensor = torch.from_numpy(array.astype(np.int64))
    return tensor[0] if tensor.dim() == 2 and len(tensor) == 1 else tensor

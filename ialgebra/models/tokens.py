"""Models of token sequences that read an attention mask, such as those of Hugging Face.

In: a module; token ids with what rides on them. Out: how the module is called, and packed tokens. A packed token is one
whole number, which holds the id, the token type and whether attention sees its position: so hybrids, names and stores
need not know of masks, and a position's mask goes where its token goes. Knows modules and tensors: no library is
imported, since a model is known by the names of its `forward`'s arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType

import torch
from torch import Tensor, nn

from ..errors import ShapeError
from ..kernels.forward import uncompiled
from .adapters.hugging_face import speaks

_TYPE_BITS = 32  # the place of a token's type in the packed number, above its id


@dataclass(frozen=True)
class TokenReader:
    """How a model reads tokens: the id with which texts are padded (None: unknown), and whether it takes token
    types."""

    pad: int | None
    types: bool

    def hidden(self, ids: Tensor, attention: Tensor | None) -> Tensor:
        """The positions (…, T) that attention does not see: as `attention` says or, without it, the padding, which is
        what begins or ends a sequence with the padding's id. A sequence of nothing else is seen as a whole."""
        if attention is not None:
            return attention == 0
        if self.pad is None:
            return torch.zeros_like(ids, dtype=torch.bool)
        padding = (ids == self.pad).to(torch.int8)
        ends = padding.cumprod(-1) | padding.flip(-1).cumprod(-1).flip(-1)
        return (ends == 1) & (padding == 0).any(-1, keepdim=True)

    def packed(self, ids: Tensor, hidden: Tensor, types: Tensor | None) -> Tensor:
        """One number (int64) a token, negative where it is hidden; ShapeError for ids that are no ids."""
        if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >> _TYPE_BITS):
            raise ShapeError(f"token ids are numbers from 0; here they are {int(ids.min())} to {int(ids.max())}")
        whole = ids.to(torch.int64) if types is None else ids.to(torch.int64) | types.to(torch.int64) << _TYPE_BITS
        return torch.where(hidden, ~whole, whole)

    def riding(self, ids: Tensor, packed: Tensor) -> Tensor:
        """Tokens with these ids (T,) that have the types of `packed` and are hidden where it is: there they are what it
        is."""
        types = packed >> _TYPE_BITS << _TYPE_BITS
        return torch.where(
            packed < 0, packed, self.packed(ids, torch.zeros_like(packed, dtype=torch.bool), types >> _TYPE_BITS)
        )

    def arguments(self, batch: Tensor) -> dict[str, Tensor] | None:
        """What the model is called with for packed tokens (B, T): ids, the attention mask, and types where some are
        not 0; None for another batch, which it is called with as it is."""
        if batch.is_floating_point() or batch.dim() != 2:
            return None
        hidden = batch < 0
        whole = torch.where(hidden, ~batch, batch)
        types = whole >> _TYPE_BITS
        given = {"input_ids": whole - (types << _TYPE_BITS), "attention_mask": (~hidden).to(torch.int64)}
        return given | {"token_type_ids": types} if self.types and bool(types.any()) else given


def is_packed(batch: Tensor) -> bool:
    """Whether tokens are packed already: some is hidden, or has a type."""
    return bool(((batch < 0) | (batch.to(torch.int64) >> _TYPE_BITS != 0)).any())


def token_reader(module: object) -> TokenReader | None:
    """How a module reads tokens; None for one whose `forward` takes no `input_ids` with an `attention_mask`."""
    model = _inner(module)
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        return None
    try:
        names = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return None
    if not {"input_ids", "attention_mask"} <= names.keys():
        return None
    pad = getattr(getattr(model, "config", None), "pad_token_id", None)
    return TokenReader(pad if type(pad) is int else None, "token_type_ids" in names)


def maskless_reader(model: object, nets: Iterable[nn.Module]) -> TokenReader | None:
    """How one of the modules `nets` inside a model reads padded tokens; None if none does, or if the model's own code
    speaks of an attention mask."""
    forward = getattr(model, "forward", model)
    function = getattr(forward, "__func__", forward)
    if isinstance(function, FunctionType) and "attention_mask" in _words(function.__code__):
        return None
    readers = (token_reader(each) for each in nets if each is not model)
    return next((reader for reader in readers if reader is not None and reader.pad is not None), None)


def _words(code: CodeType) -> set[str]:
    """The names and texts in a function's code, and in the functions inside it."""
    found = {*code.co_names, *code.co_varnames}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _words(constant)
        found |= {each for each in (constant if isinstance(constant, tuple) else (constant,)) if isinstance(each, str)}
    return found


def named_classes(module: object) -> dict[int, str] | None:
    """The names of a model's classes that its `config.id2label` holds; None if it holds none."""
    model = _inner(module)
    names = getattr(getattr(model, "config", None), "id2label", None) if isinstance(model, nn.Module) else None
    if not isinstance(names, Mapping) or not names or speaks(model):
        return None
    try:
        return {int(index): str(name) for index, name in names.items()}
    except (TypeError, ValueError):
        return None


def _inner(module: object) -> object:
    """The model inside what compiles it or spreads it over devices."""
    model = uncompiled(module) if isinstance(module, nn.Module) else module
    return model.module if isinstance(model, nn.DataParallel) else model

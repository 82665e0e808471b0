"""Whether a model is a function of the row alone, as far as rows that were met again have shown.

In: logits of rows that were met twice, alone and beside other rows. Out: whether they differ by more than rounding, and
the words for what that makes the model: *random* if equal batches get different outputs, *batch-dependent* if a row's
output depends on the rows beside it, or on its place among them. This file runs no model and knows no plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType, MethodType

import torch
from torch import Tensor, nn

from .noise import RepeatedRows

RANDOM, BATCH_DEPENDENT = "random", "batch-dependent"

# The largest difference by rounding between two passes of equally many rows, relative to the outputs. Such passes use
# the same kernels, which compute a row in the same order whatever lies beside it; most often they agree in every bit.
_SAME_FORM = {torch.float64: 1e-12, torch.float32: 5e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}
# The same between passes of different numbers of rows, whose kernels may differ. It is large, since rounding is
# amplified where a model subtracts large numbers; what changes with the number of rows alone changes more than this.
_OTHER_FORM = {torch.float64: 1e-6, torch.float32: 1e-2, torch.float16: 5e-2, torch.bfloat16: 0.2}
_LEAST_SIZE = 0.05  # an output counts as at least this share of the largest output of its row


@dataclass(eq=False)
class Behaviour:
    """What a model's rows have shown. `examined` is the form of the model that was examined, see `Network.form`; `rows`
    counts the rows that were run for that alone."""

    random: bool = False
    batch_dependent: bool = False
    examined: object = None
    due: bool = False  # an examination that gave no result is to be made again
    rows: int = 0
    repeated: list[RepeatedRows] = field(default_factory=list)  # of a random model

    @property
    def words(self) -> tuple[str, ...]:
        """What every answer of the model says; nothing for a function of the row."""
        return (RANDOM,) * self.random + (BATCH_DEPENDENT,) * self.batch_dependent


def said_in(method: str) -> bool:
    """Whether the method of an answer says that its model is no function of the row."""
    return bool(words_in(method))


def words_in(method: str) -> tuple[str, ...]:
    """What the method of an answer says of its model: that it is random, or batch-dependent, or neither."""
    said = method.split(", ")
    return tuple(word for word in (RANDOM, BATCH_DEPENDENT) if word in said)


def form_of(model: object, nets: Iterable[nn.Module]) -> tuple[object, ...]:
    """What decides whether a model with the modules `nets` is a function of the row, as far as it is cheap to see: the
    classes of its modules, and the code of their hooks and of the functions that they hold."""
    held = [model]
    for each in nets:
        hooks = (*each._forward_pre_hooks.values(), *each._forward_hooks.values())
        held += [type(each), *hooks, *(value for value in vars(each).values() if callable(value))]
    return tuple(map(_code, held))


def _code(value: object) -> object:
    """The code of a function or a method, a class itself, and the class of anything else."""
    if isinstance(value, partial):
        return _code(value.func)
    if isinstance(value, MethodType):
        return _code(value.__func__)
    return value.__code__ if isinstance(value, FunctionType) else value if isinstance(value, type) else type(value)


def precision(modules: Iterable[nn.Module], logits: Tensor) -> torch.dtype:
    """The least precise dtype that a model with these modules, parameters and `logits` computes in, as far as can be
    seen: logits of a half are widened, so they are asked whether a half holds them."""
    found = {each.dtype for module in modules for each in module.parameters(recurse=False)} | {logits.dtype}
    wide = {
        dtype for dtype in (torch.bfloat16, torch.float16) if torch.equal(logits.to(dtype).to(logits.dtype), logits)
    }
    return max((found | wide) & _SAME_FORM.keys(), key=lambda dtype: _SAME_FORM[dtype], default=torch.float32)


def differ(one: Tensor, other: Tensor, size: Tensor, dtype: torch.dtype, *, same_form: bool) -> bool:
    """Whether outputs (…, K) of equal rows differ by more than rounding in `dtype`; `size` (K,) says how large the
    outputs of the model are. `same_form`: both passes had equally many rows."""
    tolerance = (_SAME_FORM if same_form else _OTHER_FORM)[dtype]
    return bool(((one - other).abs() > tolerance * size).any())


def size_of(logits: Tensor) -> Tensor:
    """How large the outputs (rows, K) of a model are, for each class, (K,)."""
    largest = logits.abs().amax(dim=0)
    return torch.maximum(largest, _LEAST_SIZE * largest.max())


def warning(word: str) -> str:
    """The sentence with which the user is warned of one of a model's `words`, without the model's name before it."""
    if word == RANDOM:
        return (
            "is random: equal rows get different outputs; the standard errors of its answers hold the noise that was "
            "measured (docs/models.md)"
        )
    return (
        "is batch-dependent: a row's outputs depend on the rows beside it; queries run each row of it alone "
        "(docs/models.md)"
    )

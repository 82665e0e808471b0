"""How a model is called with a batch: with the tensor, or with what the batch's packing makes of it.

In: a model; batches. Out: the same model as a function of batches. A mapping is passed by name, where the model's
arguments have these names, else as one argument. Knows packings: not what kinds of inputs they serve.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ..algebra.packings import packing_of, plain


@dataclass(frozen=True)
class CalledByForm:
    """A model as a function of batches (B, *shape), with or without a packing."""

    model: Callable[..., object]

    def __call__(self, batch: Tensor) -> object:
        packing = packing_of(batch)
        if packing is None:
            return self.model(batch)
        value = packing.unpack(plain(batch))
        if isinstance(value, Mapping) and takes_names(self.model, value):
            return self.model(**value)
        return self.model(value)


def called_by_form(model: Callable[..., object]) -> CalledByForm:
    """The model as a function of batches of any form."""
    return CalledByForm(model)


def is_called_as_is(called: Callable[[Tensor], object], batch: Tensor) -> bool:
    """Whether a module itself is called with this batch, so that it may be compiled for it."""
    return isinstance(called, CalledByForm) and isinstance(called.model, nn.Module) and packing_of(batch) is None


def takes_names(model: Callable[..., object], names: Mapping[str, object]) -> bool:
    """Whether a model has all of these names among its arguments, or takes any."""
    try:
        parameters = inspect.signature(model.forward if isinstance(model, nn.Module) else model).parameters
    except (TypeError, ValueError):
        return False
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return True
    positional = {name for name, each in parameters.items() if each.kind is inspect.Parameter.POSITIONAL_ONLY}
    return set(names) <= set(parameters) - positional

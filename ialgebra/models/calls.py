"""How a model is called with a batch: with the tensor, with what the batch's packing makes of it, or by the names of
its arguments; and what becomes of its output.

In: a model; batches. Out: the same model as a function of batches. A mapping is passed by name, where the model's
arguments have these names, else as one argument. `preprocess` is applied to the batch before, `reduce` to the output
after. Knows packings: not what kinds of inputs they serve.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..algebra.packings import packing_of, plain
from ..errors import BindError
from .adapters.reducing import Reduce, last_seen, reduced
from .adapters.results import Reduced, output_tensor
from .inputs import computes_in, home

Preprocess = Callable[[Any], object]
Reader = Callable[[Tensor], dict[str, Tensor] | None]
"""What a model is called with instead of a batch, by name; None: with the batch itself."""


@dataclass(frozen=True)
class CalledByForm:
    """A model as a function of batches (B, *shape), with or without a packing. With `reduce` it returns `Reduced`. A
    model that is called `direct` reads packed batches itself."""

    model: Callable[..., object]
    reader: Reader | None = None
    preprocess: Preprocess | None = None
    reduce: Reduce | None = None
    direct: bool = False

    def __call__(self, batch: Tensor) -> object:
        if self.direct:
            return self.model(batch)
        packing = packing_of(batch)
        given: object = batch if packing is None else packing.unpack(plain(batch))
        if packing is None and self.reader is not None:
            named = self.reader(batch)
            given = batch if named is None else named
        seen = given.get("attention_mask") if isinstance(given, Mapping) else None
        if self.preprocess is not None:
            given = _as_tensors(self.preprocess(given), self.model)
        if isinstance(given, Mapping) and takes_names(self.model, given):
            if self.reduce == "last" and isinstance(seen, Tensor) and takes_names(self.model, {"logits_to_keep": seen}):
                return self._last(given, seen)
            raw = self.model(**given)
        else:
            raw = self.model(given)
        return raw if self.reduce is None else Reduced(raw, reduced(raw, self.reduce, cast("Tensor | None", seen)))

    def _last(self, given: Mapping[str, object], seen: Tensor) -> Reduced:
        """The output at the last position that is seen of each row, of a language model that computes others only if
        it is asked for them: (B, T, V) would be large."""
        kept, place = torch.unique(last_seen(seen != 0), return_inverse=True)
        raw = self.model(**given, logits_to_keep=kept)
        tensor = output_tensor(raw)
        if tensor is None or tensor.dim() != 3 or tensor.shape[1] != len(kept):
            return Reduced(raw, reduced(self.model(**given), "last", seen))
        return Reduced(raw, tensor[torch.arange(len(tensor), device=tensor.device), place.to(tensor.device)])

    def as_it_is(self, batch: Tensor) -> bool:
        """Whether a module itself is called with this batch, so that it may be compiled for it."""
        plainly = self.reader is None and self.preprocess is None and self.reduce is None
        return plainly and isinstance(self.model, nn.Module) and (self.direct or packing_of(batch) is None)


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


def as_callable(name: str, preprocess: object) -> Preprocess | None:
    """`preprocess`, if it is a function; BindError names model `name` otherwise."""
    if preprocess is not None and not callable(preprocess):
        kind = type(preprocess).__name__
        raise BindError(f"preprocess of model '{name}' is a {kind}; a function of batches is needed")
    return cast("Preprocess | None", preprocess)


def _as_tensors(given: object, module: Callable[..., object]) -> object:
    """What `preprocess` returned, as a torch module takes it: arrays as tensors, on the module's device, and fractions
    in the number type of its parameters. Anything else is given to the model as it is."""
    if not isinstance(module, nn.Module):
        return given
    if isinstance(given, Mapping):
        return {str(key): _as_tensors(value, module) for key, value in given.items()}
    if isinstance(given, np.ndarray) and given.dtype.kind in "biuf":
        given = torch.from_numpy(np.ascontiguousarray(given))
    if not isinstance(given, Tensor):
        return given
    wanted = computes_in(module)
    here = given.to(home(module))
    return here if wanted is None or not here.is_floating_point() else here.to(wanted)

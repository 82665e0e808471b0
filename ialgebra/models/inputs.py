"""What a model is given: batches as they were registered; in another number type only if the model refuses that one.

In: a batch, and a function that runs the model on one. Out: what that function returns. Types are tried in order of
what they lose, once for each type that comes; what a cast has lost is kept, to be said. Knows modules and tensors: no
layers, no classes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..algebra.dtypes import bits
from ..algebra.packings import Packing, carrying, packing_of, plain
from ..errors import IalgebraError
from ..system.shortage import is_out_of_memory

_T = TypeVar("_T")

_OF_TYPES = re.compile(
    r"\bd?types?\b|[Tt]ype\b|not implemented for|index tensor|integer|"
    r"\b(Double|Float|Half|BFloat16|Long|Int|Short|Byte|Char|Bool)(Tensor|Type)?\b|\b(u?int|b?float)\d+"
)
"""The words of errors about number types, as torch, NumPy and Python write them."""


def home(module: Callable[[Tensor], object]) -> torch.device:
    """The device of a module's weights; the CPU if it has none."""
    held = chain(module.parameters(), module.buffers()) if isinstance(module, nn.Module) else ()
    return next((tensor.device for tensor in held), torch.device("cpu"))


def computes_in(module: Callable[[Tensor], object]) -> torch.dtype | None:
    """The number type of a module's parameters; None if it has none with fractions."""
    held = module.parameters() if isinstance(module, nn.Module) else ()
    return next((each.dtype for each in held if each.is_floating_point()), None)


def ladder(dtype: torch.dtype, wanted: torch.dtype | None) -> list[torch.dtype]:
    """The types to try after `dtype`, from the one that loses least; of types that lose nothing, `wanted` first."""
    known = (torch.int64, torch.float32, torch.float64, torch.float16, torch.bfloat16)
    halves = (torch.float16, torch.bfloat16)
    tried = [each for each in known if each not in (dtype, *halves) or (each in halves and each == wanted != dtype)]
    if dtype.is_floating_point:
        tried.remove(torch.int64) if torch.int64 in tried else None

    def lost(each: torch.dtype) -> tuple[int, bool]:
        same_range = dtype != torch.bfloat16 or each != torch.float16
        return max(0, bits(dtype) - bits(each)) if same_range else bits(dtype), each != wanted

    return sorted(tried, key=lost)


@dataclass(eq=False)
class Cast:
    """A type that a model refused and the type that its numbers were cast to. `lost` is a number that the cast changed,
    and what it became; `grave` one that it changed by more than a half."""

    refused: torch.dtype
    taken: torch.dtype
    lost: tuple[float, float] | None = None
    grave: tuple[float, float] | None = None

    @property
    def words(self) -> str:
        """What happened, for people; nothing is said of a cast that changed no number."""
        before, after = self.grave or self.lost or (0.0, 0.0)
        refused, taken = (str(each).removeprefix("torch.") for each in (self.refused, self.taken))
        return (
            f"refuses {refused}, so that inputs are cast to {taken}, which changed a number from "
            f"{_written(before)} to {_written(after)}"
        )


@dataclass(eq=False)
class Intake:
    """The number types in which a model takes its inputs, as far as they came: found by trying, once for each type."""

    casts: dict[tuple[torch.dtype, torch.dtype | None], Cast | None] = field(default_factory=dict)
    forms: dict[tuple[str, torch.dtype | None], int] = field(default_factory=dict)  # taken, by the packing's key

    def knows(self, batch: Tensor, wanted: torch.dtype | None) -> bool:
        """Whether inputs of this type came before, to a model that computes in `wanted`."""
        packing = packing_of(batch)
        return (batch.dtype, wanted) in self.casts if packing is None else (packing.key, wanted) in self.forms

    def ready(self, batch: Tensor, wanted: torch.dtype | None) -> Tensor:
        """The batch in the type that the model takes, as far as that is known."""
        packing = packing_of(batch)
        if packing is not None:
            taken = _forms(batch, packing, wanted)[self.forms.get((packing.key, wanted), 0)]
            return taken if packing_of(taken) is not None else self.ready(taken, wanted)
        cast = self.casts.get((batch.dtype, wanted))
        return batch if cast is None else _cast(batch, cast)

    def given(self, batch: Tensor, wanted: torch.dtype | None, run: Callable[[Tensor], _T]) -> _T:
        """`run` of the batch as it is or, if that raises for its type, in the first type of `ladder` that it takes.

        If none serves, raises the error that says most: the first one that is not about types.
        """
        packing = packing_of(batch)
        if packing is not None:
            return self._packed(batch, packing, wanted, run)
        if self.knows(batch, wanted):
            return run(self.ready(batch, wanted))
        try:
            found = run(batch)
        except Exception as error:
            if is_out_of_memory(error) or isinstance(error, IalgebraError):
                raise
            first = error
        else:
            self.casts[batch.dtype, wanted] = None
            return found
        about_types = _about_types(first)
        errors = [first]
        for dtype in ladder(batch.dtype, wanted) if about_types else [wanted]:
            if dtype is None or dtype == batch.dtype:
                continue
            # It is known while it is tried, so that an error of what the model makes of it can name the cast.
            self.casts[batch.dtype, wanted] = Cast(batch.dtype, dtype)
            try:
                return run(self.ready(batch, wanted))
            except IalgebraError:
                raise
            except BaseException as error:
                del self.casts[batch.dtype, wanted]
                if not isinstance(error, Exception) or is_out_of_memory(error):
                    raise
                errors.append(error)
        raise next((error for error in errors if not _about_types(error)), first)

    def _packed(self, batch: Tensor, packing: Packing, wanted: torch.dtype | None, run: Callable[[Tensor], _T]) -> _T:
        """`run` of a batch in the form that its packing tells or, if that raises, in the first other one that the model
        takes; raises the first error if it takes none."""
        forms, place = _forms(batch, packing, wanted), (packing.key, wanted)
        known = self.forms.get(place)
        first: Exception | None = None
        for number in range(len(forms)) if known is None else (known,):
            taken = forms[number]
            try:
                found = run(taken) if packing_of(taken) is not None else self.given(taken, wanted, run)
            except Exception as error:
                if known is not None or is_out_of_memory(error) or isinstance(error, IalgebraError):
                    raise first or error from None
                first = first or error
            else:
                self.forms[place] = number
                return found
        assert first is not None
        raise first

    @property
    def lossy(self) -> list[Cast]:
        """The casts that changed a number."""
        return [cast for cast in self.casts.values() if cast is not None and cast.lost is not None]


def _forms(batch: Tensor, packing: Packing, wanted: torch.dtype | None) -> list[Tensor]:
    """The forms in which a model may take a batch with a packing, to try in this order."""
    cast = None if wanted is None else packing.cast(wanted)
    numbers = packing.numbers(plain(batch))
    forms = [batch, None if cast is None else carrying(batch, cast), None if numbers is None else plain(numbers)]
    return [each for each in forms if each is not None]


def _written(number: float) -> str:
    """A number in full, whole ones without a point."""
    whole = math.isfinite(number) and number == int(number) and abs(number) < 1e20
    return str(int(number)) if whole else repr(number)


def _cast(batch: Tensor, cast: Cast) -> Tensor:
    """The batch in another type; a number that is changed by it is noted."""
    ready = batch.to(cast.taken)
    if bits(cast.taken) < bits(cast.refused) and cast.grave is None:
        if cast.lost is None:
            cast.lost = _changed(batch, ready, 0.0)
        if float(batch.detach().double().abs().max()) >= 1 << (bits(cast.taken) - 1):
            cast.grave = _changed(batch, ready, 0.5)
    return ready


def _changed(batch: Tensor, ready: Tensor, by: float) -> tuple[float, float] | None:
    """The number that was changed most, and what it became; None if none was changed by more than `by`."""
    whole = not batch.is_floating_point() and bits(batch.dtype) <= bits(torch.int64)
    before, after = (each.detach().reshape(-1).to(torch.int64 if whole else torch.float64) for each in (batch, ready))
    difference = (after - before).double().abs().nan_to_num(nan=0.0, posinf=torch.inf)
    place = int(difference.argmax())
    return (before[place].item(), ready.detach().reshape(-1)[place].item()) if float(difference[place]) > by else None


def _about_types(error: Exception) -> bool:
    """Whether an error may be about number types: it says so, or nothing at all."""
    return isinstance(error, TypeError) or not str(error) or _OF_TYPES.search(str(error)) is not None

"""Guards: a place in Python objects in; a function that says whether the place still has what it had, out.

Objects are compared by identity, and numbers by checksum. That is sound because each object that can change has a guard
of its own. A guard takes a fraction of a microsecond, where a walk through the objects takes milliseconds. Knows
dictionaries, functions, slots and tensors: no digests.
"""

from __future__ import annotations

import sys
from abc import get_cache_token
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import repeat
from operator import is_
from types import FunctionType
from typing import Any
from weakref import ref

from numpy.typing import NDArray
from torch import Generator, Tensor

from .checksums import array_checksum, checksum
from .clearings import Remembering, clearings
from .objects import MISSING, Slots, enclosed, slot

Guard = Callable[[], bool]


def items(mapping: Mapping[Any, object], but: str | None = None) -> Guard:
    """The keys of a mapping in their order, and its values, but for that of one key."""
    keys, values = tuple(mapping), tuple(mapping.values())

    def same() -> bool:
        if len(mapping) != len(keys) or not all(map(is_, mapping, keys)):
            return False
        if all(map(is_, mapping.values(), values)):
            return True
        return but is not None and all(
            now is before or key == but for key, now, before in zip(keys, mapping.values(), values, strict=True)
        )

    return same


def still_empty(collections: Sequence[Collection[object]]) -> Guard:
    """Collections that are empty."""
    collections = tuple(collections)
    return lambda: not any(collections)


def names(mapping: Mapping[str, object], wanted: Sequence[str]) -> Guard:
    """What a mapping has under some names."""
    wanted = tuple(wanted)
    values = tuple(map(mapping.get, wanted, repeat(MISSING)))
    return lambda: all(map(is_, map(mapping.get, wanted, repeat(MISSING)), values))


def keys(mapping: Mapping[str, object]) -> Guard:
    """The names that a mapping has."""
    seen = frozenset(mapping)
    return lambda: mapping.keys() == seen


def parts(container: Collection[object]) -> Guard:
    """The elements of a list, a deque or a set."""
    seen = tuple(container)
    return lambda: len(container) == len(seen) and all(map(is_, container, seen))


def slotted(value: object, places: Slots) -> Guard:
    """What an object has in its slots."""
    seen = tuple(slot(each, value) for _, each in places)
    return lambda: all(slot(each, value) is before for (_, each), before in zip(places, seen, strict=True))


def function(value: FunctionType) -> Guard:
    """The code of a function, its defaults and what its closure holds."""
    code, defaults, further, cells = value.__code__, value.__defaults__, value.__kwdefaults__, value.__closure__ or ()
    seen = tuple(map(enclosed, cells))

    def same() -> bool:
        kept = value.__code__ is code and value.__defaults__ is defaults and value.__kwdefaults__ is further
        return kept and all(map(is_, map(enclosed, cells), seen))

    return same


def types(values: Sequence[object]) -> Guard:
    """The classes of objects, which can be given others, and the bases of these classes."""
    values = tuple(values)
    seen = tuple(map(type, values))
    bases = tuple((kind, kind.__mro__) for kind in dict.fromkeys(seen))
    return lambda: all(map(is_, map(type, values), seen)) and all(kind.__mro__ is before for kind, before in bases)


def imported(name: str) -> Guard:
    """The module of this name, if it is loaded."""
    seen = sys.modules.get(name)
    return lambda: sys.modules.get(name) is seen


def registrations() -> Guard:
    """That no class was registered as a subclass of an abstract one."""
    seen = get_cache_token()
    return lambda: get_cache_token() == seen


def generator(value: Generator) -> Guard:
    """The state of a generator of random numbers."""
    seen = checksum(value.get_state())
    return lambda: checksum(value.get_state()) == seen


def clearings_of(cache: Remembering) -> Guard:
    """That a function which remembers was not told to forget."""
    seen = clearings(cache)
    return lambda: clearings(cache) == seen


def target(reference: ref[Any]) -> Guard:
    """What a weak reference refers to."""
    seen = id(reference())
    return lambda: id(reference()) == seen


def tensor(value: Tensor) -> Guard:
    """The form and the numbers of a tensor. Raises UnreadableNumbers where they cannot be read."""
    seen = _form(value), checksum(value)
    return lambda: (_form(value), checksum(value)) == seen


def array(value: NDArray[Any]) -> Guard:
    """The form and the bytes of an array."""
    seen = value.shape, value.dtype, array_checksum(value)
    return lambda: (value.shape, value.dtype, array_checksum(value)) == seen


def _form(value: Tensor) -> tuple[object, ...]:
    return (value.dtype,) if value.is_nested else (value.dtype, value.shape)

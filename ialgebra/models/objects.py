"""What Python objects are made of: an object in; its attributes, its slots and the state that it pickles, out.

No method of an object is called, except those by which it pickles itself. Knows objects of any type: no models.
"""

from __future__ import annotations

import builtins
import collections
import ctypes
import types
from typing import cast

MISSING = object()
"""Stands where there is nothing: an attribute, a name or a cell that is not set."""

_HEAP_TYPE = 1 << 9  # the flag of types that are made while Python runs, by class statements for example
_BASES: tuple[type, ...] = (
    *(object, list, tuple, dict, set, frozenset, collections.deque, int, float, complex, str, bytes, bytearray),
    *(collections.OrderedDict, collections.defaultdict, BaseException, Exception, RuntimeError, ValueError),
)
_METHODS = (types.MethodDescriptorType, types.ClassMethodDescriptorType)
_POINTERS = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_wchar_p, ctypes._Pointer, ctypes.CDLL)

Slots = tuple[tuple[str, types.MemberDescriptorType], ...]
"""The slots of a class, by name."""


def made_while_running(kind: type) -> bool:
    """Whether a class was made by a class statement, or by a package in the same way; not by Python's core."""
    if not kind.__flags__ & _HEAP_TYPE:
        return False
    return kind.__module__ != "builtins" or vars(builtins).get(kind.__name__) is not kind


def attributes(value: object) -> dict[str, object] | None:
    """The dictionary of an object's attributes, or None where it has none."""
    if not type(value).__dictoffset__:
        return None
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return held if isinstance(held, dict) else None


def slots(kind: type) -> Slots:
    """The slots of a class and its bases."""
    return tuple(
        (name, each)
        for base in kind.__mro__
        for name, each in vars(base).items()
        if isinstance(each, types.MemberDescriptorType) and not (name.startswith("__") and name.endswith("__"))
    )


def slot(descriptor: types.MemberDescriptorType, value: object) -> object:
    """What an object has in a slot, or MISSING."""
    try:
        return descriptor.__get__(value)
    except AttributeError:  # not set
        return MISSING


def enclosed(cell: types.CellType) -> object:
    """What a cell of a closure holds, or MISSING."""
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return MISSING


def hidden(value: object) -> bool:
    """Whether this is a handle or a pointer, of which nothing can be read."""
    return isinstance(value, _POINTERS) or type(value).__name__ in ("PyCapsule", "CompiledFFI", "_CDataBase")


def compiled(kind: type) -> bool:
    """Whether instances of a class have content that is not in Python's attributes."""
    if type(kind).__name__.startswith(("pybind11", "nb_type")):
        return True
    for base in kind.__mro__:
        if base in _BASES:
            continue
        if not base.__flags__ & _HEAP_TYPE:
            return True
        if not {"__dict__", "__weakref__", "__slots__"} & vars(base).keys() and base.__base__ in (object, None):
            return True  # a class statement gives at least one of these
        if any(
            getattr(each, "__objclass__", None) is base for each in vars(base).values() if isinstance(each, _METHODS)
        ):
            return True  # methods of C, or of Rust
    return False


def pickles_itself(kind: type) -> bool:
    """Whether a class says how its objects are pickled."""
    named = ("__getstate__", "__reduce__", "__reduce_ex__")
    return any(getattr(kind, name, None) is not getattr(object, name, None) for name in named)


def pickled(value: object) -> tuple[object, ...] | str | None:
    """What an object gives to pickle: a global's name, or how to make it and its state. None where it refuses."""
    try:
        state = value.__reduce_ex__(4)
    except Exception:  # a compiled type may raise anything
        return None
    return cast("tuple[object, ...] | str", state)

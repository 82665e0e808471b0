"""Arguments against annotations. In: a public function. Out: the same, which refuses arguments of other types by name.

`@checked` reads a function's own annotations, so that what its signature says is what it takes: BindError names the
argument, what it may be and what it is. Scalars of NumPy become those of Python. Names in annotations that exist for
type checkers only are not checked. It knows no function in particular, and no ranges of values: functions check those.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Set, Sized
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import numpy as np

from ..errors import BindError, ResourceError
from .checks import shown

_P = ParamSpec("_P")
_T = TypeVar("_T")
_C = TypeVar("_C", bound=type)


class _Allowed(NamedTuple):
    """What an annotation allows, in words, and whether a value is of it."""

    words: str
    fits: Callable[[object], bool]


def checked(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """The function, which raises BindError for an argument that its annotations do not allow."""

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        try:
            wanted = _wanted_by(function)
            given = [_fitting(function, name, value, wanted[name]) for name, value in zip(wanted, args, strict=False)]
            named = {name: _fitting(function, name, value, wanted.get(name)) for name, value in kwargs.items()}
        except MemoryError as error:
            raise ResourceError(f"out of memory at the call of {function.__qualname__}; nothing was done") from error
        return cast("Callable[..., object]", function)(*given, *args[len(wanted) :], **named)

    return cast("Callable[_P, _T]", call)


def checked_fields(of: _C) -> _C:
    """A dataclass, whose fields are checked as the arguments of a function are."""
    made = cast("dict[str, Callable[..., None]]", vars(of))["__init__"]
    setattr(of, "__init__", checked(made))  # noqa: B010 - mypy takes a plain assignment for a mistake
    return of


def _fitting(function: Callable[..., object], name: str, value: Any, wanted: _Allowed | None) -> object:
    """The value, if it fits; a scalar of NumPy as one of Python."""
    if wanted is None:
        return value
    if not wanted.fits(value):
        where = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
        raise BindError(f"argument '{name}' of {where} must be {wanted.words}, not {shown(value)}")
    return value.item() if isinstance(value, np.bool_ | np.number | np.str_) else value


@functools.cache
def _wanted_by(function: Callable[..., object]) -> dict[str, _Allowed | None]:
    """What each parameter wants, in order; None where anything goes."""
    names = {**vars(typing), **vars(collections.abc), **vars(sys.modules[function.__module__])}
    found: dict[str, _Allowed | None] = {}
    for parameter in inspect.signature(function).parameters.values():
        alone = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
        try:
            known = typing.get_type_hints(alone, names)[parameter.name]
        except NameError:  # imported for type checkers only
            known = object
        found[parameter.name] = _wanted(known)
    return found


def _wanted(annotation: Any) -> _Allowed | None:
    """What an annotation allows; None where anything goes."""
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _any_of([_wanted(each) for each in arguments])
    if origin is typing.Literal:
        return _Allowed(" or ".join(map(repr, arguments)), lambda value: isinstance(value, str) and value in arguments)
    kind = origin or annotation
    if kind is np.ndarray:
        return _array(arguments)
    if kind == collections.abc.Callable:
        return _Allowed("a callable", callable)
    if not isinstance(kind, type) or kind in (object, inspect.Parameter.empty) or getattr(kind, "_is_protocol", False):
        return None
    if issubclass(kind, Mapping):
        return _Allowed("a mapping", lambda value: isinstance(value, Mapping))
    if kind is tuple:  # of one length or any, given as a list too
        return _list_of(None, unordered=False)
    if kind in (collections.abc.Sequence, collections.abc.Iterable, list):
        return _list_of(None if not arguments else _wanted(arguments[0]), unordered=kind is collections.abc.Iterable)
    if kind is Path:
        return _Allowed("a path", lambda value: isinstance(value, os.PathLike))
    name = kind.__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return _Allowed(f"{article} {name}", lambda value: isinstance(value, kind))


def _any_of(wanted: list[_Allowed | None]) -> _Allowed | None:
    known = [each for each in wanted if each is not None]
    if len(known) < len(wanted):
        return None
    words = list(dict.fromkeys(each.words for each in known))
    said = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    return _Allowed(said, lambda value: any(each.fits(value) for each in known))


def _list_of(element: _Allowed | None, unordered: bool) -> _Allowed:
    def fits(value: object) -> bool:
        if isinstance(value, str | bytes) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
            return False
        if not unordered and (isinstance(value, Set | Mapping) or not isinstance(value, Sized)):
            return False
        if element is None or not isinstance(value, Sized):
            return True
        items: Any = value
        alike = getattr(value, "ndim", 0) > 0 and getattr(value, "dtype", None) != np.dtype(object)
        return all(map(element.fits, items[:1] if alike else items))  # the rows of an array are of one type

    return _Allowed("a list" if element is None else f"a list (each {element.words})", fits)


def _array(arguments: tuple[Any, ...]) -> _Allowed:
    dtype = typing.get_args(arguments[1])[0] if len(arguments) > 1 and typing.get_args(arguments[1]) else np.generic
    of = "" if dtype in (np.generic, Any) else f" of {dtype.__name__}"
    kind = dtype if isinstance(dtype, type) else np.generic
    return _Allowed(f"an array{of}", lambda value: isinstance(value, np.ndarray) and issubclass(value.dtype.type, kind))


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def _real(value: object) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        return False
    return not isinstance(value, int) or abs(value) < 1 << 1023  # a larger one is no float


_SCALARS: dict[object, _Allowed | None] = {
    Any: None,
    object: None,
    None: _Allowed("None", lambda value: value is None),
    types.NoneType: _Allowed("None", lambda value: value is None),
    bool: _Allowed("True or False", lambda value: isinstance(value, bool | np.bool_)),
    int: _Allowed("a whole number", _whole),
    float: _Allowed("a number", _real),
    str: _Allowed("a text", lambda value: isinstance(value, str)),
}

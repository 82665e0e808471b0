"""A walk through Python objects: objects in; one line of text for each, in which others stand by their numbers, out.

What cannot change stands in a line itself. How the line of an object that can change is made, a function tells that
the walk is given; readers of code, modules, tensors and others are in files of their own. Beside the lines, a walk
collects guards, what could not be read, and the names that code mentions: attributes of classes and modules are read
only under those. Knows no type of object but plain values.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import hashlib
import pathlib
import re
import types
import uuid
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import torch
import xxhash
from torch import Tensor

from . import guards
from .objects import MISSING, attributes, hidden
from .origins import from_outside, library_function, library_module


def words_of(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


MOST_OBJECTS: Final = 200_000
"""Objects that a walk reads; a model that refers to more is read in part."""

_LONG = 1 << 12  # of texts and bytes longer than this, only a checksum is kept

PLAIN: tuple[type, ...] = (
    *(type(None), bool, float, complex, type(Ellipsis), type(NotImplemented), range, slice),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size, torch.finfo, torch.iinfo),
)
"""Types of values that cannot change and whose text is all of them."""

_BY_TEXT: tuple[type, ...] = (
    *(fractions.Fraction, decimal.Decimal, uuid.UUID, re.Pattern, types.GenericAlias, types.UnionType),
    *(datetime.date, datetime.time, datetime.datetime, datetime.timedelta, datetime.timezone),
)
_NAMED: tuple[type, ...] = (
    *(types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodDescriptorType, types.MethodWrapperType),
    *(types.ClassMethodDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType, np.ufunc),
    *(torch._ops.OpOverload, torch._ops.OpOverloadPacket),
)

ENTRIES = ("forward", "__call__", "predict_proba", "decision_function", "predict", "transform", "logits")
"""Methods by which a model is run from outside; they are read always, other methods where read code names them."""

UNREAD_METHODS: Final = words_of(
    "__init__ __new__ __init_subclass__ __repr__ __str__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __del__ "
    "__copy__ __deepcopy__ __class_getitem__ __dir__ __sizeof__ __getnewargs__ __getnewargs_ex__"
)
"""Methods that are no part of a model's pass: they make, copy, show and store objects."""

ReadLine = Callable[["Walk", object], str]
"""Makes the line of an object that can change."""


class Space(NamedTuple):
    """What is read only under names that code mentions: the attributes of a class or of a module, or of what is `apart`
    from computation, by the number of the object. `taken` are the names that were read, or need not be."""

    number: int
    held: Mapping[str, object]
    taken: set[str]
    apart: bool = False


class Walk:
    """One walk. Objects that can change are numbered as they are met, so that cycles end."""

    def __init__(self, read_line: ReadLine, patient: bool = False, every_hook: bool = False) -> None:
        self.read_line = read_line
        self.patient = patient  # takes what cannot be read now for unreadable
        self.numbers: dict[int, int] = {}  # by id
        self.held: list[object] = []  # by number; they are held, so that no id is given to a new object
        self.kept: list[object] = []  # further objects whose ids must stay theirs
        self.position = 0
        self.lines: list[str] = []
        self.guards: list[guards.Guard] = []
        self.guarded = True
        self.unread: dict[str, None] = {}
        self.here: list[str] = []
        self.empty: list[Collection[object]] = []  # one guard for all of them
        self.names: set[str] = set(ENTRIES)  # attributes that the code met so far may read
        self.every_name = False
        self.spaces: list[Space] = []
        self.libraries: dict[int, types.ModuleType] = {}  # modules of libraries that a closure or an attribute holds
        self.looked_up: dict[int, set[str]] = {}  # of these, the names that were looked at
        self.builtins: dict[str, None] = {}  # names that code reads
        self.tensor_methods: set[str] = set()  # names of methods of tensors that were looked at
        self.weight_names: dict[int, str] = {}  # by id
        self.every_hook = every_hook  # also those that only look, because the model reads what they write
        self.written: list[object] = []  # by hooks that only look

    def to_the_end(self) -> None:
        """Read every object that was met, and what they refer to."""
        more = True
        while more:
            while self.position < len(self.held):
                if self.position >= MOST_OBJECTS:
                    self.unread[f"more than {MOST_OBJECTS:,} objects"] = None
                    return
                value = self.held[self.position]
                self.position += 1
                number = self.position - 1
                try:
                    line = self.read_line(self, value)
                except Exception as error:  # an object may do anything when it is looked at
                    if isinstance(error, RuntimeError) and not self.patient:  # it was changed meanwhile
                        raise
                    line = self.unreadable(value)
                self.lines.append(f"{number}:{line}")
            more = self._mentioned() or self._methods_of_tensors() or self._in_libraries()

    def _mentioned(self) -> bool:
        """Read the methods of classes and the attributes of modules whose names code has mentioned since."""
        more = False
        for space in list(self.spaces):
            held = space.held
            found = sorted(name for name in list(held) if name not in space.taken and self._wanted(name, space))
            for name in found:
                space.taken.add(name)
                if not isinstance(held, types.MappingProxyType):  # of a class, everything has a guard
                    self.guards.append(guards.names(held, (name,)))
                self.lines.append(f"{space.number}.{name}={self.ref(held[name])}")
            more |= bool(found)
        return more

    def _methods_of_tensors(self) -> bool:
        """Read methods that a user gave to all tensors, where code mentions their names."""
        found = [name for name in sorted(self.names & vars(Tensor).keys()) if name not in self.tensor_methods]
        self.tensor_methods |= set(found)
        more = False
        for name in found:
            method = vars(Tensor)[name]
            if isinstance(method, types.FunctionType) and not library_function(method):
                self.lines.append(f"tensor.{name}={self.ref(method)}")
                more = True
        return more

    def _in_libraries(self) -> bool:
        """Read what a user has put in the place of functions of libraries, where code names them; and note which of
        these functions read from outside."""
        more = False
        for number, module in list(self.libraries.items()):
            held, looked_up = vars(module), self.looked_up.setdefault(number, set())
            names = sorted((self.names & held.keys()) - looked_up)
            looked_up.update(names)
            if names:
                self.guards.append(guards.names(held, names))
            for name in names:
                value = held[name]
                if isinstance(value, types.ModuleType):
                    if library_module(value) and id(value) not in self.libraries:
                        self.libraries[id(value)] = value
                        more = True
                elif from_outside(value, f"{module.__name__}.{name}"):
                    self.unread[f"{module.__name__}.{name}"] = None
                elif isinstance(value, types.FunctionType) and not library_function(value):
                    self.lines.append(f"{module.__name__}.{name}={self.ref(value)}")
                    more = True
        return more

    def _wanted(self, name: str, space: Space) -> bool:
        if name in self.names:
            return True
        special = name.startswith("__") and name.endswith("__")
        if space.apart or (special and not isinstance(space.held, types.MappingProxyType)):  # or of a module
            return False
        return name not in UNREAD_METHODS if special else self.every_name

    def ref(self, value: object) -> str:
        """A value that cannot change, in words; another by its number."""
        kind = type(value)
        if kind in PLAIN:
            return repr(value)
        if isinstance(value, str) and kind is str:
            return repr(value) if len(value) < _LONG else long_content(value.encode(errors="surrogatepass"))
        if isinstance(value, int) and kind is int:
            return hex(value)  # which has no limit of digits
        if isinstance(value, tuple) and kind is tuple:
            return f"({self.refs(value)})"
        if isinstance(value, bytes) and kind is bytes:
            return repr(value) if len(value) < _LONG else long_content(value)
        if isinstance(value, frozenset) and kind is frozenset:
            return f"frozenset({self.unordered(value)})"
        if kind in _BY_TEXT or isinstance(value, pathlib.PurePath | np.dtype):
            return f"{kind.__name__} {value!r}"
        if isinstance(value, types.MethodType):
            return f"method({self.ref(value.__func__)},{self.ref(value.__self__)})"
        if isinstance(value, weakref.ref):
            self.guards.append(guards.target(value))
            return f"weak({self.ref(value())})"
        if isinstance(value, np.generic) and not value.dtype.hasobject:
            return f"{value.dtype} {value.tobytes()!r}"
        if isinstance(value, _NAMED):
            return self._builtin(value)
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.held)
            self.held.append(value)
        return f"#{number}"

    def only_mentioned(self, value: object) -> None:
        """Read only those attributes of an object whose names code mentions; of one that was numbered."""
        held = attributes(value)
        if held is not None:
            self.spaces.append(Space(self.numbers[id(value)], held, set(), apart=True))

    def refs(self, values: Iterable[object]) -> str:
        """Several values, one after another."""
        return ",".join([self.ref(value) for value in values])

    def items(self, mapping: Mapping[Any, object], but: frozenset[str] = frozenset()) -> str:
        """The keys and values of a mapping, guarded, without those of the keys `but`."""
        self.guards.append(guards.items(mapping))
        pairs = [(key, part) for key, part in list(mapping.items()) if key not in but and not hidden(part)]
        return "{" + ",".join([f"{self.ref(key)}:{self.ref(part)}" for key, part in pairs]) + "}"

    def _builtin(self, value: object) -> str:
        owner = getattr(value, "__self__", None)
        held = owner is not None and not isinstance(owner, type | types.ModuleType)
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or str(value)
        home = getattr(value, "__module__", None) or getattr(getattr(value, "__objclass__", None), "__name__", "")
        return f"{home}.{name}" + (f" of {self.ref(owner)}" if held else "")

    def unordered(self, values: Iterable[object]) -> str:
        """The elements of a set, in an order that is the same in every process."""
        values = list(values)
        if all(type(value) in (*PLAIN, str, int, bytes) for value in values):
            return ",".join(sorted(map(self.ref, values)))
        self.guarded = False
        return repr(sorted(self._apart(value) for value in values))

    def note_here(self, values: Iterable[object]) -> None:
        """Read what this thread has, and others may have otherwise."""
        self.guarded = False
        self.here += [repr(self._apart(value)) for value in values if value is not MISSING]

    def _apart(self, value: object) -> tuple[str, ...]:
        """The lines of one value, which do not depend on what is read after it."""
        reader = Walk(self.read_line, self.patient, self.every_hook)
        reader.numbers, reader.held, reader.position = dict(self.numbers), list(self.held), len(self.held)
        reader.weight_names = self.weight_names
        first = reader.ref(value)
        reader.to_the_end()
        self.unread |= reader.unread
        self.names |= reader.names
        self.every_name |= reader.every_name
        self.kept.append(reader.held)
        return first, *reader.lines

    def unreadable(self, value: object) -> str:
        """The line of an object that cannot be read, which is noted."""
        kind = type(value)
        name = "a generator" if isinstance(value, types.GeneratorType) else f"a {kind.__qualname__}"
        self.unread[name] = None
        return f"unread {name}"


def digest_of(lines: Iterable[str]) -> str:
    """One name for lines of text, the same in every process."""
    return hashlib.blake2b("\x1e".join(lines).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def long_content(content: bytes) -> str:
    """The size and a checksum of bytes."""
    return f"{len(content)} bytes {xxhash.xxh3_128_hexdigest(content)}"

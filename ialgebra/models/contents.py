"""What a model holds: any Python objects in; a digest of all that can be read in them, and the names of the rest, out.

Read are tensors and arrays of every layout, attributes of any depth (private ones, slots, class attributes),
containers, the code of functions, methods and hooks, and the globals, closures and module attributes that this code
reads, transitively. Objects of compiled types are read through the state that they pickle. Equal content has an equal
digest in every process.

Not followed: what code of Python, torch and other installed packages reads, but for plain values and functions; what is
apart from any computation (locks, loggers, optimizers, streams that are only written); gradients and train flags.

A walk takes milliseconds, so it leaves guards. While all guards hold, its digest stands. Knows modules, functions and
tensors: no heads, no passes, no queries.
"""

from __future__ import annotations

import builtins
import collections
import ctypes
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import logging
import pathlib
import queue
import re
import sys
import threading
import types
import uuid
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor, nn

from . import guards
from .checksums import UnreadableNumbers, array_checksum, checksum
from .code import BY_NAME, CodeFacts, facts
from .objects import (
    MISSING,
    attributes,
    compiled,
    enclosed,
    hidden,
    made_while_running,
    pickled,
    pickles_itself,
    slot,
    slots,
)
from .observers import observation
from .origins import (
    core_function,
    from_outside,
    library_class,
    library_function,
    library_module,
    module_named,
    only_written,
    reading_attributes,
    remote,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MOST_OBJECTS = 200_000
"""Objects that a walk reads; a model that refers to more is read in part."""

_ATTEMPTS = 3  # to read a model that other threads are changing
_LONG = 1 << 12  # of texts and bytes longer than this, only a checksum is kept

_PLAIN: tuple[type, ...] = (
    *(type(None), bool, float, complex, type(Ellipsis), type(NotImplemented), range, slice),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size, torch.finfo, torch.iinfo),
)
_BY_TEXT: tuple[type, ...] = (
    *(fractions.Fraction, decimal.Decimal, uuid.UUID, re.Pattern, types.GenericAlias, types.UnionType),
    *(datetime.date, datetime.time, datetime.datetime, datetime.timedelta, datetime.timezone),
)
_NAMED: tuple[type, ...] = (
    *(types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodDescriptorType, types.MethodWrapperType),
    *(types.ClassMethodDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType, np.ufunc),
    *(torch._ops.OpOverload, torch._ops.OpOverloadPacket),
)
_METHODS: tuple[type, ...] = (
    *(types.FunctionType, classmethod, staticmethod, property),
    *(functools.cached_property, functools.partialmethod, functools.singledispatchmethod),
)
_APART: tuple[type, ...] = (
    *(type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Event, threading.Semaphore),
    *(threading.Barrier, threading.Thread, queue.Queue, queue.SimpleQueue, logging.Logger, logging.Handler),
    *(torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.utils.hooks.RemovableHandle),
    *(types.FrameType, types.TracebackType, torch.cuda.Stream, torch.cuda.Event, torch.Generator),
)
_READ_OTHERWISE: tuple[type, ...] = (types.SimpleNamespace, types.MappingProxyType, bytearray, memoryview)

_ENTRIES = ("forward", "__call__", "predict_proba", "decision_function", "predict", "transform", "logits")
"""Methods by which a model is run from outside; they are read always, other methods where read code names them."""

_CALLS = ("_call_impl", "_wrapped_call_impl", "__getattr__")  # of torch.nn.Module itself

_UNREAD_METHODS = _words(
    "__init__ __new__ __init_subclass__ __repr__ __str__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __del__ "
    "__copy__ __deepcopy__ __class_getitem__ __dir__ __sizeof__ __getnewargs__ __getnewargs_ex__"
)
_UNREAD_OF_CLASSES = _words(
    "__module__ __doc__ __dict__ __weakref__ __annotations__ __abstractmethods__ _abc_impl __slots__ __qualname__ "
    "__firstlineno__ __static_attributes__ __parameters__ __orig_bases__ __match_args__ __dataclass_params__ "
    "__dataclass_fields__ __annotate__ __annotations_cache__ __type_params__ __init__ __new__"
)
_UNREAD_OF_MODULES = _words(
    "training _parameters _buffers _modules _forward_hooks _forward_pre_hooks _forward_hooks_with_kwargs "
    "_forward_pre_hooks_with_kwargs _forward_hooks_always_called _backward_hooks _backward_pre_hooks "
    "_is_full_backward_hook _non_persistent_buffers_set _state_dict_hooks _state_dict_pre_hooks "
    "_load_state_dict_pre_hooks _load_state_dict_post_hooks _compiled_call_impl _flat_weight_refs"
)
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")
_HOLDERS = ("_parameters", "_buffers", "_modules", *_HOOKS)
_ORDINARY = (Tensor, nn.Parameter, nn.Buffer)


@dataclass(frozen=True, eq=False)
class Contents:
    """What was read in one walk.

    `digest` names all that was read but the weights of the model itself, which are `weights`: name and tensor of every
    parameter and buffer, and whether it is a buffer. `here` names what other threads may have otherwise: thread-local
    values and context variables. `unread` says in words what could not be read.
    """

    digest: str
    here: str
    weights: tuple[tuple[str, Tensor, bool], ...]
    unread: tuple[str, ...]
    guards: tuple[guards.Guard, ...] | None

    def hold(self) -> bool:
        """Whether another walk would read the same: every place has what it had."""
        if self.guards is None:
            return False
        try:
            return all(guard() for guard in self.guards)
        except (RuntimeError, AttributeError, TypeError, ValueError, UnreadableNumbers):  # it changes meanwhile
            return False


def contents(model: object) -> Contents:
    """What `model` holds. The weights of a module are listed; those of modules that anything else holds are part of the
    digest."""
    for _ in range(_ATTEMPTS):
        try:
            return _ContentReader().read(model)
        except RuntimeError:  # another thread changed a dictionary while it was read
            continue
    return _ContentReader(patient=True).read(model)


class _ContentReader:
    """One walk. Objects that can change are numbered as they are met, so that cycles end; each gives one line of text
    in which others stand by their numbers. What cannot change stands there itself."""

    def __init__(self, patient: bool = False, every_hook: bool = False) -> None:
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
        self.names: set[str] = set(_ENTRIES)  # attributes that the code met so far may read
        self.every_name = False
        self.spaces: list[tuple[int, Mapping[str, object], set[str]]] = []  # read under the names that code mentions
        self.builtins: dict[str, None] = {}  # names that code reads
        self.tensor_methods: set[str] = set()  # names of methods of tensors that were looked at
        self.weight_names: dict[int, str] = {}  # by id
        self.every_hook = every_hook  # also those that only look, because the model reads what they write
        self.written: list[object] = []  # by hooks that only look

    def read(self, model: object) -> Contents:
        """Walk through everything that `model` refers to."""
        weights: list[tuple[str, Tensor, bool]] = []
        if isinstance(model, nn.Module):
            held: list[tuple[str, Tensor, bool]] = []
            held += [(name, each, False) for name, each in model.named_parameters(remove_duplicate=False)]
            held += [(name, each, True) for name, each in model.named_buffers(remove_duplicate=False)]
            weights = [each for each in held if type(each[1]) in _ORDINARY]
            self.weight_names = {id(tensor): name for name, tensor, _ in reversed(weights)}
        self.lines.append(self.ref(model))
        self._hooks_of_all_modules()
        self._walk()
        if any(id(each) in self.numbers for each in self.written):
            return _ContentReader(self.patient, every_hook=True).read(model)
        self.guards.append(guards.types([each for each in self.held if made_while_running(type(each))]))
        self.guards.append(guards.still_empty(self.empty))
        self.guards.append(guards.names(vars(builtins), list(self.builtins)))
        self.guards.append(guards.names(vars(Tensor), sorted(self.names)))
        guarded = tuple(self.guards) if self.guarded else None
        return Contents(_digest(self.lines), _digest(self.here), tuple(weights), tuple(self.unread), guarded)

    def _walk(self) -> None:
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
                    line = self._line(value)
                except Exception as error:  # an object may do anything when it is looked at
                    if isinstance(error, RuntimeError) and not self.patient:  # it was changed meanwhile
                        raise
                    line = self._unreadable(value)
                self.lines.append(f"{number}:{line}")
            more = self._mentioned() or self._methods_of_tensors()

    def _mentioned(self) -> bool:
        """Read the methods of classes and the attributes of modules whose names code has mentioned since."""
        more = False
        for number, space, taken in list(self.spaces):
            found = sorted(name for name in list(space) if name not in taken and self._wanted(name, space))
            for name in found:
                taken.add(name)
                if not isinstance(space, types.MappingProxyType):  # of a class, everything has a guard
                    self.guards.append(guards.names(space, (name,)))
                self.lines.append(f"{number}.{name}={self.ref(space[name])}")
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

    def _wanted(self, name: str, space: Mapping[str, object]) -> bool:
        if name in self.names:
            return True
        special = name.startswith("__") and name.endswith("__")
        if special and not isinstance(space, types.MappingProxyType):  # of a module
            return False
        return name not in _UNREAD_METHODS if special else self.every_name

    # What stands in a line.

    def ref(self, value: object) -> str:
        """A value that cannot change, in words; another by its number."""
        kind = type(value)
        if kind in _PLAIN:
            return repr(value)
        if isinstance(value, str) and kind is str:
            return repr(value) if len(value) < _LONG else _long(value.encode(errors="surrogatepass"))
        if isinstance(value, int) and kind is int:
            return hex(value)  # which has no limit of digits
        if isinstance(value, tuple) and kind is tuple:
            return f"({self._refs(value)})"
        if isinstance(value, bytes) and kind is bytes:
            return repr(value) if len(value) < _LONG else _long(value)
        if isinstance(value, frozenset) and kind is frozenset:
            return f"frozenset({self._unordered(value)})"
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

    def _refs(self, values: Iterable[object]) -> str:
        return ",".join([self.ref(value) for value in values])

    def _items(self, mapping: Mapping[Any, object], but: frozenset[str] = frozenset()) -> str:
        self.guards.append(guards.items(mapping))
        pairs = [(key, part) for key, part in list(mapping.items()) if key not in but and not hidden(part)]
        return "{" + ",".join([f"{self.ref(key)}:{self.ref(part)}" for key, part in pairs]) + "}"

    def _builtin(self, value: object) -> str:
        owner = getattr(value, "__self__", None)
        held = owner is not None and not isinstance(owner, type | types.ModuleType)
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or str(value)
        home = getattr(value, "__module__", None) or getattr(getattr(value, "__objclass__", None), "__name__", "")
        return f"{home}.{name}" + (f" of {self.ref(owner)}" if held else "")

    def _unordered(self, values: Iterable[object]) -> str:
        """The elements of a set, in an order that is the same in every process."""
        values = list(values)
        if all(type(value) in (*_PLAIN, str, int, bytes) for value in values):
            return ",".join(sorted(map(self.ref, values)))
        self.guarded = False
        return repr(sorted(self._apart(value) for value in values))

    def _here(self, values: Iterable[object]) -> None:
        """Read what this thread has, and others may have otherwise."""
        self.guarded = False
        self.here += [repr(self._apart(value)) for value in values if value is not MISSING]

    def _apart(self, value: object) -> tuple[str, ...]:
        """The lines of one value, which do not depend on what is read after it."""
        reader = _ContentReader(self.patient, self.every_hook)
        reader.numbers, reader.held, reader.position = dict(self.numbers), list(self.held), len(self.held)
        reader.weight_names = self.weight_names
        first = reader.ref(value)
        reader._walk()
        self.unread |= reader.unread
        self.names |= reader.names
        self.every_name |= reader.every_name
        self.kept.append(reader.held)
        return first, *reader.lines

    # One object that can change.

    def _line(self, value: object) -> str:
        match value:
            case Tensor():
                return self._tensor(value)
            case np.ndarray():
                return self._array(value)
            case torch.jit.ScriptModule():
                return self._script(value)
            case torch.jit.ScriptFunction():
                return f"script {_without_places([str(value.graph)])}"
            case nn.Module():
                return self._module(value)
            case types.FunctionType():
                return self._function(value)
            case type():
                return self._class(value)
            case types.ModuleType():
                return self._python_module(value)
            case property():
                return f"property {self._refs((value.fget, value.fset))}"
            case classmethod() | staticmethod():
                return f"{type(value).__name__} {self.ref(value.__func__)}"
            case functools.cached_property():
                return f"cached {self.ref(value.func)}"
            case functools._lru_cache_wrapper():
                return f"remembered {self.ref(value.__wrapped__)}"
            case functools.partial():
                words = self._refs((value.func, value.args))
                return f"partial {words}{self._items(value.keywords)}{self._items(vars(value))}"
            case ContextVar():
                self._here((value.get(MISSING),))
                return f"variable {value.name}"
            case threading.local():
                self._here((vars(value),))
                return "local"
            case enum.Enum():
                return f"{self.ref(type(value))}.{value.name} {self.ref(value.value)}"
            case ctypes._SimpleCData() if not hidden(value):
                self.guarded = False
                return f"{type(value).__name__} {value.value!r}"
            case _ if isinstance(value, _APART) or only_written(value):
                return type(value).__name__
        return self._object(value)

    def _tensor(self, tensor: Tensor) -> str:
        if (name := self.weight_names.get(id(tensor))) is not None:
            return f"weight {name}{self._further(tensor)}"
        flatten = getattr(tensor, "__tensor_flatten__", None)
        if type(tensor) not in _ORDINARY and flatten is not None:
            self.guarded = False
            inner, told = flatten()
            held = [getattr(tensor, each) for each in inner]
            self.kept.append(held)
            return f"{type(tensor).__name__} {told!r} {self._refs(held)}"
        try:
            self.guards.append(guards.tensor(tensor))
            form = () if tensor.is_nested else tuple(tensor.shape)
            return f"tensor {form} {tensor.dtype} {checksum(tensor)}{self._further(tensor)}"
        except UnreadableNumbers:
            return self._unreadable(tensor)

    def _further(self, tensor: Tensor) -> str:
        """The attributes that somebody gave to a tensor."""
        held = attributes(tensor)
        if held == {}:
            self.empty.append(held)
        return self._items(held) if held else ""

    def _array(self, array: NDArray[Any]) -> str:
        plain = np.asarray(array)
        held = attributes(array)
        further = self._items(held) if held else ""
        if plain.dtype.hasobject:
            self.guarded = False
            parts = plain.reshape(-1).tolist()
            self.kept.append(parts)
            return f"array {plain.dtype} {plain.shape} {self._refs(parts)}{further}"
        self.guards.append(guards.array(plain))
        return f"array {plain.dtype} {plain.shape} {array_checksum(plain)}{further}"

    def _script(self, script: torch.jit.ScriptModule) -> str:
        """A module from torch.jit: its code, and its attributes beside its weights."""
        self.guarded = False
        weights = set(self.weight_names.values())
        words = []
        for path, each in script.named_modules():
            part = each._c if isinstance(each, torch.jit.ScriptModule) else None
            if part is None:
                continue
            graphs = [str(part._get_method(method).graph) for method in part._method_names()]
            words.append(f"{path} {_without_places(graphs)}")
            told = part.dump_to_str(False, True, False).splitlines()
            for name in dict.fromkeys(line.split("=")[0].strip() for line in told):
                if name.isidentifier() and name != "training" and part.hasattr(name):
                    inner = part.getattr(name)
                    if f"{path}.{name}".lstrip(".") not in weights and not isinstance(inner, torch._C.ScriptModule):
                        self.kept.append(inner)
                        words.append(f"{path}.{name}={self.ref(inner)}")
        hooks = [hook for each in script.modules() for name in _HOOKS for hook in getattr(each, name, {}).values()]
        return f"script {words} {self._hooks(hooks)}"

    def _module(self, module: nn.Module) -> str:
        held = vars(module)
        self.guards.append(guards.items(held, but="training"))
        for each in [cast("Mapping[str, object] | None", held.get(name)) for name in _HOLDERS]:
            if each:
                self.guards.append(guards.items(each))
            elif each is not None:
                self.empty.append(each)
        words = [f"{key}={self.ref(part)}" for key, part in list(held.items()) if key not in _UNREAD_OF_MODULES]
        for name in ("_parameters", "_buffers", "_modules"):
            words += [f"{key}={self.ref(part)}" for key, part in list(held.get(name, {}).items())]
        for name in _HOOKS:
            mapping, flags = held.get(name) or {}, held.get(f"{name}_with_kwargs") or {}
            if hooks := self._hooks(mapping.values()):
                self.guards.append(guards.items(flags))
                words.append(f"{name}={hooks} {[key in flags for key in mapping]}")
        return f"{self.ref(type(module))}{{{','.join(words)}}}{self._slots(module)}"

    def _hooks_of_all_modules(self) -> None:
        """Hooks that torch calls for every module there is."""
        for name in ("_global_forward_pre_hooks", "_global_forward_hooks"):
            hooks: Mapping[object, object] = getattr(torch.nn.modules.module, name, {})
            self.guards.append(guards.items(hooks))
            self.lines.append(f"{name} {self._hooks(hooks.values())}")

    def _hooks(self, hooks: Iterable[object]) -> str:
        """Hooks, but for those that only look."""
        words = []
        for hook in list(hooks):
            looks = None if self.every_hook else observation(hook)
            if looks is None:
                words.append(self.ref(hook))
            else:
                self.guards += looks.guards
                self.written += looks.written
        return ",".join(words)

    # Code.

    def _function(self, function: types.FunctionType) -> str:
        self.guards.append(guards.function(function))
        original = vars(function).get("_torchdynamo_orig_callable")
        if original is not None:  # of torch.compile, which computes the same
            return f"compiled {self.ref(original)}"
        known, library = facts(function.__code__), library_function(function)
        held = [enclosed(cell) for cell in function.__closure__ or ()]
        core = library and core_function(function)
        words = [_name(function) if core else known.digest, self.ref(function.__defaults__)]
        words += ["unset" if each is MISSING else self.ref(each) for each in held]
        for further in (function.__kwdefaults__, vars(function)):
            if further:
                words.append(self._items(further, frozenset({"__wrapped__"})))
        words += self._globals(function, known, library, core)
        if not library:
            self._read_by(function, known)
        return f"function {' '.join(words)}"

    def _read_by(self, function: types.FunctionType, known: CodeFacts) -> None:
        """Note what a user's function may read beside its globals."""
        self.names |= known.attributes
        self.every_name |= bool(BY_NAME & (known.attributes | {chain[0] for chain in known.chains}))
        for name in reading_attributes(known.attributes):
            self.unread[f"'{name}' in '{function.__qualname__}'"] = None
        for name, level, told in known.imports:
            whole = module_named(name, level, function.__globals__)
            self.guards.append(guards.imported(whole))
            module = sys.modules.get(whole)
            if module is None:
                continue
            self.lines.append(f"import {whole} {self.ref(module)}")
            if library_module(module):
                for part in known.attributes:
                    if from_outside(vars(module).get(part, MISSING), f"{whole}.{part}"):
                        self.unread[f"{whole}.{part}"] = None
            for part in told:
                if part in vars(module) and not library_module(module):
                    self.lines.append(f"import {whole}.{part}={self.ref(vars(module)[part])}")

    def _globals(self, function: types.FunctionType, known: CodeFacts, library: bool, core: bool) -> Iterator[str]:
        """What a function reads of its module, and of the modules of libraries that stand there. Of a function of a
        library, only plain values and functions; of Python and torch themselves, only what a user has put there."""
        shared, inherent = function.__globals__, vars(builtins)
        roots = list(dict.fromkeys(chain[0] for chain in known.chains))
        if roots:
            self.guards.append(guards.names(shared, roots))
            self.builtins |= dict.fromkeys(root for root in roots if root not in shared)
        for root, *further in known.chains:
            value = shared.get(root, inherent.get(root, MISSING))
            path = f"builtins.{root}" if root not in shared else root
            while isinstance(value, types.ModuleType) and further and library_module(value):
                held, name = vars(value), further.pop(0)
                path = f"{value.__name__}.{name}"
                if name not in held:  # made when it is asked for
                    break
                self.guards.append(guards.names(held, (name,)))
                value = held[name]
            if not library and from_outside(value, path):
                self.unread[path.removeprefix("builtins.")] = None
            elif value is MISSING:
                yield f"{path} unset"
            elif isinstance(value, types.FunctionType) and library_function(value):
                if not core or value.__name__ != path.rpartition(".")[2]:
                    yield f"{path}={_name(value)} {'' if core_function(value) else facts(value.__code__).digest}"
            elif not library or isinstance(value, types.FunctionType):
                yield f"{path}={self.ref(value)}"
            elif type(value) in (*_PLAIN, str, int) and not core:
                yield f"{path}={value!r}"

    def _class(self, kind: type) -> str:
        if not made_while_running(kind):
            return f"type {kind.__module__}.{kind.__qualname__}"
        held = vars(kind)
        bases = self._refs(base for base in kind.__bases__ if base is not object)
        if library_class(kind):
            names = (*_ENTRIES, *_CALLS) if kind is nn.Module else _ENTRIES
            self.guards.append(guards.names(held, names))
            own = [f"{name}={self.ref(held[name])}" for name in names if name in held]
            return f"type {kind.__module__}.{kind.__qualname__} {bases} {own}"
        self.guards.append(guards.items(held))
        taken = set(_UNREAD_OF_CLASSES)
        overridden = {name for base in kind.__mro__[1:] if base not in (object, nn.Module) for name in vars(base)}
        words = []
        for name, value in list(held.items()):
            if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
                taken.add(name)
            elif name not in taken and (not isinstance(value, _METHODS) or name in overridden - _UNREAD_METHODS):
                taken.add(name)
                words.append(f"{name}={self.ref(value)}")
        self.spaces.append((self.numbers[id(kind)], held, taken))
        meta = "" if made_while_running(type(kind)) and library_class(type(kind)) else self.ref(type(kind))
        return f"class {kind.__qualname__} {bases} {meta} {words}"

    def _python_module(self, module: types.ModuleType) -> str:
        if not library_module(module):
            self.guards.append(guards.keys(vars(module)))  # a name that code reads may come to be
            self.spaces.append((self.numbers[id(module)], vars(module), set()))
        return f"module {module.__name__}"

    # Any other object.

    def _object(self, value: object) -> str:
        kind = type(value)
        if hidden(value) or remote(kind):
            return self._unreadable(value)
        words = [self.ref(kind), self._contained(value)]
        held, places = attributes(value), slots(kind)
        inside = [*(held or {}).values(), *(slot(each, value) for _, each in places)]
        whole = not compiled(kind) or isinstance(value, _READ_OTHERWISE)
        if not whole or any(map(hidden, inside)):
            # Content lies where Python cannot read it; but the object may know how to tell it.
            state = pickled(value) if not whole or pickles_itself(kind) else None
            if state is None:
                return self._unreadable(value)
            self.guarded = False
            parts = [list(each) if isinstance(each, Iterator) else each for each in state]
            self.kept += [state, parts]
            words.append(f"state {self._refs(parts)}")
        if held is not None:
            words.append(self._items(held))
        if places:
            words.append(self._slots(value))
        return " ".join(words)

    def _slots(self, value: object) -> str:
        places = slots(type(value))
        if not places:
            return ""
        self.guards.append(guards.slotted(value, places))
        found = [(name, slot(each, value)) for name, each in places]
        return "".join(f".{name}={self.ref(part)}" for name, part in found if part is not MISSING and not hidden(part))

    def _contained(self, value: object) -> str:
        """What an object holds as the container, the text or the number that it is too."""
        match value:
            case dict() | types.MappingProxyType():
                return self._items(value)
            case list() | tuple() | collections.deque():
                self.guards.append(guards.parts(value))
                limit = f" of {value.maxlen}" if isinstance(value, collections.deque) else ""
                return f"[{self._refs(list(value))}]{limit}"
            case set() | frozenset():
                self.guards.append(guards.parts(value))
                return f"set({self._unordered(value)})"
            case bytearray() | memoryview():
                self.guarded = False
                return _long(bytes(value))
            case str():
                return self.ref(str.__str__(value))
            case bytes():
                return self.ref(bytes(value))
            case int():
                return self.ref(int(value))
            case float() | complex():
                return repr(complex(value))
            case BaseException():
                return self.ref(value.args)
        return ""

    def _unreadable(self, value: object) -> str:
        kind = type(value)
        name = "a generator" if isinstance(value, types.GeneratorType) else f"a {kind.__qualname__}"
        self.unread[name] = None
        return f"unread {name}"


def _digest(lines: Iterable[str]) -> str:
    return hashlib.blake2b("\x1e".join(lines).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def _name(function: types.FunctionType) -> str:
    return f"{function.__globals__.get('__name__')}.{function.__qualname__}"


def _long(content: bytes) -> str:
    return f"{len(content)} bytes {xxhash.xxh3_128_hexdigest(content)}"


def _without_places(graphs: Iterable[str]) -> str:
    """The text of graphs without the places in files that stand behind operations."""
    return "\n".join(line.split(" # ")[0] for graph in graphs for line in graph.splitlines())

"""What code reads: a function, a class or a module of Python in; its line in a walk out.

Read are code, defaults, closures, and the globals and attributes that the code names. Of code of installed packages,
only plain values and functions are followed; of Python and torch themselves, only what a user has put there. Runs
nothing. Knows code and names: no tensors.
"""

from __future__ import annotations

import abc
import builtins
import functools
import sys
import types
import weakref
from collections.abc import Iterator

from torch import nn

from . import guards
from .code import BY_NAME, CodeFacts, facts
from .objects import MISSING, enclosed, made_while_running
from .origins import (
    core_function,
    from_outside,
    library_class,
    library_function,
    library_module,
    module_named,
    reading_attributes,
    switch,
)
from .walk import ENTRIES, PLAIN, UNREAD_METHODS, Space, Walk, words_of

_METHODS: tuple[type, ...] = (
    *(types.FunctionType, classmethod, staticmethod, property),
    *(functools.cached_property, functools.partialmethod, functools.singledispatchmethod),
)

_CALLS = ("_call_impl", "_wrapped_call_impl", "__getattr__")  # of torch.nn.Module itself

_UNREAD_OF_CLASSES = words_of(
    "__module__ __doc__ __dict__ __weakref__ __annotations__ __abstractmethods__ _abc_impl __slots__ __qualname__ "
    "__firstlineno__ __static_attributes__ __parameters__ __orig_bases__ __dataclass_params__ "
    "__dataclass_fields__ __annotate__ __annotations_cache__ __type_params__ __init__ __new__"
)


def read_function(walk: Walk, function: types.FunctionType) -> str:
    """The line of a function: its code, its defaults, its closure, and the globals that it reads."""
    walk.guards.append(guards.function(function))
    original = vars(function).get("_torchdynamo_orig_callable")
    if original is not None:  # of torch.compile, which computes the same
        return f"compiled {walk.ref(original)}"
    known, library = facts(function.__code__), library_function(function)
    held = [enclosed(cell) for cell in function.__closure__ or ()]
    core = library and core_function(function)
    words = [_name(function) if core else known.digest, walk.ref(function.__defaults__)]
    words += ["unset" if each is MISSING else walk.ref(each) for each in held]
    for further in (function.__kwdefaults__, vars(function)):
        if further:
            words.append(walk.items(further, frozenset({"__wrapped__"})))
    words += _globals(walk, function, known, library, core)
    if not library:
        _note_names(walk, function, known)
    return f"function {' '.join(words)}"


def _note_names(walk: Walk, function: types.FunctionType, known: CodeFacts) -> None:
    """Note what a user's function may read beside its globals."""
    walk.names |= known.attributes
    walk.every_name |= bool(BY_NAME & (known.attributes | {chain[0] for chain in known.chains}))
    for name in reading_attributes(known.attributes):
        walk.unread[f"'{name}' in '{function.__qualname__}'"] = None
    for name, level, told in known.imports:
        whole = module_named(name, level, function.__globals__)
        walk.guards.append(guards.imported(whole))
        module = sys.modules.get(whole)
        if module is None:
            continue
        walk.lines.append(f"import {whole} {walk.ref(module)}")
        if library_module(module):
            for part in known.attributes:
                if from_outside(vars(module).get(part, MISSING), f"{whole}.{part}"):
                    walk.unread[f"{whole}.{part}"] = None
        for part in told:
            if part in vars(module) and not library_module(module):
                walk.lines.append(f"import {whole}.{part}={walk.ref(vars(module)[part])}")


def _globals(walk: Walk, function: types.FunctionType, known: CodeFacts, library: bool, core: bool) -> Iterator[str]:
    """What a function reads of its module, and of the modules of libraries that stand there. Of a function of a
    library, only plain values and functions; of Python and torch themselves, only what a user has put there."""
    shared, inherent = function.__globals__, vars(builtins)
    roots = list(dict.fromkeys(chain[0] for chain in known.chains))
    if roots:
        walk.guards.append(guards.names(shared, roots))
        walk.builtins |= dict.fromkeys(root for root in roots if root not in shared)
    for root, *further in known.chains:
        value = shared.get(root, inherent.get(root, MISSING))
        path = f"builtins.{root}" if root not in shared else root
        while isinstance(value, types.ModuleType) and further and library_module(value):
            held, name = vars(value), further.pop(0)
            path = f"{value.__name__}.{name}"
            if name not in held:  # made when it is asked for
                if not library and switch(value, name):
                    walk.unread[path] = None
                break
            walk.guards.append(guards.names(held, (name,)))
            value = held[name]
        if not library and from_outside(value, path):
            walk.unread[path.removeprefix("builtins.")] = None
        elif value is MISSING:
            yield f"{path} unset"
        elif isinstance(value, types.FunctionType) and library_function(value):
            if not core or value.__name__ != path.rpartition(".")[2]:
                yield f"{path}={_name(value)} {'' if core_function(value) else facts(value.__code__).digest}"
        elif not library or isinstance(value, types.FunctionType):
            yield f"{path}={walk.ref(value)}"
        elif type(value) in (*PLAIN, str, int) and not core:
            yield f"{path}={value!r}"


def read_class(walk: Walk, kind: type) -> str:
    """The line of a class; its methods are read where code names them."""
    if not made_while_running(kind):
        return f"type {kind.__module__}.{kind.__qualname__}"
    held = vars(kind)
    bases = walk.refs(base for base in kind.__bases__ if base is not object)
    if library_class(kind):
        names = (*ENTRIES, *_CALLS) if kind is nn.Module else ENTRIES
        walk.guards.append(guards.names(held, names))
        own = [f"{name}={walk.ref(held[name])}" for name in names if name in held]
        return f"type {kind.__module__}.{kind.__qualname__} {bases} {own}"
    walk.guards.append(guards.items(held))
    taken = set(_UNREAD_OF_CLASSES)
    overridden = {name for base in kind.__mro__[1:] if base not in (object, nn.Module) for name in vars(base)}
    words = []
    for name, value in list(held.items()):
        if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
            taken.add(name)
        elif name not in taken and (not isinstance(value, _METHODS) or name in overridden - UNREAD_METHODS):
            taken.add(name)
            words.append(f"{name}={walk.ref(value)}")
    if isinstance(kind, abc.ABCMeta):  # who counts as its instance
        registered = [each() for each in _registry(kind)]
        walk.guards.append(guards.registrations())
        words += [f"registered {walk.unordered(each for each in registered if each is not None)}"] if registered else []
    walk.spaces.append(Space(walk.numbers[id(kind)], held, taken))
    meta = "" if made_while_running(type(kind)) and library_class(type(kind)) else walk.ref(type(kind))
    return f"class {kind.__qualname__} {bases} {meta} {words}"


def read_python_module(walk: Walk, module: types.ModuleType) -> str:
    """The line of a module of Python; its attributes are read where code names them."""
    if not library_module(module):
        walk.guards.append(guards.keys(vars(module)))  # a name that code reads may come to be
        walk.spaces.append(Space(walk.numbers[id(module)], vars(module), set()))
    else:
        walk.libraries[id(module)] = module
    return f"module {module.__name__}"


def _registry(kind: abc.ABCMeta) -> tuple[weakref.ref[type], ...]:
    """The classes that were registered as subclasses of an abstract one."""
    dump = vars(abc).get("_get_dump")  # of CPython
    return tuple(dump(kind)[0]) if dump is not None else ()


def _name(function: types.FunctionType) -> str:
    return f"{function.__globals__.get('__name__')}.{function.__qualname__}"

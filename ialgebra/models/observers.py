"""Hooks that only look: a hook in; whether its code can be seen to change nothing that the model computes, out.

A hook only looks if, on every way through it, it returns None, and neither writes to what it is given nor calls what
might. It may write to containers and objects outside of the model, which are told, because other code may read them.
The proof follows instructions of Python 3.11 as far as it knows them; a hook without a proof counts as a part of the
model.
Runs nothing. Knows functions and containers: no modules' content.
"""

from __future__ import annotations

import builtins
import collections
import dis
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import guards
from .objects import MISSING, attributes, enclosed

_DEPTH = 3  # of functions that call one another

_LOOKS = frozenset(
    (
        *("detach", "clone", "cpu", "cuda", "mean", "std", "var", "sum", "abs", "max", "min", "amax", "amin", "norm"),
        *("item", "tolist", "numpy", "size", "dim", "numel", "float", "double", "half", "bfloat16", "to", "contiguous"),
        *("isnan", "isinf", "isfinite", "any", "all", "view", "reshape", "flatten", "permute", "transpose", "squeeze"),
        *("unsqueeze", "argmax", "argmin", "square", "sqrt", "exp", "log", "softmax", "sigmoid", "median", "quantile"),
        *("element_size", "topk", "unique", "values", "keys", "items", "get"),
    )
)
"""Methods of tensors and of other outputs that write nothing."""

_FUNCTIONS: tuple[object, ...] = (
    *(len, float, int, str, repr, isinstance, type, list, tuple, dict, set, max, min, sum, abs, round, range, zip),
    *(enumerate, sorted, bool, any, all, id),
)
_CONTAINERS: tuple[type, ...] = (
    *(list, dict, set, collections.deque),
    *(collections.defaultdict, collections.Counter, collections.OrderedDict),
)
_PUTS = frozenset(
    ["append", "appendleft", "extend", "insert", "add", "update", "__setitem__"]
)  # of containers; they give None
_TELLS = frozenset(["debug", "info", "warning", "error", "log", "write"])  # of loggers


class _NotProven(Exception):
    """The hook does something of which it is not known whether the model would notice."""


class _Outer(NamedTuple):
    """An object from outside of the hook."""

    value: object


class _Bound(NamedTuple):
    """A method of an object from outside, or of what the hook was given (owner None)."""

    owner: object
    name: str


_GIVEN = "given"  # what the hook was given, or something made of it
_MODULE = "module"  # the module that it was given
_NONE = _Outer(None)

_OnStack = _Outer | _Bound | str


@dataclass
class Observation:
    """What an observing hook writes to, and guards for what the proof depends on."""

    written: list[object] = field(default_factory=list)
    guards: list[guards.Guard] = field(default_factory=list)


def observation(hook: object) -> Observation | None:
    """The proof that a hook only looks; None where there is none."""
    found = Observation()
    try:
        result = _call(_Outer(hook), [_MODULE, _GIVEN, _GIVEN, _GIVEN], found, _DEPTH, spare=True)
    except (_NotProven, RecursionError, LookupError, AttributeError, TypeError, ValueError):
        return None
    return found if result == _NONE else None


def _call(
    callee: _OnStack, given: Sequence[_OnStack], found: Observation, depth: int, *, spare: bool = False
) -> _OnStack:
    """The result of a call. With `spare`, there may be more arguments than the function takes."""
    match callee:
        case _Outer(FunctionType() as function):
            return _function(function, given, found, depth, spare)
        case _Outer(MethodType() as method):
            return _call(_Outer(method.__func__), [_Outer(method.__self__), *given], found, depth, spare=spare)
        case _Outer(value) if value is print:
            return _NONE
        case _Outer(value) if any(value is each for each in _FUNCTIONS):
            return _GIVEN
        case _Outer(BuiltinFunctionType() as builtin):
            if builtin.__self__ is not None and isinstance(builtin.__self__, _CONTAINERS):
                return _call(_Bound(builtin.__self__, builtin.__name__), given, found, depth)
            of_torch = getattr(torch, builtin.__name__, None) is builtin
            if of_torch and not builtin.__name__.endswith("_") and not builtin.__name__.startswith(("_", "set_")):
                return _GIVEN
        case _Bound(None, name) if name in _LOOKS:
            return _GIVEN
        case _Bound(owner, name) if type(owner) in _CONTAINERS:
            if name in _PUTS:
                found.written.append(owner)
                return _NONE
            if name in ("get", "setdefault", "keys", "values", "items", "count", "index"):
                found.written.append(owner)
                return _Bound(owner, "[]")
        case _Bound(logging.Logger(), name) if name in _TELLS:
            return _NONE
    raise _NotProven


def _function(
    function: FunctionType, given: Sequence[_OnStack], found: Observation, depth: int, spare: bool
) -> _OnStack:
    code = function.__code__
    if depth == 0 or code.co_exceptiontable or code.co_kwonlyargcount or code.co_cellvars:
        raise _NotProven
    count = code.co_argcount
    least, most = count - len(function.__defaults__ or ()), count if not spare and not code.co_flags & 4 else len(given)
    if not least <= len(given) <= most:
        raise _NotProven
    found.guards.append(guards.function(function))
    held: dict[str, _OnStack] = dict(zip(code.co_varnames, given, strict=False))
    if len(given) < count:
        defaults = (function.__defaults__ or ())[len(given) - count :]
        held |= {
            name: _Outer(value) for name, value in zip(code.co_varnames[len(given) : count], defaults, strict=True)
        }
    if code.co_flags & 4:  # *arguments
        held[code.co_varnames[count]] = _GIVEN
    return _Ways(function, found, depth).result(held)


class _WayState(NamedTuple):
    stack: tuple[_OnStack, ...]
    held: tuple[tuple[str, _OnStack], ...]


class _Ways:
    """All ways through a function, with what may lie on its stack and in its variables at each instruction."""

    def __init__(self, function: FunctionType, found: Observation, depth: int) -> None:
        self.function = function
        self.found = found
        self.depth = depth
        self.steps = [step for step in dis.get_instructions(function.__code__) if step.opname != "CACHE"]
        self.at = {step.offset: number for number, step in enumerate(self.steps)}
        self.names: tuple[str, ...] = ()

    def result(self, held: dict[str, _OnStack]) -> _OnStack:
        """What the function returns: None, or something made of what it was given."""
        states: dict[int, _WayState] = {}
        pending = [(0, _WayState((), tuple(held.items())))]
        results: list[_OnStack] = []
        while pending:
            number, state = pending.pop()
            merged = _merged(states.get(number), state)
            if merged == states.get(number):
                continue
            states[number] = merged
            stack, variables = list(merged.stack), dict(merged.held)
            if self.steps[number].opname == "RETURN_VALUE":
                results.append(stack.pop())
                continue
            for after, left, now in self._step(number, stack, variables):
                pending.append((after, _WayState(tuple(left), tuple(now.items()))))
        return _NONE if results and all(each == _NONE for each in results) else _GIVEN

    def _step(
        self, number: int, stack: list[_OnStack], held: dict[str, _OnStack]
    ) -> Iterator[tuple[int, list[_OnStack], dict[str, _OnStack]]]:
        """Where the function goes on after an instruction, and with what."""
        step = self.steps[number]
        name, value = step.opname, step.argval
        match name:
            case "RESUME" | "NOP" | "PRECALL" | "COPY_FREE_VARS" | "PUSH_NULL" | "EXTENDED_ARG":
                pass
            case "LOAD_CONST":
                stack.append(_Outer(value))
            case "KW_NAMES":
                self.names = self.function.__code__.co_consts[step.arg or 0]
            case "LOAD_FAST":
                stack.append(held[value])
            case "STORE_FAST":
                held[value] = stack.pop()
            case "LOAD_GLOBAL":
                stack.append(self._global(value))
            case "LOAD_DEREF":
                stack.append(_Outer(self._cell(value)))
            case "LOAD_ATTR" | "LOAD_METHOD":
                stack.append(self._attribute(stack.pop(), value))
            case "STORE_ATTR":
                owner, _ = stack.pop(), stack.pop()
                self._write(owner)
            case "STORE_SUBSCR":
                _, owner, _ = stack.pop(), stack.pop(), stack.pop()
                if not isinstance(owner, _Outer) or type(owner.value) not in _CONTAINERS:
                    raise _NotProven
                self.found.written.append(owner.value)
            case "BINARY_SUBSCR":
                _, owner = stack.pop(), stack.pop()
                outside = isinstance(owner, _Outer) and type(owner.value) in _CONTAINERS
                stack.append(_Bound(owner.value, "[]") if outside and isinstance(owner, _Outer) else _GIVEN)
            case "BINARY_OP":
                _, left = stack.pop(), stack.pop()
                counted = isinstance(left, _Bound) and isinstance(left.owner, collections.Counter) and left.name == "[]"
                unchanging = isinstance(left, _Outer) and isinstance(left.value, int | float | str | tuple)
                if step.argrepr.endswith("=") and not counted and not unchanging:
                    raise _NotProven
                stack.append(_GIVEN)
            case "COMPARE_OP" | "IS_OP" | "CONTAINS_OP":
                stack[-2:] = [_GIVEN]
            case "UNARY_NOT" | "UNARY_NEGATIVE":
                stack[-1:] = [_GIVEN]
            case "FORMAT_VALUE":
                stack[-2 if (step.arg or 0) & 4 else -1 :] = [_GIVEN]
            case "BUILD_STRING" | "BUILD_TUPLE" | "BUILD_LIST" | "BUILD_SET" | "BUILD_SLICE":
                stack[len(stack) - (step.arg or 0) :] = [_GIVEN]
            case "BUILD_MAP":
                stack[len(stack) - 2 * (step.arg or 0) :] = [_GIVEN]
            case "BUILD_CONST_KEY_MAP":
                stack[len(stack) - (step.arg or 0) - 1 :] = [_GIVEN]
            case "UNPACK_SEQUENCE":
                stack[-1:] = [_GIVEN] * (step.arg or 0)
            case "POP_TOP":
                stack.pop()
            case "COPY":
                stack.append(stack[-(step.arg or 1)])
            case "SWAP":
                place = -(step.arg or 1)
                stack[-1], stack[place] = stack[place], stack[-1]
            case "CALL":
                count = step.arg or 0
                given, names, self.names = stack[len(stack) - count :], self.names, ()
                del stack[len(stack) - count :]
                if {"out", "inplace"} & set(names):
                    raise _NotProven
                callee = stack.pop()
                if names and isinstance(callee, _Outer) and isinstance(callee.value, FunctionType | MethodType):
                    raise _NotProven
                stack.append(_call(callee, given, self.found, self.depth - 1))
            case "GET_ITER":
                stack[-1:] = [_GIVEN]
            case "FOR_ITER":
                yield self.at[value], stack[:-1], held
                stack.append(_GIVEN)
            case "JUMP_FORWARD" | "JUMP_BACKWARD":
                yield self.at[value], stack, held
                return
            case _ if name.startswith("POP_JUMP"):
                stack.pop()
                yield self.at[value], list(stack), dict(held)
            case _ if name.startswith("JUMP_IF_") and name.endswith("_OR_POP"):
                yield self.at[value], list(stack), dict(held)
                stack.pop()
            case _:
                raise _NotProven
        yield number + 1, stack, held

    def _global(self, name: str) -> _OnStack:
        shared = self.function.__globals__
        self.found.guards.append(guards.names(shared, (name,)))
        return _Outer(shared[name] if name in shared else vars(builtins)[name])

    def _cell(self, name: str) -> object:
        code = self.function.__code__
        value = enclosed((self.function.__closure__ or ())[code.co_freevars.index(name)])
        if value is MISSING:
            raise _NotProven
        return value

    def _attribute(self, owner: _OnStack, name: str) -> _OnStack:
        match owner:
            case "given":
                if name.endswith("_") and not name.startswith("__"):
                    raise _NotProven
                return _Bound(None, name) if name in _LOOKS else _GIVEN
            case "module":
                return _GIVEN
            case _Outer(ModuleType() as module):
                self.found.guards.append(guards.names(vars(module), (name,)))
                return _Outer(vars(module)[name]) if name in vars(module) else _GIVEN
            case _Outer(value) if type(value) in _CONTAINERS or isinstance(value, logging.Logger):
                return _Bound(value, name)
            case _Outer(value):
                return self._of_object(value, name)
            case _Bound(container, "[]") if name in _PUTS:  # of a list in a dictionary outside
                return _Bound(container, name if type(container) in _CONTAINERS else "")
        return _GIVEN

    def _of_object(self, value: object, name: str) -> _OnStack:
        """An attribute of an object from outside: what stands in it, or a method."""
        if isinstance(value, Tensor | nn.Module | type):
            raise _NotProven
        held = attributes(value)
        if held is not None and name in held:
            return _Outer(held[name]) if type(held[name]) in (*_CONTAINERS, int, float, str) else _GIVEN
        method = next((vars(kind)[name] for kind in type(value).__mro__ if name in vars(kind)), None)
        if isinstance(method, FunctionType):
            return _Outer(MethodType(method, value))
        return _GIVEN

    def _write(self, owner: _OnStack) -> None:
        """An attribute of an object is set."""
        if not isinstance(owner, _Outer) or isinstance(
            owner.value, Tensor | nn.Module | type | ModuleType | FunctionType
        ):
            raise _NotProven
        self.found.written.append(owner.value)


def _merged(one: _WayState | None, other: _WayState) -> _WayState:
    """What may lie there where two ways meet."""
    if one is None:
        return other
    if len(one.stack) != len(other.stack):
        raise _NotProven
    stack = tuple(_either(a, b) for a, b in zip(one.stack, other.stack, strict=True))
    first, second = dict(one.held), dict(other.held)
    names = [name for name in first if name in second]
    return _WayState(stack, tuple((name, _either(first[name], second[name])) for name in names))


def _either(one: _OnStack, other: _OnStack) -> _OnStack:
    return one if one == other else _GIVEN

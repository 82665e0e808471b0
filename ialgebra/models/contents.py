"""What a model holds: any Python objects in; a digest of all that can be read in them, and the names of the rest, out.

Read are tensors and arrays of every layout, attributes of any depth (private ones, slots, class attributes),
containers, the code of functions, methods and hooks, and the globals, closures and module attributes that this code
reads, transitively. Objects of compiled types are read through the state that they pickle. Equal content has an equal
digest in every process.

Not followed: what code of Python, torch and other installed packages reads, but for plain values and functions; what is
apart from any computation (locks, loggers, optimizers, streams that are only written), but for attributes of theirs
that code names; gradients and train flags.

A walk takes milliseconds, so it leaves guards. While all guards hold, its digest stands. Knows modules, functions and
tensors: no heads, no passes, no queries.
"""

from __future__ import annotations

import builtins
import ctypes
import enum
import functools
import logging
import queue
import threading
import types
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from . import guards
from .checksums import TensorMemory, UnreadableNumbers, checksum
from .clearings import clearings
from .objects import MISSING, hidden, made_while_running
from .origins import only_written
from .read_code import read_class, read_function, read_python_module
from .read_modules import read_hooks_of_all_modules, read_module, read_script, read_script_function
from .read_numbers import ORDINARY, read_array, read_tensor
from .read_objects import read_object
from .walk import Walk, digest_of

_OF_MEMBERS = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_"})  # what each member of an enum has
_ATTEMPTS = 3  # to read a model that other threads are changing

_APART: tuple[type, ...] = (
    *(type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Event, threading.Semaphore),
    *(threading.Barrier, threading.Thread, queue.Queue, queue.SimpleQueue, logging.Logger, logging.Handler),
    *(torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.utils.hooks.RemovableHandle),
    *(types.FrameType, types.TracebackType, torch.cuda.Stream, torch.cuda.Event),
)


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

    @cached_property
    def parameters(self) -> tuple[TensorMemory, ...]:
        """Where the numbers of the weights lie that are no buffers, in their order."""
        return tuple(TensorMemory(name, tensor) for name, tensor, is_buffer in self.weights if not is_buffer)

    @cached_property
    def buffers(self) -> tuple[TensorMemory, ...]:
        """Where the numbers of the buffers lie, in their order."""
        return tuple(TensorMemory(name, tensor) for name, tensor, is_buffer in self.weights if is_buffer)

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
            return _read(model)
        except RuntimeError:  # another thread changed a dictionary while it was read
            continue
    return _read(model, patient=True)


def _read(model: object, patient: bool = False, every_hook: bool = False) -> Contents:
    """Walk through everything that `model` refers to."""
    walk = Walk(_line, patient, every_hook)
    weights: list[tuple[str, Tensor, bool]] = []
    if isinstance(model, nn.Module):
        held: list[tuple[str, Tensor, bool]] = []
        held += [(name, each, False) for name, each in model.named_parameters(remove_duplicate=False)]
        held += [(name, each, True) for name, each in model.named_buffers(remove_duplicate=False)]
        weights = [each for each in held if type(each[1]) in ORDINARY]
        walk.weight_names = {id(tensor): name for name, tensor, _ in reversed(weights)}
    walk.lines.append(walk.ref(model))
    read_hooks_of_all_modules(walk)
    walk.to_the_end()
    if any(id(each) in walk.numbers for each in walk.written):
        return _read(model, patient, every_hook=True)
    walk.guards.append(guards.types([each for each in walk.held if made_while_running(type(each))]))
    walk.guards.append(guards.still_empty(walk.empty))
    walk.guards.append(guards.names(vars(builtins), list(walk.builtins)))
    walk.guards.append(guards.names(vars(Tensor), sorted(walk.names)))
    guarded = tuple(walk.guards) if walk.guarded else None
    return Contents(digest_of(walk.lines), digest_of(walk.here), tuple(weights), tuple(walk.unread), guarded)


def _line(walk: Walk, value: object) -> str:
    """The line of one object that can change, by its type."""
    match value:
        case Tensor():
            return read_tensor(walk, value)
        case np.ndarray():
            return read_array(walk, value)
        case torch.jit.ScriptModule():
            return read_script(walk, value)
        case torch.jit.ScriptFunction():
            return read_script_function(value)
        case nn.Module():
            return read_module(walk, value)
        case types.FunctionType():
            return read_function(walk, value)
        case type():
            return read_class(walk, value)
        case types.ModuleType():
            return read_python_module(walk, value)
        case property():
            return f"property {walk.refs((value.fget, value.fset))}"
        case classmethod() | staticmethod():
            return f"{type(value).__name__} {walk.ref(value.__func__)}"
        case functools.cached_property():
            return f"cached {walk.ref(value.func)}"
        case functools._lru_cache_wrapper():
            walk.guards.append(guards.clearings_of(value))
            cleared = clearings(value)
            return f"remembered {walk.ref(value.__wrapped__)}{f' cleared {cleared}' if cleared else ''}"
        case functools.partial():
            words = walk.refs((value.func, value.args))
            return f"partial {words}{walk.items(value.keywords)}{walk.items(vars(value))}"
        case ContextVar():
            walk.note_here((value.get(MISSING),))
            return f"variable {value.name}"
        case threading.local():
            walk.note_here((vars(value),))
            return "local"
        case enum.Enum():
            own = walk.items(vars(value), _OF_MEMBERS) if vars(value).keys() - _OF_MEMBERS else ""
            walk.guards.append(guards.keys(vars(value)))
            return f"{walk.ref(type(value))}.{value.name} {walk.ref(value.value)}{own}"
        case ctypes._SimpleCData() if not hidden(value):
            walk.guarded = False
            return f"{type(value).__name__} {value.value!r}"
        case torch.Generator():
            walk.guards.append(guards.generator(value))
            return f"generator {value.device} {checksum(value.get_state())}"
        case _ if isinstance(value, _APART) or only_written(value):
            walk.only_mentioned(value)
            return type(value).__name__
    return read_object(walk, value)

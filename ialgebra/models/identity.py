"""Fingerprints of models: a module or any callable in; values that change when the model computes something else, out.

`weights` and `settings` say what a model computes; `structure` and `profile_key` say what decides how long that takes;
`serial` tells one object from all others of the process.

If two fingerprints are equal, the model computes the same. Weights are read in full, also where `.data` was written.
`settings` reads everything else that Python can read without running code: the plain attributes of modules, their
hooks, and what functions and objects hold. Anything else (a file, the clock, an attribute that begins with `_`) is
taken to be constant. Knows modules, functions, tensors and the traced calls of a pass: no heads, no queries.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from ..kernels.forward import uncompiled
from ..system.machine import machine
from ..system.runtime import keeps_memory
from .layers import Layer, ModuleCall

_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device)
_DEPTH = 3  # references that are followed: to a callable's function, to what it refers to, and to what these hold
_DEPTH_OF_OBJECTS = 2  # references into other objects; more would lead to loggers and trainers, not to the model

_numbers = itertools.count()
_serials: dict[int, tuple[weakref.ref[object], int]] = {}  # by id
_lock = threading.RLock()  # re-entrant: an object may be collected, which calls back, while it is held


def serial(thing: object) -> int:
    """A number that no other object has or will have in this process, unlike its `id`, which is used again."""
    place = id(thing)
    with _lock:
        known = _serials.get(place)
        if known is None or known[0]() is not thing:
            known = weakref.ref(thing, partial(_forget, place)), next(_numbers)
            _serials[place] = known
        return known[1]


def _forget(place: int, gone: weakref.ref[object]) -> None:
    with _lock:
        if place in _serials and _serials[place][0] is gone:
            del _serials[place]


Checksums = tuple[tuple[str, tuple[int, ...], int], ...]
"""Name, shape and checksum of tensors."""


def weights(module: nn.Module) -> Checksums:
    """Name, shape and checksum of every parameter and buffer; 5 ms for 5M numbers."""
    return (*_checksums(module.named_parameters()), *buffers(module))


def buffers(module: nn.Module) -> Checksums:
    """Name, shape and checksum of every buffer."""
    return _checksums(module.named_buffers())


def _checksums(tensors: Iterable[tuple[str, Tensor]]) -> Checksums:
    return tuple((name, tuple(tensor.shape), checksum(tensor)) for name, tensor in tensors)


def settings(model: object) -> str:
    """A digest of everything but a module's weights: its attributes and hooks; for a callable, of everything that it
    reaches, weights included.

    The autocast mode in force is a part of it, because a pass would run in it.
    """
    reader = _ContentReader()
    read = reader.attributes(model) if isinstance(model, nn.Module) else reader.content(model, _DEPTH)
    casts = [(kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")]
    return _digest(read, casts)


class Noticed:
    """What a model was when its last pass ended, which may have written to it. All who run the model share it, since
    each would take what others' passes write for a change.

    `settings` are those that hold, `left` those that the pass left. `buffers` are what it left in the model's buffers;
    somebody else was seen to change them so many `times`.
    """

    def __init__(self) -> None:
        self.settings = self.left = ""
        self.buffers: Checksums | None = None
        self.times = 0


_noticed: weakref.WeakValueDictionary[int, Noticed] = weakref.WeakValueDictionary()  # by the model's serial number


def noticed(model: object) -> Noticed:
    """What is noticed of a model, kept while somebody holds it. A callable without weak references is its holder's."""
    try:
        number = serial(model)
    except TypeError:
        return Noticed()
    with _lock:
        return _noticed.setdefault(number, Noticed())


def parts(model: object, depth: int = _DEPTH) -> Iterator[object]:
    """The objects that a model computes with and that other models may share: itself, and the modules in it, or those
    that a callable refers to."""
    yield model
    if isinstance(model, nn.Module):
        yield from model.modules()
    elif isinstance(model, MethodType) and depth:
        yield from parts(model.__self__, depth)
    elif depth:
        held: tuple[object, ...] = ()
        if isinstance(model, partial):
            held = (model.func, *model.args, *model.keywords.values())
        elif isinstance(model, FunctionType):
            shared = (model.__globals__.get(name) for name in dict.fromkeys(_names(model.__code__)))
            held = (*(model.__defaults__ or ()), *_enclosed(model), *shared)
        elif type(model).__dictoffset__ and not isinstance(model, type | ModuleType | Tensor):
            held = tuple(vars(model).values())
        for each in held:
            if isinstance(each, nn.Module | MethodType | FunctionType | partial):
                yield from parts(each, depth - 1)


def checksum(tensor: Tensor) -> int:
    """A checksum of a tensor's numbers; of one without a plain array of them (sparse, meta), its serial number."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        return serial(tensor)
    content = tensor.detach().resolve_conj().resolve_neg().reshape(-1).contiguous().cpu()
    return zlib.crc32(content.view(torch.uint8).numpy().data) if content.numel() else 0


class _ContentReader:
    """One walk over everything that a model holds. An object that was read before is named by its number, so that
    cycles end."""

    def __init__(self) -> None:
        # The objects are held too, so that no id is given to a new object during the walk.
        self.met: dict[tuple[int, int], tuple[int, object]] = {}

    def content(self, value: object, depth: int) -> object:
        """A value of tuples and plain values only, whose text changes when `value` does."""
        if isinstance(value, _PLAIN):
            return value
        place = id(value), 0 if isinstance(value, nn.Module) else depth  # less is read of what lies deeper
        if place in self.met:
            return self.met[place][0], "again"
        self.met[place] = len(self.met), value
        if isinstance(value, Tensor):
            return tuple(value.shape), value.dtype, checksum(value)
        if isinstance(value, np.ndarray | np.generic):
            return value.shape, str(value.dtype), b"" if value.dtype.hasobject else zlib.crc32(value.tobytes())
        if isinstance(value, dict):
            return tuple((self.content(key, depth), self.content(part, depth)) for key, part in list(value.items()))
        if isinstance(value, list | tuple):
            return tuple(self.content(part, depth) for part in value)
        if isinstance(value, set | frozenset):
            return sorted(repr(self.content(part, depth)) for part in value)
        if isinstance(value, nn.Module):
            return weights(value), self.attributes(value)
        return self._held(value, depth)

    def attributes(self, module: nn.Module) -> tuple[object, ...]:
        """The attributes and hooks of a module and of all modules inside it; these then count as read."""
        inside = list(module.named_modules())
        for _, each in inside:
            self.met.setdefault((id(each), 0), (len(self.met), each))
        return tuple(
            (name, type(each).__qualname__, *((key, self.content(value, _DEPTH)) for key, value in _public(each)))
            for name, each in inside
        )

    def _held(self, value: object, depth: int) -> object:
        """The content of a callable or an object; only its name, if it is too deep."""
        if isinstance(value, partial):
            return [self.content(part, depth) for part in (value.func, value.args, value.keywords)]
        if isinstance(value, MethodType):
            return [self.content(part, depth) for part in (value.__func__, value.__self__)]
        if isinstance(value, FunctionType) and depth > 0:
            names = dict.fromkeys(_names(value.__code__))
            shared = [value.__globals__[name] for name in names if name in value.__globals__]
            held = (value.__code__.co_consts, value.__defaults__, value.__kwdefaults__, *_enclosed(value), *shared)
            return value.__code__.co_code, [self.content(part, depth - 1) for part in held]
        if isinstance(value, FunctionType | BuiltinFunctionType | type | ModuleType):
            return value.__name__
        deeper = depth >= _DEPTH_OF_OBJECTS and type(value).__dictoffset__ != 0
        return type(value).__qualname__, self.content(vars(value), depth - 1) if deeper else ()


def _public(module: nn.Module) -> Iterator[tuple[str, object]]:
    for name, value in vars(module).items():
        if not name.startswith("_") and name != "training":
            yield name, value
    for name in ("_forward_pre_hooks", "_forward_hooks"):
        if hooks := getattr(module, name, None):
            yield name, list(hooks.values())


def _enclosed(function: FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not assigned yet
            yield cell.cell_contents


def _names(code: CodeType) -> Iterator[str]:
    """The global names (and attributes) in a function's code and in the functions and comprehensions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def structure(module: object, calls: ModuleCall, layers: Sequence[Layer]) -> str:
    """A name for what decides the cost of a pass: the modules that ran, their output shapes, and the parameters."""
    model = uncompiled(module)
    held = model.parameters() if isinstance(model, nn.Module) else ()
    ran = [(call.name, type(call.module).__qualname__, call.shape) for call in calls.all()]
    return _digest(ran, [(each.dtype, each.shape, _strides(each)) for each in held], [layer.name for layer in layers])


def profile_key(structure: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> str:
    """Names a profile: a model's structure, one input's form, and the machine as this process uses it."""
    return _digest(structure, tuple(shape), dtype, *machine(device), torch.__version__, keeps_memory())


def _strides(tensor: Tensor) -> tuple[int, ...]:
    return tensor.stride() if tensor.layout == torch.strided else ()


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(errors="surrogatepass"), digest_size=12).hexdigest()

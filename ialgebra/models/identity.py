"""Fingerprints of models: a module or any callable in; values that change when it computes something else, out.

`parameters`, `buffers` and `settings` say what a model computes; `structure` and `profile_key` say what decides how
long that takes; `serial` tells one object from all others of the process.

If two fingerprints of a model that is read whole are equal, the model computes the same. Weights are read in full, also
where `.data` was written; everything else as `contents` reads it. Knows modules, functions, tensors and the traced
calls of a pass: no heads, no queries.
"""

from __future__ import annotations

import decimal
import hashlib
import itertools
import weakref
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from types import FunctionType, MethodType, ModuleType

import torch
from torch import Tensor, nn

from ..kernels.forward import uncompiled
from ..system import forking
from ..system.machine import machine
from ..system.runtime import keeps_memory
from .code import facts
from .contents import Contents, contents
from .layers import Layer, ModuleCall
from .objects import MISSING, enclosed

_DEPTH = 3  # references that `parts` follows: to a callable's function, to what it refers to, and to what these hold

_numbers = itertools.count()
_serials: dict[int, tuple[weakref.ref[object], int]] = {}  # by id
_lock = forking.lock()  # re-entrant: an object may be collected, which calls back, while it is held


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


Checksums = tuple[tuple[str, tuple[int, ...], str, int], ...]
"""Name, shape, dtype and checksum of tensors."""


class Noticed:
    """What a model was when its last pass ended, which may have written to it. All who run the model share it, since
    each would take what others' passes write for a change.

    `settings` are a digest of everything but a module's weights (for a callable, weights included): those that hold,
    and those that the pass `left`. `buffers` are what it left in the model's buffers;
    somebody else was seen to change them so many `times`. `contents` are what was read last.
    """

    def __init__(self) -> None:
        self.settings = self.left = ""
        self.buffers: Checksums | None = None
        self.times = 0
        self.contents: Contents | None = None

    def read(self, model: object) -> Contents:
        """What the model holds; read anew only where something has changed."""
        if self.contents is None or not self.contents.hold():
            self.contents = contents(model)
        return self.contents


def parameters(held: Contents) -> Checksums:
    """The parameters of a module; 2 ms for 5M numbers."""
    return tuple([place.read() for place in held.parameters])


def buffers(held: Contents) -> Checksums:
    """The buffers of a module."""
    return tuple([place.read() for place in held.buffers])


def settings(seen: Noticed) -> str:
    """A digest of the settings of a model that hold, and of what this thread has in force, because a pass would run in
    it: thread-local values and context variables that the model reads, torch's casts, default dtype and device,
    precision of products, and how decimal numbers are rounded."""
    here = seen.contents.here if seen.contents else ""
    casts = [(kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")]
    defaults = torch.get_default_dtype(), str(torch.get_default_device()), torch.get_float32_matmul_precision()
    decimals = decimal.getcontext()
    rounding = decimals.prec, decimals.rounding, decimals.Emin, decimals.Emax, decimals.clamp
    return _digest(seen.settings, here, casts, defaults, rounding)


_noticed: weakref.WeakValueDictionary[int, Noticed] = weakref.WeakValueDictionary()  # by the model's serial number


def noticed(model: object) -> Noticed:
    """What is noticed of a model, kept while somebody holds it. A callable without weak references is its holder's."""
    try:
        number = serial(model)
    except TypeError:
        return Noticed()
    with _lock:
        return _noticed.setdefault(number, Noticed())


_MOST_HELD = 64  # entries of a container, or attributes of an object, in which modules are looked for


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
            read = dict.fromkeys(chain[0] for chain in facts(model.__code__).chains)
            shared = (model.__globals__.get(name) for name in read)
            cells = (each for each in map(enclosed, model.__closure__ or ()) if each is not MISSING)
            held = (*(model.__defaults__ or ()), *(model.__kwdefaults__ or {}).values(), *cells, *shared)
        elif type(model).__dictoffset__ and not isinstance(model, type | ModuleType | Tensor):
            held = tuple(vars(model).values())
        for each in held:
            yield from _parts_within(each, depth)


def _parts_within(value: object, depth: int) -> Iterator[object]:
    """The parts of a model in what a callable refers to: a module, another callable, or a container or object that
    holds some."""
    if isinstance(value, nn.Module | MethodType | FunctionType | partial):
        yield from parts(value, depth - 1)
    elif depth > 0:
        held: Iterable[object] = ()
        if isinstance(value, list | tuple | set | frozenset):
            held = value
        elif isinstance(value, dict):
            held = value.values()
        elif type(value).__dictoffset__ and not isinstance(value, type | ModuleType | Tensor):
            held = vars(value).values()
        for each in list(islice(held, _MOST_HELD)):
            if isinstance(each, nn.Module | list | tuple | dict):
                yield from _parts_within(each, depth - 1)


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

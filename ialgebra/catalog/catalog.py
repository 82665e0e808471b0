"""What names mean: registered models, inputs, windows and views, and the session's settings.

The catalog holds tensors and networks; plans hold names. Every look-up of an unknown name is a BindError that names the
nearest one. It runs no query and knows no plan.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TypeVar, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..algebra.baselines import Baseline, Constant, materialise
from ..algebra.edits import edited, registered
from ..algebra.kinds import KINDS, forms, is_batch, kind_of
from ..algebra.operators import Estimation
from ..algebra.players import Partition
from ..algebra.sources import Edit, Source
from ..algebra.windows import Window
from ..errors import BindError, ShapeError, did_you_mean
from ..interpreters.protocol import GameInterpreter, ModelInterpreter
from ..interpreters.shipped import SHIPPED
from ..models.network import Network

_T = TypeVar("_T")
_HIDING = "\0"
_EDITED = 128 << 20  # bytes of edited inputs that are kept, so that a query makes each once
_LABELS = 1 << 53  # below which every whole number has a float of its own
_FORMS = forms()


@dataclass(frozen=True, eq=False)
class Element:
    """One input, as registered: a snapshot on the CPU that later changes of the caller's tensor do not reach."""

    tensor: Tensor

    @cached_property
    def array(self) -> NDArray[np.generic]:
        """The same values for NumPy."""
        return cast("NDArray[np.generic]", self.tensor.numpy())

    @cached_property
    def digest(self) -> str:
        """Names the content: dtype, shape and bytes."""
        return content_digest(self.tensor)


@lru_cache(maxsize=32)
def constant_element(baseline: Constant, shape: torch.Size, dtype: torch.dtype) -> Element:
    """The constant baseline of inputs of this form; kept, for most queries share their baseline."""
    return Element(materialise(baseline, torch.empty(shape, dtype=dtype), lambda _: torch.empty(0), lambda _: ()))


def content_digest(tensor: Tensor) -> str:
    """A name for a tensor's content: equal tensors of one dtype and shape have equal digests."""
    raw = tensor.contiguous().view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(torch.uint8)
    head = f"{tensor.dtype}{tuple(tensor.shape)}".encode()
    return hashlib.blake2b(raw.numpy().tobytes(), digest_size=12, key=head[:64]).hexdigest()


@dataclass(frozen=True, eq=False)
class Entry:
    """A registered input or collection, with the baseline and the players that its queries use by default."""

    name: str
    elements: tuple[Element, ...]
    collection: bool
    kind: str  # one of `algebra.kinds.KINDS`
    feature_names: tuple[str, ...] | None
    baselines: tuple[Baseline, ...] | None = None
    players: Partition | None = None
    labels: tuple[int, ...] | tuple[str, ...] | None = None  # one an element

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.elements[0].tensor.shape)

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """The words that tokens stand for, where the names of a token input are not those of its positions."""
        names = self.feature_names
        return names if KINDS[self.kind].vocabulary and names is not None and len(names) != self.shape[0] else None

    @property
    def sources(self) -> tuple[Source, ...]:
        """References to the elements."""
        if not self.collection:
            return (Source(self.name),)
        return tuple(Source(self.name, index) for index in range(len(self.elements)))


@dataclass(eq=False)
class Settings:
    """What `SET option = value` changes: the defaults of the queries that follow; None leaves the choice to the
    planner."""

    seed: int | None = None
    budget: int | None = None
    method: Estimation | None = None
    baselines: tuple[Baseline, ...] | None = None
    players: Partition | None = None
    output: str | None = None
    contrast: str | None = None
    strategy: str | None = None
    batch_size: int | None = None


@dataclass(eq=False)
class Catalog:
    """The session's name space."""

    models: dict[str, Network] = field(default_factory=dict)
    inputs: dict[str, Entry] = field(default_factory=dict)
    windows: dict[str, Window] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    interpreters: dict[str, GameInterpreter | ModelInterpreter] = field(default_factory=lambda: dict(SHIPPED))
    settings: Settings = field(default_factory=Settings)
    edited: OrderedDict[tuple[object, ...], Element] = field(default_factory=OrderedDict)

    def snapshot(self) -> Catalog:
        """What the names mean now, whatever is registered, dropped or set later."""
        return Catalog(
            dict(self.models),
            dict(self.inputs),
            dict(self.windows),
            dict(self.views),
            dict(self.interpreters),
            replace(self.settings),
            self.edited.copy(),
        )

    def model(self, name: str) -> Network:
        return _look_up("model", name, self.models)

    def input(self, name: str) -> Entry:
        return self.inputs[name] if name in self.inputs else _look_up("input", name, self.visible)

    @property
    def visible(self) -> dict[str, Entry]:
        """The inputs that users registered by name."""
        return {name: each for name, each in self.inputs.items() if _HIDING not in name}

    def view(self, name: str) -> str:
        return _look_up("view", name, self.views)

    def interpreter(self, name: str) -> GameInterpreter | ModelInterpreter:
        return _look_up("interpreter", name, self.interpreters)

    def element(self, source: Source) -> Element:
        """The input that `source` names, edited as it says; BindError for a collection of several without an index."""
        entry = self.input(source.name)
        if source.index is None and len(entry.elements) > 1:
            raise BindError(
                f"'{source.name}' is a collection of {len(entry.elements)} inputs; one input is needed here"
            )
        found = entry.elements[source.index or 0]
        for edit in source.edits:
            found = self._edited(found, edit, entry)
        return found

    def _edited(self, x: Element, edit: Edit, entry: Entry) -> Element:
        """`x` after one edit, made once while it is in use; the inputs that the edit reads belong to its name."""
        read = (self.input(name) for name in registered([Source(entry.name, None, (edit,))]))
        place = (x, edit, *read)
        if place not in self.edited:
            tensor = edited(
                x.tensor,
                edit,
                entry.kind,
                entry.feature_names,
                lambda source: self.element(source).tensor,
                lambda name: [each.tensor for each in self.input(name).elements],
            )
            self.edited[place] = Element(tensor)
            if len(self.edited) * tensor.nbytes > _EDITED and len(self.edited) > 1:
                self.edited.popitem(last=False)
        self.edited.move_to_end(place)
        return self.edited[place]

    def mask(self, source: Source) -> NDArray[np.generic]:
        """A registered feature mask; one of two dimensions (H, W) was registered as a collection of its rows."""
        entry = self.input(source.name)
        if entry.collection and source.index is None:
            rows = np.stack([each.array for each in entry.elements])
            return rows[0] if len(rows) == 1 else rows  # Captum's masks have a batch dimension of 1
        return self.element(source).array


def hidden(name: str, what: str) -> str:
    """A name for the baseline or the players of an input that came as tensors; no query can say it."""
    return f"{name}{_HIDING}{what}"


def _look_up(what: str, name: str, names: Mapping[str, _T]) -> _T:
    if name not in names:
        raise BindError(f"unknown {what} '{name}'{did_you_mean(name, names)}")
    return names[name]


def entry(name: str, value: object, feature_names: Iterable[str] | None = None) -> Entry:
    """A registered input from a tensor, array, nested list, or a list or batch of them (a collection).

    Raises ShapeError for anything else, and for a list whose elements differ in shape.
    """
    if isinstance(value, (list, tuple)) and value and all(_is_array(each) for each in value):
        tensors = [snapshot(name, each) for each in value]
        shapes = {tuple(each.shape) for each in tensors}
        if len(shapes) > 1:
            raise ShapeError(f"the inputs of collection '{name}' differ in shape: {sorted(shapes)}")
        collection = True
        if tensors[0].dim() == 0:
            raise ShapeError(f"input '{name}' is a list of scalars; register {_FORMS}")
    else:
        tensor = snapshot(name, value)
        collection = is_batch(tensor.dim())
        tensors = list(tensor) if collection else [tensor]
    if not tensors or tensors[0].numel() == 0:
        raise ShapeError(f"input '{name}' is empty; register {_FORMS}")
    first = tensors[0]
    fractions = next((each.dtype for each in tensors if each.is_floating_point()), None)
    kind = kind_of(tuple(first.shape), fractions or first.dtype)
    if kind is None:
        raise ShapeError(f"input '{name}' has shape {tuple(first.shape)}; register {_FORMS}")
    if kind.common_dtype and fractions is not None:  # rows of a table, some of which may hold whole numbers only
        tensors = [each if each.is_floating_point() else each.to(fractions) for each in tensors]
    if feature_names is not None:
        if kind.named is None or isinstance(feature_names, str) or not isinstance(feature_names, Iterable):
            raise BindError(f"feature names of input '{name}' must be a list of names, for tabular inputs or tokens")
        if isinstance(feature_names, Mapping):  # from token to word
            feature_names = [feature_names.get(k, k) for k in range(max(feature_names, default=-1) + 1)]
        feature_names = tuple(map(str, feature_names))
    if feature_names is not None and not kind.vocabulary and len(feature_names) != first.numel():
        raise ShapeError(f"input '{name}' has {first.numel()} features and {len(feature_names)} feature names")
    return Entry(name, tuple(Element(each) for each in tensors), collection, kind.name, feature_names)


def labels_of(entry: Entry, given: object) -> tuple[int, ...] | tuple[str, ...]:
    """A label for each element of a collection, all of them whole numbers or all of them names; BindError for others,
    ShapeError for too few or too many."""
    if not entry.collection:
        raise BindError(f"labels are for collections; '{entry.name}' is one input")
    values = given.tolist() if isinstance(given, Tensor | np.ndarray) else given
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise BindError(f"the labels of '{entry.name}' must be a list, one an element, not {type(given).__name__}")
    found = [each.item() if isinstance(each, Tensor | np.generic) and np.ndim(each) == 0 else each for each in values]
    if len(found) != len(entry.elements):
        raise ShapeError(f"collection '{entry.name}' has {len(entry.elements)} elements and {len(found)} labels")
    kinds = {type(each) for each in found}
    if kinds not in ({int}, {str}):
        shown = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise BindError(f"the labels of '{entry.name}' must be all whole numbers or all names, not {shown}")
    for place, label in enumerate(found):
        if isinstance(label, int) and abs(label) >= _LABELS:
            raise BindError(f"label {place} of '{entry.name}' is no number below 2^53 in size; register such as names")
    return cast("tuple[int, ...] | tuple[str, ...]", tuple(found))


def _is_array(value: object) -> bool:
    return isinstance(value, (Tensor, np.ndarray)) or hasattr(value, "__array_interface__")


def snapshot(name: str, value: object) -> Tensor:
    """One tensor on the CPU, which later changes of `value` do not reach; ShapeError for what is no real, dense one."""
    try:
        if isinstance(value, Tensor):
            tensor = value
        else:
            array = np.array(cast("ArrayLike", value), order="C")  # torch wants writable arrays, no negative strides
            tensor = torch.as_tensor(array.astype(array.dtype.newbyteorder("="), copy=False))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(f"input '{name}' is no tensor ({error}); register {_FORMS}") from None
    if tensor.is_complex() or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise ShapeError(
            f"input '{name}' is {tensor.layout} {tensor.dtype} on {tensor.device}; register real, dense numbers"
        )
    tensor = tensor.detach().to("cpu", copy=True).contiguous()
    if tensor.dtype == torch.bool:
        return tensor.to(torch.uint8)
    half = tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64)
    return tensor.float() if half else tensor  # NumPy has no bfloat16; float32 holds every narrower float

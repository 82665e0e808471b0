"""What the laws are checked on: a session's model and inputs, for queries in new sessions and for the definition.

In: the user's session and names. Out: a `World`. It opens a new session for every query, so that no answer is reused
from an earlier query, and it gives random heads to layers without a trained head. The user's session, its model and its
inputs are not changed.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn

from ..algebra.baselines import Constant, Given, materialise
from ..algebra.kinds import KINDS
from ..algebra.packings import agreed, carrying, packing_of, plain
from ..algebra.packings.parts import InputPart, PartsPacking
from ..algebra.sources import Source
from ..catalog import derived
from ..catalog.catalog import Catalog, Settings
from ..catalog.inputs import Element, Entry, entry
from ..errors import BindError, IalgebraWarning, ShapeError
from ..generators.registered import RegisteredGenerator
from ..language.bind.inputs import bind_input
from ..language.reader import parse_value
from ..models.concepts import Dictionary
from ..models.head import Head, pooled
from ..models.network import Model, Network
from ..planner.strategy import Strategy
from ..results.attribution import Attribution
from ..session.session import Session, connect
from . import definition
from .definition import Cut, Ground, Net
from .plans import DrawnEdit, DrawnWindow, Players
from .strategies import SHAPES, edits, partitions, windows

FEW, MANY, ENUMERATED = 5, 9, 6
"""The most players of a game that is exact, of one that is sampled, and of one that is enumerated."""

SEVERAL = "several"
"""The name of the collection that every world has."""

_T = TypeVar("_T")

_MOST_ELEMENTS = 3  # of a collection that become single inputs
_PLAYERS_OF_MASKS = (2, 4, 9)  # of the feature masks that are made for inputs of many features
_MOST_LAYERS = 4  # that σ may name: the first two, the last, and the model's own output


@dataclass(frozen=True, eq=False)
class World:
    """A model with heads at `layers`, single inputs `names` of one kind and shape, a collection `several` of two more.

    `told` has for each name that only these checks use the line of code that registers it.
    """

    catalog: Catalog
    model: str
    network: Network
    entries: Mapping[str, Entry]
    names: tuple[str, ...]
    several: str
    elements: tuple[str, ...]
    masks: tuple[str, ...]
    layers: tuple[int, ...]
    kind: str
    shape: tuple[int, ...]
    told: Mapping[str, str]
    remarks: str
    dictionary: Dictionary | None = None  # of this model alone

    def ask(self, text: str, strategy: Strategy, seed: int) -> tuple[Attribution, ...]:
        """The answers to a query, in a new session."""
        return self._cold(self.network, self.entries, lambda con: tuple(con.sql(text, seed=seed, strategy=strategy)))

    def explain(self, text: str, strategy: Strategy) -> str:
        """The plan of a query, in a new session."""
        return self._cold(self.network, self.entries, lambda con: con.explain(text, strategy))

    def ask_of(
        self, model: Model | None, inputs: Mapping[str, Tensor], text: str, strategy: Strategy, seed: int
    ) -> tuple[Attribution, ...]:
        """The answers to a query over other inputs, and over another model if one is given."""
        network = self.network
        if model is not None and model is not network.model:
            network = Network(
                self.model, model, device=network.device, batch_size=network.batch_size, train_mode=network.train_mode
            )
        of_numbers = network is not self.network  # such a model takes numbers, in whatever form f takes them
        entries = {name: entry(name, plain(value) if of_numbers else value) for name, value in inputs.items()}
        return self._cold(network, entries, lambda con: tuple(con.sql(text, seed=seed, strategy=strategy)))

    def _cold(self, network: Network, entries: Mapping[str, Entry], do: Callable[[Session], _T]) -> _T:
        with connect(progress=False) as con, _without_warnings():
            # The new session has the user's windows, views and interpreters, but not the settings.
            con._catalog = replace(
                self.catalog,
                models={self.model: network},
                inputs=dict(entries),
                settings=Settings(),
                concepts={},
                heads={},
            )
            if self.dictionary is not None and network is self.network:
                derived.put(con._catalog, self.dictionary)
            return do(con)

    def x(self, name: str) -> Tensor:
        """A single input."""
        return self.entries[name].elements[0].tensor

    @cached_property
    def generators(self) -> tuple[RegisteredGenerator, ...]:
        """The generators that draw such inputs and find their codes."""
        numbers = packing_of(self.x(self.names[0])) is None and KINDS[self.kind].quantities
        found = [each for each in self.catalog.generators.values() if each.encodes and each.shape == self.shape]
        return tuple(found) if numbers else ()

    def edited(self, text: str, against: str) -> Tensor:
        """An input with the edits that a query would write, where its baseline is another input."""

        def read(con: Session) -> Tensor:
            (source,) = bind_input(parse_value(text), con._catalog, lambda entry: (Given(Source(against)),))
            return con._catalog.element(source).tensor

        return self._cold(self.network, self.entries, read)

    @cached_property
    def ground(self) -> Ground:
        """The model and inputs in the form that `definition` reads."""
        network = self.network
        cuts = {}
        for layer in network.layers:
            if layer.index in self.layers and layer.index != network.depth:
                head = network.heads[layer.index]
                cuts[layer.index] = Cut(layer.tap.module, layer.tap.call, head.pool, head.weight, head.bias)
        inputs = {name: [each.tensor for each in entry.elements] for name, entry in self.entries.items()}
        in_form = packing_of(self.x(self.names[0])) is not None
        return Ground(
            Net(
                _OfNumbers(network, self.x(self.names[0])) if in_form else network.module,
                cuts,
                network.depth,
                network.runs_on,
                network.outputs,
                _as_it_is if in_form else network.ready,
                _as_it_is if in_form else network.called,
            ),
            inputs,
            {
                name: [self._baseline(name, each) for each in self.entries[name].baselines or (Constant(0.0),)]
                for name in (*self.names, self.several, *self.elements)
            },
        )

    def _baseline(self, name: str, baseline: object) -> Tensor:
        return materialise(
            baseline,  # type: ignore[arg-type]
            self.kind,
            self.x(name),
            lambda source: self.entries[source.name].elements[source.index or 0].tensor,
            lambda collection: [each.tensor for each in self.entries[collection].elements],
        )

    @cached_property
    def windows(self) -> SearchStrategy[DrawnWindow]:
        """Predicates over the columns of these inputs."""
        return windows(self.kind, self.shape, self.scale)

    @cached_property
    def edits(self) -> SearchStrategy[DrawnEdit]:
        """Edits of these inputs."""
        return edits(self.kind, self.shape, self.scale)

    @cached_property
    def few(self) -> list[Players]:
        """Partitions whose games can be enumerated."""
        return self._partitions(FEW)

    @cached_property
    def many(self) -> list[Players]:
        """Partitions whose games are sampled, the finest first."""
        return sorted(self._partitions(MANY), key=lambda each: -self._count(each))

    def _partitions(self, most: int) -> list[Players]:
        given = [
            definition.given(name, mask.numpy())
            for name, mask in ((name, self.x(name)) for name in self.masks)
            if int(mask.max()) < most
        ]
        return [*partitions(self.kind, self.shape, most), *given]

    def _count(self, each: Players) -> int:
        return int(each.divide(np.ones(self.shape, dtype=bool)).max()) + 1

    @cached_property
    def scale(self) -> float:
        """About the size of the inputs' values, as a power of two."""
        size = max(float(self.x(name).double().abs().mean()) for name in self.names)
        return 2.0 ** round(math.log2(size)) if size > 0 else 1.0

    @cached_property
    def magnitude(self) -> float:
        """About the size of the model's logits, to judge differences by: batches of other sizes may round the last
        digits differently."""
        rows = [row for name in self.names for row in (self.x(name), *self.ground.baselines[name])]
        cuts = [None, *(layer for layer in self.layers if layer != self.network.depth)]
        return max(float(np.abs(self.ground.net.logits(row, cut)).max()) for row in rows for cut in cuts)


def world(con: Session, model: str, inputs: Sequence[str]) -> World:
    """The world of a registered model and inputs; BindError for unknown names, ShapeError for inputs that differ."""
    if not inputs:
        raise BindError("name at least one registered input; joins and anti-joins need two")
    with con._lock:
        catalog = con._catalog
        network = catalog.model(model)
        entries = dict(catalog.inputs)
        singles: dict[str, Entry] = {}
        told: dict[str, str] = {}
        for name in dict.fromkeys(inputs):
            found = catalog.input(name)
            if not found.collection:
                singles[name] = found
                continue
            for number, element in enumerate(found.elements[:_MOST_ELEMENTS]):
                own = _unused(f"{name}_{number}", entries)
                told[own] = f"con.register_input({own!r}, …)  # element {number} of {name!r}"
                singles[own] = entries[own] = replace(found, name=own, elements=(element,), collection=False)
    for name, found in list(singles.items()):
        if found.kind not in SHAPES or packing_of(found.elements[0].tensor) is not None:
            singles[name] = entries[name] = _as_numbers(found)
    first = next(iter(singles.values()))
    for name, found in singles.items():
        if (found.shape, found.kind) != (first.shape, first.kind):
            raise ShapeError(
                f"the inputs '{first.name}' {first.shape} and '{name}' {found.shape} differ in form; "
                "laws are checked on inputs of one form"
            )
    x = first.elements[0].tensor
    if network.tokens is not None and KINDS[first.kind].vocabulary:
        for found in singles.values():
            (text,) = found.elements
            if bool((text.packed(network.tokens, text).tensor != text.tensor).any()):
                raise BindError(f"laws are checked on texts without padding and types; '{found.name}' has some")
    network = copy.copy(network)
    network.heads = dict(network.heads)
    network.meet(x)
    turned = {"flip": x.flip(-1), "roll": x.roll(1, -1)}
    if packing_of(x) is not None:  # one form that holds all numbers
        for value in turned.values():
            x = agreed(x, value)[0]
        for found in singles.values():
            x = agreed(x, found.elements[0].tensor)[0]
        form = packing_of(x)
        turned = {turn: carrying(value, form) for turn, value in turned.items()}
        for name, found in singles.items():
            singles[name] = entries[name] = replace(
                found, elements=(Element(carrying(found.elements[0].tensor, form)),)
            )
    several = _unused(SEVERAL, entries)
    zeros = (Constant(0.0),)
    entries[several] = Entry(several, tuple(map(Element, turned.values())), True, first.kind, None, zeros)
    told[several] = f"con.register_input({several!r}, torch.stack([x.flip(-1), x.roll(1, -1)]))  # x is {first.name!r}"
    elements = []
    for turn, value in turned.items():
        elements.append(_unused(f"{several}_{turn}", entries))
        entries[elements[-1]] = Entry(elements[-1], (Element(value),), False, first.kind, None)
        arguments = "-1" if turn == "flip" else "1, -1"
        told[elements[-1]] = f"con.register_input({elements[-1]!r}, x.{turn}({arguments}))  # x is {first.name!r}"
    masks = []
    for parts in () if first.kind == "image" else _PLAYERS_OF_MASKS:
        if x.numel() > parts:
            name = _unused(f"in_{parts}", entries)
            mask = torch.arange(x.numel()) * parts // x.numel()
            entries[name] = Entry(name, (Element(mask),), False, "tokens", None)
            masks.append(name)
            told[name] = f"con.register_input({name!r}, torch.arange({x.numel()}) * {parts} // {x.numel()})"
    layers, remarks = _with_heads(network, x)
    return World(
        catalog,
        model,
        network,
        entries,
        tuple(singles),
        several,
        tuple(elements),
        tuple(masks),
        layers,
        first.kind,
        first.shape,
        told,
        remarks,
        next((each for each in catalog.concepts.values() if each.models == (model,)), None),
    )


def _as_it_is(given: _T) -> _T:
    return given


class _OfNumbers(nn.Module):
    """A model of inputs in another form as a model of their numbers (B, N)."""

    def __init__(self, network: Network, x: Tensor) -> None:
        super().__init__()
        ready = network.ready(x[None])
        self.form, self.dtype = packing_of(ready), ready.dtype
        self.called = network.called(network.module)
        self.inside = network.module if isinstance(network.module, nn.Module) else None

    def forward(self, batch: Tensor) -> object:
        return self.called(carrying(plain(batch).to(self.dtype), self.form))


def _as_numbers(found: Entry) -> Entry:
    """An input of any form as a row of its numbers, which the model is given in that form; BindError where some are no
    amounts."""
    x = found.elements[0].tensor
    packing, dtype = packing_of(x), x.dtype
    if packing is None:
        whole = PartsPacking((InputPart(found.kind, tuple(x.shape), dtype),), bare=True)
        return replace(found, kind="tabular", elements=(Element(carrying(x.reshape(-1), whole)),))
    lacking = packing.without_numbers
    if isinstance(packing, PartsPacking) and not lacking:
        lacking = ", ".join(f"part '{each.name}'" for each in packing.parts if not each.dtype.is_floating_point)
    if lacking:
        raise BindError(f"laws are checked on amounts, which {lacking} of '{found.name}' does not hold")
    return replace(found, kind="tabular")


def _unused(name: str, taken: Mapping[str, object]) -> str:
    while name in taken:
        name += "_"
    return name


def _with_heads(network: Network, x: Tensor) -> tuple[tuple[int, ...], str]:
    """The layers that σ may name, and a remark if some of them got a random head because they had none."""
    count = len(network.layers)
    if not count:
        return (), ""
    trained = [index for index in sorted(network.heads) if index != network.depth]
    first = trained if len(trained) > 1 else [layer.index for layer in network.layers if layer.index != network.depth]
    chosen = dict.fromkeys([*first[:2], *first[-1:]][: _MOST_LAYERS - 1])
    bare = [layer for layer in network.layers if layer.index in chosen and network.needs_head(layer.index)]
    if bare:
        seen: dict[int, Tensor] = {}
        features = {layer.index: _remember(seen, layer.index, layer.pool) for layer in bare}
        network.read(x[None], features, False)
        generator = torch.Generator().manual_seed(0)
        for layer in bare:
            size = float(seen[layer.index].double().norm()) or 1.0
            dtype = seen[layer.index].dtype
            weight, bias = (
                torch.randn(shape, generator=generator, dtype=torch.float64).to(network.runs_on, dtype)
                for shape in ((network.column_count, layer.features), (network.column_count,))
            )
            network.heads[layer.index] = Head(weight / size, bias, layer.pool)
    if network.depth is not None:
        chosen[network.depth] = None
    names = ", ".join(f"layer {layer.index} ('{layer.name}')" for layer in bare)
    return tuple(sorted(chosen)), f"no head is trained for {names}: random ones were used" if bare else ""


def _remember(seen: dict[int, Tensor], index: int, pool: Sequence[int]) -> Callable[[Tensor], Tensor]:
    def read(value: Tensor) -> Tensor:
        seen[index] = pooled(value, pool)
        return value

    return read


@contextmanager
def _without_warnings() -> Iterator[None]:
    """No warnings about joins of different classes: the checks draw such joins on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IalgebraWarning)
        yield

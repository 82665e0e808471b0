"""Inputs that generators draw: a source whose last edit is one of codes in, its tensor out, with the rest of its block.

Edits of one generator around each other are one: the innermost input is encoded once, moves are summed in the order of
their axes' names, and the result is drawn once (L19). Other inputs come from a function. May not know the catalog.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from ..algebra.baselines import Given
from ..algebra.edits import Counterfactual, Latent, LatentEdit, Mixed, Reconstructed
from ..algebra.edits.numbers import narrowed
from ..algebra.packings import carrying, packing_of, plain
from ..algebra.sources import Edit, Source
from ..algebra.sweeps import Step
from ..errors import BindError
from ..generators.axes import Axis
from ..generators.registered import RegisteredGenerator
from ..models.network import Network
from .inputs import Element

_EXAMPLES = 1_000  # of a collection, that counterfactuals may go towards

DrawnBy = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Names of generators, axes and models."""


@dataclass(frozen=True)
class _Code:
    """Where an input lies: a point, and moves along axes that are not added yet."""

    point: Tensor
    moves: Mapping[str, float] = field(default_factory=dict)

    def moved(self, axis: str, amount: float) -> _Code:
        return replace(self, moves={**self.moves, axis: math.fsum((self.moves.get(axis, 0.0), amount))})


@dataclass(frozen=True)
class Drawings:
    """Draws sources with generators and axes, and for counterfactuals with models; `element` gives any other source,
    `count` how many elements a source's input has. It finds each code once, so it is for one drawing.
    """

    generators: Mapping[str, RegisteredGenerator]
    axes: Mapping[str, Axis]
    model: Callable[[str], Network]
    element: Callable[[Source], Element]
    count: Callable[[Source], int]
    spent: Callable[[int], None]  # is told rows of models that searches run
    _points: dict[tuple[str, Source], Tensor] = field(default_factory=dict)
    _found: dict[Source, tuple[Tensor, float]] = field(default_factory=dict)
    _spreads: dict[str, Tensor] = field(default_factory=dict)
    _examples: dict[str, Tensor] = field(default_factory=dict)

    def drawn(self, source: Source, ahead: Sequence[Source] = ()) -> dict[Source, Tensor]:
        """The tensors of a source and of those that share its block (steps of its sweep, or elements of its
        collection), or of `ahead`, others that differ from it in their step and element only.

        Raises BindError for an input of packed parts, and what the generator raises.
        """
        block = ahead or self.block_of(source)
        generator = self.generator(source)
        origins = [self.base(each) for each in block]
        if len(set(origins)) > 1:
            self._find_points(list(dict.fromkeys(origins)), generator)
        bases = [self.element(each).tensor for each in origins]
        made: list[Tensor] = generator.drawn([self.code(each, generator) for each in block])
        plain: Sequence[Tensor | None] = [None] * len(block)
        if any(isinstance(edit, LatentEdit) and edit.keep for edit in self.chain(source)):
            plain = generator.drawn([self.point(each, generator) for each in origins])
        drawn = [like(base, source.name, new, old) for base, new, old in zip(bases, made, plain, strict=True)]
        return dict(zip(block, drawn, strict=True))

    def read_by(self, source: Source) -> DrawnBy:
        """The generators, axes and models that decide how a source is drawn, besides its inputs."""
        edits = [edit for edit in _every_edit(source) if isinstance(edit, LatentEdit)]
        return (
            tuple(sorted({edit.generator for edit in edits})),
            tuple(sorted({edit.axis for edit in edits if isinstance(edit, Latent)})),
            tuple(sorted({edit.model for edit in edits if isinstance(edit, Counterfactual)})),
        )

    def content(self, names: DrawnBy) -> tuple[object, ...]:
        """A value that changes whenever one of these generators, axes and models does."""
        generators, axes, models = names
        return (
            *(self.generators[name].content for name in generators),
            *(self.axes[name].key for name in axes),
            *(self.model(name).fingerprint() for name in models),
        )

    def generator(self, source: Source) -> RegisteredGenerator:
        """The generator of the last edit."""
        last = source.edits[-1]
        assert isinstance(last, LatentEdit)
        return self.generators[last.generator]

    def chain(self, source: Source) -> tuple[LatentEdit, ...]:
        """The edits of one generator that a source ends with."""
        found: list[LatentEdit] = []
        for edit in reversed(source.edits):
            if not isinstance(edit, LatentEdit) or (found and edit.generator != found[0].generator):
                break
            found.append(edit)
        return tuple(reversed(found))

    def base(self, source: Source) -> Source:
        """The source before the edits of its last generator."""
        return Source(source.name, source.index, source.edits[: len(source.edits) - len(self.chain(source))])

    def block_of(self, source: Source) -> list[Source]:
        """The sources that are drawn together with one: which ones does not change what each is."""
        size, step = self.generator(source).block, source.step
        if step is not None:
            assert step.number is not None
            first = step.number // size * size
            numbers = range(first, min(first + size, step.count))
            return [source.at_step(Step(step.low, step.high, step.count, number)) for number in numbers]
        if source.index is not None:
            first = source.index // size * size
            return [replace(source, index=k) for k in range(first, min(first + size, self.count(source)))]
        return [source]

    def code(self, source: Source, generator: RegisteredGenerator) -> Tensor:
        """The code (levels, width) of a source."""
        found = self._code(source, generator)
        total = found.point
        for axis in sorted(found.moves):
            if found.moves[axis]:
                total = total + found.moves[axis] * self.axes[axis].direction.double()
        return total

    def point(self, source: Source, generator: RegisteredGenerator) -> Tensor:
        """The code of an input as it is; those of its block are found with it, once."""
        place = generator.name, source
        if place not in self._points:
            self._find_points(self.block_of_elements(source, generator.block), generator)
        return self._points[place]

    def _find_points(self, sources: Sequence[Source], generator: RegisteredGenerator) -> None:
        elements = [self.element(each) for each in sources]
        numbers = [numbers_of(each.tensor, source.name) for each, source in zip(elements, sources, strict=True)]
        codes = generator.codes(numbers, [each.digest for each in elements])
        self._points.update({(generator.name, each): code for each, code in zip(sources, codes, strict=True)})

    def block_of_elements(self, source: Source, size: int) -> Sequence[Source]:
        """A plain element of a collection with its neighbours; any other source alone."""
        if source.index is None or source.edits:
            return [source]
        first = source.index // size * size
        return [Source(source.name, k) for k in range(first, min(first + size, self.count(source)))]

    def counterfactual(self, source: Source, edit: Counterfactual, generator: RegisteredGenerator) -> Tensor:
        """The code of a counterfactual; those of its block are searched with it. Where none is found,
        BindError for a single input; an element of a collection is what came nearest."""
        code, lead = self._searched(source, edit, generator)
        if lead < edit.margin - 1e-9 and not source.is_element:
            network, inner = self.model(edit.model), _inner(source)
            raise BindError(
                f"no counterfactual of '{inner}' was found at which model '{edit.model}' puts "
                f"'{network.class_name(class_of(network, edit.target))}' ahead by {edit.margin:g}; the best leads by "
                f"{lead:.3g}: ask for a smaller margin"
            )
        return code

    def lead(self, source: Source) -> float:
        """How far the class of a counterfactual leads, which is a source's last edit."""
        last = source.edits[-1]
        assert isinstance(last, Counterfactual)
        return self._searched(source, last, self.generators[last.generator])[1]

    def _searched(self, source: Source, edit: Counterfactual, generator: RegisteredGenerator) -> tuple[Tensor, float]:
        """The code of a counterfactual, and how far its class leads."""
        block = self.block_of(source) if source.edits[-1] is edit and self.chain(source)[-1] is edit else [source]
        network = self.model(edit.model)
        if not network.probed:
            network.probe(self.element(self.base(source)).tensor)
        target = class_of(network, edit.target)
        edits = [each.edits[-1] for each in block]
        if source not in self._found:
            spread, examples = self.spread(generator), self._examples.get(generator.name)
            found, leads = generator.counterfactuals(
                network,
                [self.code(_inner(each), generator) for each in block],
                target,
                float(edit.margin),
                spread,
                [int(each.nth) for each in edits if isinstance(each, Counterfactual)],
                self.spent,
                examples,
            )
            self._found.update(zip(block, zip(found, leads, strict=True), strict=True))
        return self._found[source]

    def spread(self, generator: RegisteredGenerator) -> Tensor:
        """The covariance (D, D) of the codes of a generator's collection; without one, that of independent codes."""
        if generator.collection is None:
            return torch.eye(generator.levels * generator.width, dtype=torch.float64)
        if generator.name not in self._spreads:
            name = generator.collection
            sources = [Source(name, k) for k in range(self.count(Source(name)))]
            self._find_points(sources, generator)
            codes = torch.stack([self._points[generator.name, each] for each in sources])
            self._examples[generator.name] = codes[:_EXAMPLES]
            self._spreads[generator.name] = torch.cov(codes.flatten(1).T).reshape(2 * (codes[0].numel(),))
        return self._spreads[generator.name]

    def _code(self, source: Source, generator: RegisteredGenerator) -> _Code:
        last = source.edits[-1] if source.edits else None
        if not isinstance(last, LatentEdit) or last.generator != generator.name:
            return _Code(self.point(source, generator))
        inner = _inner(source)
        match last:
            case Reconstructed():
                return self._code(inner, generator)
            case Latent(axis, amount):
                return self._code(inner, generator).moved(axis, float(amount))
            case Counterfactual():
                return _Code(self.counterfactual(source, last, generator))
            case Mixed(other, layers, share):
                return _Code(_mixed(self.code(inner, generator), self.code(other, generator), layers, float(share)))
        raise AssertionError(f"no edit of codes: {last!r}")


def _inner(source: Source) -> Source:
    """The source before its last edit."""
    return Source(source.name, source.index, source.edits[:-1])


def _every_edit(source: Source) -> Iterator[Edit]:
    """The edits of a source, and those of the sources that these read."""
    for edit in source.edits:
        yield edit
        for each in fields(edit):  # type: ignore[arg-type]
            value = getattr(edit, each.name)
            if isinstance(value, Given):
                value = value.source
            if isinstance(value, Source):
                yield from _every_edit(value)


def numbers_of(x: Tensor, name: str) -> Tensor:
    """An input as numbers; BindError for one that holds texts, or several parts."""
    packing = packing_of(x)
    if packing is not None and not bool(packing.amounts(plain(x)).all()):
        raise BindError(f"a generator draws numbers; '{name}' holds texts, missing values or several parts")
    return plain(x)


def like(base: Tensor, name: str, new: Tensor, old: Tensor | None = None) -> Tensor:
    """What was drawn, as an input like `base`; with `old`, what its own code draws, as `base` moved by what is new.
    Raises what `numbers_of` raises."""
    x, packing = numbers_of(base, name), packing_of(base)
    drawn = narrowed(new if old is None else x.double() + (new.double() - old.double()), x.dtype)
    return drawn if packing is None else carrying(drawn, packing)


def class_of(network: Network, named: str) -> int:
    """The number of a class by its name, or by its number in digits; BindError if there is none."""
    number = named.isdecimal() and named not in (network.classes or ())
    return network.class_index(int(named) if number else named)


def _mixed(one: Tensor, other: Tensor, layers: Sequence[int], share: float) -> Tensor:
    """A code (levels, width) with a share of the way to another one at some levels (from 1)."""
    chosen = torch.zeros(len(one), 1, dtype=torch.bool)
    chosen[[layer - 1 for layer in layers]] = True
    there = other if share == 1 else one + share * (other - one)
    return torch.where(chosen, there, one)

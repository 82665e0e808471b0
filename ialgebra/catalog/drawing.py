"""Inputs that generators draw: a source whose last edit is one of codes in, its tensor out, with the rest of its block.

Edits of one generator around each other are one: the innermost input is encoded once, moves are summed in the order of
their axes' names, and the result is drawn once (L19). Other inputs come from a function. May not know the catalog.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor

from ..algebra.baselines import Given
from ..algebra.edits import Counterfactual, Latent, LatentEdit, Mixed, Reconstructed
from ..algebra.edits.numbers import narrowed
from ..algebra.interning import values_of
from ..algebra.packings import carrying, packing_of, plain
from ..algebra.sources import Edit, Source
from ..algebra.sweeps import Step
from ..errors import BindError
from ..generators.axes import Axis
from ..generators.registered import RegisteredGenerator
from ..models.network import Network
from .inputs import Element
from .readings import DrawnBy

_EXAMPLES = 1_000  # of a collection, that counterfactuals may go towards


@dataclass(frozen=True)
class _Code:
    """Where an input lies: a point, and moves along axes that are not added yet."""

    point: Tensor
    moves: Mapping[str, float] = field(default_factory=dict)

    def moved(self, edit: Latent) -> _Code:
        return replace(self, moves=_summed((edit,), self.moves))


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
        bare = len(source.edits) - len(self.chain(source))
        origins = [Source(each.name, each.index, each.edits[:bare]) for each in block]
        if len(set(origins)) > 1:
            self._find_points(list(dict.fromkeys(origins)), generator)
        bases = [self.element(each).tensor for each in origins]
        made = generator.drawn(self.codes(block, generator))
        plain = None
        if any(isinstance(edit, LatentEdit) and edit.keep for edit in self.chain(source)):
            plain = generator.drawn(torch.stack([self.point(each, generator) for each in origins]))
        return dict(zip(block, like(bases, source.name, made, plain), strict=True))

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

    def codes(self, sources: Sequence[Source], generator: RegisteredGenerator) -> Tensor:
        """The codes (n, levels, width) of sources."""
        found = self._codes(sources, generator)
        total = torch.stack([each.point for each in found])
        for axis in sorted(
            {axis for moves in {id(each.moves): each.moves for each in found}.values() for axis in moves}
        ):
            amounts = torch.tensor([each.moves.get(axis, 0.0) for each in found], dtype=torch.float64)[:, None, None]
            total = torch.where(amounts == 0, total, total + amounts * self.axes[axis].direction.double())
        return total

    def _codes(self, sources: Sequence[Source], generator: RegisteredGenerator) -> list[_Code]:
        """Where sources lie. The moves of those that have the same edits, and only moves, are summed once."""
        moves: dict[tuple[Edit, ...], tuple[int, Mapping[str, float]]] = {}
        found = []
        for source in sources:
            if source.edits not in moves:
                chain = self.chain(source)
                if not all(isinstance(edit, Latent | Reconstructed) for edit in chain):
                    found.append(self._code(source, generator))
                    continue
                moves[source.edits] = len(source.edits) - len(chain), _summed(chain)
            bare, summed = moves[source.edits]
            found.append(_Code(self.point(Source(source.name, source.index, source.edits[:bare]), generator), summed))
        return found

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
                list(self.codes([_inner(each) for each in block], generator)),
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
            case Latent():
                return self._code(inner, generator).moved(last)
            case Counterfactual():
                return _Code(self.counterfactual(source, last, generator))
            case Mixed(other, layers, share):
                one, there = self.codes([inner], generator)[0], self.codes([other], generator)[0]
                return _Code(_mixed(one, there, layers, float(share)))
        raise AssertionError(f"no edit of codes: {last!r}")


def read_by(source: Source) -> DrawnBy:
    """The generators, axes and models that decide how a source is drawn, besides its inputs."""
    edits = [edit for edit in _every_edit(source) if isinstance(edit, LatentEdit)]
    return (
        tuple(sorted({edit.generator for edit in edits})),
        tuple(sorted({edit.axis for edit in edits if isinstance(edit, Latent)})),
        tuple(sorted({edit.model for edit in edits if isinstance(edit, Counterfactual)})),
    )


def _inner(source: Source) -> Source:
    """The source before its last edit."""
    return Source(source.name, source.index, source.edits[:-1])


def _every_edit(source: Source) -> Iterator[Edit]:
    """The edits of a source, and those of the sources that these read."""
    for edit in source.edits:
        yield edit
        for value in values_of(edit):
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


def like(bases: Sequence[Tensor], name: str, made: Tensor, plain: Tensor | None = None) -> list[Tensor]:
    """What was drawn, (n, *shape), as inputs like `bases`; with `plain`, what the bases' own codes draw, as bases moved
    by what is new. Raises what `numbers_of` raises."""
    if plain is not None:
        numbers = torch.stack([numbers_of(each, name) for each in bases])
        made = numbers.double() + (made.double() - plain.double())
    if len({each.dtype for each in bases}) == 1 and not any(map(packing_of, bases)):
        return list(narrowed(made, bases[0].dtype))
    return [
        carrying(narrowed(each, numbers_of(base, name).dtype), packing_of(base))
        for each, base in zip(made, bases, strict=True)
    ]


def class_of(network: Network, named: str) -> int:
    """The number of a class by its name, or by its number in digits; BindError if there is none."""
    number = named.isdecimal() and named not in (network.classes or ())
    return network.class_index(int(named) if number else named)


def _summed(edits: Sequence[LatentEdit], before: Mapping[str, float] = MappingProxyType({})) -> dict[str, float]:
    """How far edits move along each axis, together with the moves `before`."""
    moves = dict(before)
    for edit in edits:
        if isinstance(edit, Latent):
            moves[edit.axis] = math.fsum((moves.get(edit.axis, 0.0), float(edit.amount)))
    return moves


def _mixed(one: Tensor, other: Tensor, layers: Sequence[int], share: float) -> Tensor:
    """A code (levels, width) with a share of the way to another one at some levels (from 1)."""
    chosen = torch.zeros(len(one), 1, dtype=torch.bool)
    chosen[[layer - 1 for layer in layers]] = True
    there = other if share == 1 else one + share * (other - one)
    return torch.where(chosen, there, one)

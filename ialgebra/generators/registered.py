"""A registered generator: codes of inputs, and inputs of codes, always in blocks of one size.

In: tensors. Out: tensors. A block that is not full is filled with copies, so that a row's last bits do not depend on
how many others are asked for with it. Codes of inputs are kept by content. Knows no names of inputs and no query.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from ..errors import BindError, IalgebraError, ModelError, ShapeError
from ..models.adapters.results import logits
from ..models.network import Network
from ..models.scalar import asking
from ..system import forking
from ..system.shortage import blamed
from .adapters import adapted
from .counterfactuals import counterfactuals
from .protocol import Generator, known_generator
from .refining import refined

_KEPT_CODES = 64 << 20  # bytes of codes that are kept
_MOST_ROWS = 1 << 16  # of a block
_KEPT_BLOCKS = 256  # of counterfactuals


class _Drawing(nn.Module):
    """A generator as a model: codes in, flat inputs out."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, codes: Tensor) -> Tensor:
        return _as_tensor(self.generator.synthesis(codes)).flatten(1)


class _Encoding(nn.Module):
    """An encoder as a model: inputs in, flat codes out."""

    def __init__(self, encode: Callable[[Tensor], Tensor], owner: object) -> None:
        super().__init__()
        self.owner = owner if isinstance(owner, nn.Module) else None
        self.encode = encode

    def forward(self, inputs: Tensor) -> Tensor:
        return _as_tensor(self.encode(inputs)).flatten(1)


def _as_tensor(made: object) -> Tensor:
    if not isinstance(made, Tensor):
        raise TypeError(f"it returned a {type(made).__name__}; a tensor is needed")
    return made


def _searched(network: Network, error: Exception) -> IalgebraError:
    """What is said where a model fails in a search, or has no gradients for it."""
    if "grad" in str(error):
        return BindError(
            f"no gradients can be taken through model '{network.name}' and what draws its inputs, which a "
            f"counterfactual needs: {error}"
        )
    return ModelError(f"model '{network.name}' raised {type(error).__name__}: {error}")


def _digest(codes: Tensor) -> str:
    return hashlib.blake2b(codes.contiguous().numpy().tobytes(), digest_size=12).hexdigest()


@dataclass(eq=False)
class RegisteredGenerator:
    """A generator under its `name`, for inputs of `shape`, run in blocks of `block` rows; `collection` is the input
    that its axes and reports are made of. `generator` is what the user gave: one, or a module that `adapted` knows.
    Codes that were found take `refine` steps towards the input."""

    name: str
    generator: object
    encoder: Callable[[Tensor], Tensor] | None
    collection: str | None
    shape: tuple[int, ...]
    block: int = 16
    refine: int = 0
    _scored: tuple[tuple[object, ...], Tensor] | None = field(init=False, default=None)  # of examples
    _ready: Generator = field(init=False)
    _drawing: Network = field(init=False)
    _encoding: Network | None = field(init=False)
    _steady: bool = field(init=False, default=False)  # whether it was seen to find one code of an input
    _codes: OrderedDict[tuple[object, ...], Tensor] = field(init=False, default_factory=OrderedDict)
    _found: OrderedDict[tuple[object, ...], tuple[list[Tensor], list[float]]] = field(
        init=False, default_factory=OrderedDict
    )

    def __post_init__(self) -> None:
        self._ready = known_generator(self.name, adapted(self.name, self.generator, self.shape))
        if isinstance(self.block, bool) or not isinstance(self.block, int) or self.block < 1:
            raise BindError(f"generator '{self.name}' runs in blocks of at least 1 row, not {self.block!r}")
        if self.block > _MOST_ROWS:
            raise BindError(
                f"generator '{self.name}' runs in blocks of at most {_MOST_ROWS:,} rows, not {self.block:,}"
            )
        if isinstance(self.refine, bool) or not isinstance(self.refine, int) or self.refine < 0:
            raise BindError(f"generator '{self.name}' refines codes by 0 steps or more, not {self.refine!r}")
        self._drawing = Network(self.name, _Drawing(self._ready), outputs="values")
        own = getattr(self._ready, "encode", None) if self.encoder is None else self.encoder
        self._lock = forking.lock()
        if own is not None and not callable(own):
            raise BindError(f"the encoder of generator '{self.name}' cannot be called")
        owner = self._ready if self.encoder is None else self.encoder
        self._encoding = None
        if own is not None:
            self._encoding = Network(f"the encoder of {self.name}", _Encoding(own, owner), outputs="values")
        self._check()

    @property
    def levels(self) -> int:
        """How many levels a code has."""
        return self._ready.levels

    @property
    def width(self) -> int:
        """How many numbers a level has."""
        return self._ready.width

    @property
    def encodes(self) -> bool:
        """Whether it finds codes of inputs."""
        return self._encoding is not None

    @property
    def content(self) -> str:
        """A digest that changes whenever the generator or its encoder draws or finds something else."""
        networks = [self._drawing, *([] if self._encoding is None else [self._encoding])]
        read = repr([self.refine, *((each.fingerprint(), each.apart()) for each in networks)])
        return hashlib.blake2b(read.encode(errors="surrogatepass"), digest_size=12).hexdigest()

    def drawn(self, codes: Tensor) -> Tensor:
        """The inputs (n, *shape) of codes (n, levels, width). Raises ModelError where it fails, and for NaN."""
        return self._blocks(self._drawing, codes.double()).reshape(len(codes), *self.shape)

    def codes(self, inputs: Sequence[Tensor], names: Sequence[str]) -> list[Tensor]:
        """The codes (levels, width) of inputs (*shape), float64, kept under the names of their contents.

        Raises BindError where the generator has no encoder, ShapeError for inputs of another shape, ModelError for a
        failing encoder.
        """
        if self._encoding is None:
            raise BindError(
                f"generator '{self.name}' finds no codes of inputs; register it with encoder=, a function from inputs "
                f"(n, *shape) to codes (n, {self.levels}, {self.width})"
            )
        for each in inputs:
            if tuple(each.shape) != self.shape:
                raise ShapeError(f"generator '{self.name}' draws inputs {self.shape}, not {tuple(each.shape)}")
        content = (self._encoding.fingerprint(), self._drawing.fingerprint() if self.refine else None)
        with self._lock:
            found = {name: self._codes[content, name] for name in names if (content, name) in self._codes}
        missing = {name: x for name, x in zip(names, inputs, strict=True) if name not in found}
        for first in range(0, len(missing), self.block):
            some = list(missing.items())[first : first + self.block]
            codes = self._code_block(torch.stack([x for _, x in some]))
            with self._lock:
                for (name, _), code in zip(some, codes, strict=True):
                    found[name] = self._codes[content, name] = code.clone()
                while len(self._codes) > max(1, _KEPT_CODES // (8 * self.levels * self.width)):
                    self._codes.popitem(last=False)
        return [found[name] for name in names]

    def _code_block(self, rows: Tensor) -> Tensor:
        """The codes (n, levels, width) of inputs (n, *shape), at most a block."""
        assert self._encoding is not None
        flat = self._blocks(self._encoding, rows)
        if flat.shape[1] != self.levels * self.width:
            raise ShapeError(
                f"the encoder of '{self.name}' returned {flat.shape[1]} numbers an input; {self.levels} levels of "
                f"{self.width} are needed"
            )
        if not self._steady:
            if not torch.equal(flat, self._blocks(self._encoding, rows)):
                raise BindError(
                    f"the encoder of '{self.name}' finds other codes of the same inputs each time; make it return one "
                    "code, such as the mean of what it samples from"
                )
            self._steady = True
        codes = flat.double().reshape(-1, self.levels, self.width)
        if not self.refine:
            return codes
        with asking(self._drawing, 0):
            return refined(self._filled(codes), self._filled(rows), self._drawn, self.refine)[: len(rows)].cpu()

    def counterfactuals(
        self,
        network: Network,
        codes: Sequence[Tensor],
        target: int,
        margin: float,
        spread: Tensor,
        numbers: Sequence[int],
        spent: Callable[[int], None],
        examples: Tensor | None = None,
    ) -> tuple[list[Tensor], list[float]]:
        """Codes near the given ones, at most a block, at which a model's output of class `target` leads by `margin`,
        and how far it leads; see `counterfactuals`. `examples` are codes (m, levels, width) of its collection. What was
        found is kept. `spent` is told the model's rows, forward and backward.

        Raises BindError for a model without gradients or with one output, ModelError for one that fails.
        """
        known = _digest(spread if examples is None else torch.cat([spread.flatten(), examples.flatten()]))
        read = self._drawing.fingerprint(), network.fingerprint(), known
        key = (*read, _digest(torch.stack([*codes])), target, margin, tuple(numbers))
        with self._lock:
            kept = self._found.get(key)
        if kept is None:
            if not isinstance(network.module, nn.Module):
                raise BindError(f"model '{network.name}' is a callable, through which no gradients can be taken")
            if network.column_count < 2:
                raise BindError(f"model '{network.name}' has one output; a counterfactual needs several classes")
            filled = self._filled(torch.stack(list(codes)))
            every = [*numbers, *[numbers[0]] * (self.block - len(numbers))]

            def scores(tried: Tensor) -> Tensor:
                spent((1 + tried.requires_grad) * len(codes))
                return self._scores(network, tried)

            with asking(self._drawing, 0), asking(network, 0), blamed(partial(_searched, network)):
                scored = None
                if examples is not None:
                    scored = examples, self._example_scores(read, network, examples, spent)
                found, leads = counterfactuals(filled, scores, target, margin, spread, every, scored)
            kept = list(found[: len(codes)].cpu()), leads[: len(codes)].tolist()
            with self._lock:
                self._found[key] = kept
                while len(self._found) > _KEPT_BLOCKS:
                    self._found.popitem(last=False)
        return kept

    def _example_scores(
        self, read: tuple[object, ...], network: Network, examples: Tensor, spent: Callable[[int], None]
    ) -> Tensor:
        """The scores (m, K) of examples; those of the last ones that were asked for are kept."""
        if self._scored is None or self._scored[0] != read:
            spent(len(examples))
            with torch.no_grad():
                some = torch.split(examples, self.block)
                parts = [self._scores(network, self._filled(each))[: len(each)] for each in some]
            self._scored = read, torch.cat(parts)
        return self._scored[1]

    def _scores(self, network: Network, codes: Tensor) -> Tensor:
        """What a model answers (n, K) for what is drawn of codes, with gradients."""
        inputs = self._drawn(codes)
        return network.given(inputs, lambda ready: logits(network.called(network.module)(ready.clone()), len(ready)))

    def _drawn(self, codes: Tensor) -> Tensor:
        """The inputs (n, *shape) of codes, with gradients."""
        drawn = self._drawing.given(codes, lambda ready: self._drawing.called(self._drawing.module)(ready))
        assert isinstance(drawn, Tensor)
        return drawn.reshape(len(codes), *self.shape)

    def _filled(self, rows: Tensor) -> Tensor:
        """At most a block of rows, filled up to a block with copies of the first one."""
        return torch.cat([rows, rows[:1].expand(self.block - len(rows), *rows.shape[1:])])

    def _blocks(self, network: Network, rows: Tensor) -> Tensor:
        """What a network makes of rows, a block at a time; the last one is filled with copies of its first row."""
        found = []
        with network.running():
            for first in range(0, len(rows), self.block):
                some = rows[first : first + self.block]
                found.append(network.forward(self._filled(some), [None])[None][: len(some)].cpu())
        return torch.cat(found)

    def _check(self) -> None:
        """Raise ShapeError for a generator that draws other inputs than those of its collection, and BindError for one
        that draws at random."""
        codes = torch.linspace(-1, 1, self.levels * self.width, dtype=torch.float64).reshape(self.levels, self.width)
        with torch.no_grad():
            self._drawing.meet(codes)
            one, other = (self._blocks(self._drawing, codes[None]) for _ in range(2))
        if not torch.equal(one, other):
            raise BindError(
                f"generator '{self.name}' draws other inputs from the same codes each time; make its noise constant"
            )
        drawn, wanted = self._drawing.column_count, math.prod(self.shape)
        if drawn != wanted:
            raise ShapeError(
                f"generator '{self.name}' draws {drawn:,} numbers; an input of shape {self.shape} has {wanted:,}"
            )

"""One step of a session: a registration or a statement, in the words and values that make it again.

In: what the session did, and its answer. Out: frozen values, and a `HistoryStep` that is filled in while it runs. Only
registrations hold tensors: the catalog's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from ..algebra.windows import Mask
from ..catalog.inputs import Entry
from ..models.concepts import Dictionary
from ..models.head import Head
from ..planner.strategy import PRESETS, Strategy
from ..results.relation import Relation


@dataclass(frozen=True)
class Heads:
    """Trained heads by layer name, and a digest of the weights that they were trained on."""

    heads: Mapping[str, Head]
    weights: str


@dataclass(frozen=True, eq=False)
class Concepts:
    """A dictionary of concepts, and the digests of the weights of each model that it was made for."""

    dictionary: Dictionary
    weights: Mapping[str, str]


@dataclass(frozen=True)
class GivenObject:
    """An object that a script cannot make itself: one of the `models` or `interpreters` that it is given."""

    where: str
    key: str


@dataclass(frozen=True)
class Layers:
    """The chosen layers of a module: each has a name, its submodule's path, and which call of it, if one was named."""

    model: GivenObject
    chosen: tuple[tuple[str, str, int | None], ...]


PythonValue = (
    str
    | int
    | tuple[object, ...]
    | Sequence[int]
    | Sequence[str]
    | Mapping[int, str]
    | Mapping[str, str]
    | Tensor
    | Mask
    | Entry
    | Heads
    | Concepts
    | GivenObject
    | Layers
    | None
)


@dataclass(frozen=True, eq=False)
class PythonCall:
    """A registration that can be made again: a method of the session, the name, and the other arguments. A script
    leaves out arguments that are None."""

    method: str
    name: str
    arguments: dict[str, PythonValue]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that it holds; those of models do not count."""
        return sum(_nbytes(value) for value in self.arguments.values())


@dataclass(eq=False, slots=True)
class HistoryStep:
    """One registration or statement, and how it ended; once it is listed, it does not change.

    `seed` and `strategy` are as they were decided, down to the batches; `began` is how many steps were listed when it
    began; `rows` is how many went through a model for it; `maps` is a digest of its maps; `rounds` counts the answers
    of a stream; `timed`: a clock may have stopped it.
    """

    text: str
    seed: int | None = None
    strategy: Strategy | None = None
    number: int = -1
    began: int = 0
    rows: int = 0
    seconds: float = 0.0
    error: str | None = None
    maps: str | None = None
    rounds: int | None = None
    timed: bool = False
    interrupted: bool = False  # by Ctrl-C or a cancel, or by an error that is not an IalgebraError
    registration: bool = False
    call: PythonCall | None = None
    defines: tuple[str, str] | None = None  # a kind and a name, which has a new meaning from then on

    def answered(self, answer: Relation) -> None:
        """Note an answer, and how it was decided."""
        told = answer.provenance
        self.rows = answer.stats.rows
        if "decisions" in told:
            base = self.strategy or PRESETS[cast(str, told["strategy"])]
            decided = {
                name: value for name, value in cast("dict[str, Any]", told["decisions"]).items() if name != "rules"
            }
            self.strategy = dataclasses.replace(base, **decided, batches=cast(Any, told["batches"]))
            self.seed, self.maps = cast(int, told["seed"]), answer.digest


def _nbytes(value: PythonValue) -> int:
    match value:
        case Tensor():
            return value.nbytes
        case Mask(bits=bits):
            return len(bits)
        case Entry():
            return sum(each.tensor.nbytes for each in value.held)
        case Heads(heads):
            return sum(head.weight.nbytes + head.bias.nbytes for head in heads.values())
        case Concepts(dictionary):
            held = [*dictionary.encoder.parameters(), *dictionary.encoder.buffers()]
            return sum(each.nbytes for each in held) + sum(head.weight.nbytes for head in dictionary.heads.values())
    return 0

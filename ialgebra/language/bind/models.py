"""What binding reads from a model, and the questions that only a run of the model can answer.

In: nothing. Out: the types of these questions and of their answers. Binding runs no model. If it needs an answer that
it was not given, it raises `NotKnownYet`. The caller then finds the answer and binds again, with this answer and all
earlier ones. Binding depends only on the query's text, the catalog and the answers, so it reaches the same point again
and continues from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from ...algebra.operators import Identity
from ...algebra.rankings import ModelScore
from ...algebra.sources import Source
from ...errors import IalgebraError
from ...models.outputs import OutputReading


class KnownModel(Protocol):
    """A registered model as binding sees it: its layers and classes, not its outputs."""

    @property
    def name(self) -> str: ...

    def class_name(self, index: int) -> str: ...

    @property
    def module(self) -> object: ...

    @property
    def output(self) -> str: ...

    @property
    def outputs(self) -> OutputReading:
        """How its outputs are read, by what is known by now."""
        ...

    @property
    def classes(self) -> Sequence[str] | None: ...

    @property
    def tokenizer(self) -> object:
        """What it brings to make tokens of texts, or None."""
        ...

    @property
    def probed(self) -> bool:
        """Whether its layers and the number of its classes are known; if not, the methods below raise an error."""
        ...

    @property
    def depth(self) -> int | None: ...

    @property
    def class_count(self) -> int: ...

    def layer_index(self, ref: int | str) -> int: ...

    def class_index(self, ref: int | str) -> int: ...

    def needs_head(self, layer: int) -> bool: ...

    def require_head(self, layer: int) -> object: ...


@dataclass(frozen=True)
class UnprobedModel:
    """The layers and classes of a model that has not run yet. The answer is empty: to probe the model with the first
    element of `input` is enough to make them known."""

    model: str
    input: str


@dataclass(frozen=True)
class UnknownPredictions:
    """The classes that a model predicts for the inputs of an identity. The answer has one for each input; None for a
    class that is left open, so that its input stays in the answer."""

    identity: Identity


@dataclass(frozen=True)
class UnknownScores:
    """What models answer for inputs as a whole. The answer has one number for each score and input, the inputs of the
    first score first; None for a number that is left open."""

    scores: tuple[ModelScore, ...]
    inputs: tuple[Source, ...]


Unknown: TypeAlias = UnprobedModel | UnknownPredictions | UnknownScores
Told: TypeAlias = Sequence[float | None] | IalgebraError
"""An answer, or the error that finding it raised; binding raises this error at the place that needs the answer."""


NOTHING_TOLD: Final[Mapping[Unknown, Told]] = MappingProxyType({})


class NotKnownYet(Exception):
    """Binding stopped: it needs the answer to `unknown`. No user sees it."""

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(unknown)
        self.unknown = unknown

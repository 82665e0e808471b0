"""What binding reads of a model, and what it must be told: that which only a run of the model can tell.

In: nothing. Out: the form of these questions and of their answers. Binding runs no model. Where it needs something that
nobody has told it, it stops with `NotKnownYet`; whoever binds finds the answer, and binds again with that answer beside
those before. A query's binding depends on its text, the catalog and the answers only, so it comes to the same place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from ...algebra.operators import Identity
from ...errors import IalgebraError


class KnownModel(Protocol):
    """A registered model as binding sees it: what it is, not what it computes."""

    @property
    def name(self) -> str: ...

    @property
    def module(self) -> object: ...

    @property
    def output(self) -> str: ...

    @property
    def classes(self) -> Sequence[str] | None: ...

    @property
    def probed(self) -> bool:
        """Whether its layers and the number of its classes are known; without them the methods below refuse."""
        ...

    @property
    def depth(self) -> int | None: ...

    def layer_index(self, ref: int | str) -> int: ...

    def class_index(self, ref: int | str) -> int: ...

    def needs_head(self, layer: int) -> bool: ...

    def require_head(self, layer: int) -> object: ...


@dataclass(frozen=True)
class UnprobedModel:
    """The layers and classes of a model through which no row went yet. The answer is empty: probing the model with the
    first element of `input` makes them known."""

    model: str
    input: str


@dataclass(frozen=True)
class UnknownPredictions:
    """The classes that a model predicts for the inputs of an identity. The answer has one for each input; None for a
    class that is left open, so that its input stays in the answer."""

    identity: Identity


Unknown: TypeAlias = UnprobedModel | UnknownPredictions
Told: TypeAlias = Sequence[int | None] | IalgebraError
"""An answer, or the error that came instead: binding raises it at the place that asked."""


NOTHING_TOLD: Final[Mapping[Unknown, Told]] = MappingProxyType({})


class NotKnownYet(Exception):
    """Binding stopped: it needs the answer to `unknown`. No user sees it."""

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(unknown)
        self.unknown = unknown

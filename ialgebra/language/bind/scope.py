"""What all parts of one query's binding share: the text, the catalog, and the place of each operator in the text.

In: a text, a catalog, and the answers that runs of its models gave. Out: errors and operators at their places. It may
not know what any clause of a query means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...algebra.kinds import KINDS
from ...algebra.operators import Contrast, Estimation, Operator, leaves
from ...algebra.players import OfConcepts
from ...catalog.catalog import Catalog, ConceptGame
from ...catalog.inputs import Entry
from ...errors import IalgebraError, ShapeError, Span
from .models import KnownModel, NotKnownYet, Told, Unknown


@dataclass(frozen=True)
class Inherited:
    """What a subquery or a view takes over from the query around it."""

    estimation: Estimation
    contrast: Contrast
    views: tuple[str, ...] = ()  # views that are being expanded, the outermost first
    using: tuple[str, Span] | None = None  # the text of the USING that set the estimation, and its place


@dataclass(frozen=True)
class Scope:
    """The text that is being bound (a query's, or a view's), and the place of each operator in it."""

    catalog: Catalog
    text: str
    answers: Mapping[Unknown, Told]
    places: dict[Operator, Span] = field(default_factory=dict)

    @contextmanager
    def at(self, span: Span) -> Iterator[None]:
        """A frame: errors raised inside it get the place `span`, unless they have a place already."""
        try:
            yield
        except IalgebraError as error:
            raise error.at(self.text, error.span or span) from error.__cause__

    def placed(self, plan: Operator, span: Span) -> Operator:
        """Returns the plan, and notes that it stands at `span`, unless it has a place already."""
        self.places.setdefault(plan, span)
        return plan

    def moved(self, plan: Operator, other: Operator) -> Operator:
        """Returns `other`, which stands where `plan` stands."""
        return self.placed(other, self.places[plan]) if plan in self.places else other

    def model(self, name: str) -> KnownModel:
        """A registered model; BindError for an unknown name."""
        return self.catalog.model(name)

    def told(self, unknown: Unknown) -> Sequence[float | None]:
        """The answer to `unknown`. Raises the error if finding the answer failed, and NotKnownYet if there is none."""
        answer = self.answers.get(unknown)
        if answer is None:
            raise NotKnownYet(unknown)
        if isinstance(answer, IalgebraError):
            raise answer
        return answer

    def concepts(self, plan: Operator) -> ConceptGame | None:
        """The game over attributes that the leaves of a plan play; None if they play on features of their inputs."""
        for leaf in leaves(plan):
            if isinstance(leaf.players, OfConcepts):
                return self.catalog.concept_game(leaf.model, leaf.players.dictionary)
        return None

    def entries(self, plan: Operator) -> list[Entry]:
        """The registered inputs that the leaves of a plan read."""
        return [self.catalog.input(leaf.inputs[0].name) for leaf in leaves(plan)]


def check_same_shape(first: Entry, other: Entry, what: str) -> None:
    """Raise ShapeError that says `what`, unless two inputs are of one kind and one shape."""
    texts = KINDS[first.kind].vocabulary  # which meet position by position, whatever their lengths
    if (other.shape != first.shape and not texts) or other.kind != first.kind:
        raise ShapeError(f"'{first.name}' has shape {first.shape} and '{other.name}' has shape {other.shape}: {what}")

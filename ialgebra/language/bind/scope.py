"""What all parts of one query's binding share: the text, the catalog, and the place of each operator in the text.

In: a text and a catalog. Out: errors and operators at their places. It may not know what any clause of a query means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...algebra.operators import Contrast, Estimation, Identity, Operator, leaves
from ...catalog.catalog import Catalog
from ...catalog.inputs import Entry
from ...errors import IalgebraError, ShapeError, Span

Predicting = Callable[[Identity], Sequence[int | None]]
"""Tells the classes that the model of an identity predicts for its inputs; None where that is not to be known yet."""


@dataclass(frozen=True)
class Inherited:
    """What a subquery or a view takes over from the query around it."""

    estimation: Estimation
    contrast: Contrast
    views: tuple[str, ...] = ()  # those that are being expanded, the outermost first
    using: tuple[str, Span] | None = None  # the text and the place of the USING that the estimation comes from


@dataclass(frozen=True)
class Scope:
    """A text that is bound, the query's own or that of a view, and the places of the operators that it means."""

    catalog: Catalog
    text: str
    predicting: Predicting
    places: dict[Operator, Span] = field(default_factory=dict)

    @contextmanager
    def at(self, span: Span) -> Iterator[None]:
        """Errors raised within stand at `span`, unless they know their place better."""
        try:
            yield
        except IalgebraError as error:
            raise error.at(self.text, error.span or span) from error.__cause__

    def placed(self, plan: Operator, span: Span) -> Operator:
        """The plan itself, which from now on stands at `span`, unless it has a place already."""
        self.places.setdefault(plan, span)
        return plan

    def entries(self, plan: Operator) -> list[Entry]:
        """The registered inputs that the leaves of a plan read."""
        return [self.catalog.input(leaf.inputs[0].name) for leaf in leaves(plan)]


def check_same_shape(first: Entry, other: Entry, what: str) -> None:
    """Raise ShapeError that says `what`, unless two inputs are of one kind and one shape."""
    if other.shape != first.shape or other.kind != first.kind:
        raise ShapeError(f"'{first.name}' has shape {first.shape} and '{other.name}' has shape {other.shape}: {what}")

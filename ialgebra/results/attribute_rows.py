"""A row of a gallery of concepts: what is shown of one attribute, as values.

In: nothing. Out: the types of rows. May not know: how they are found or drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..system.arrays import Array, Floats
from .shown import WholeMap


@dataclass(frozen=True, eq=False)
class ActiveInput:
    """An input of a gallery: its content as it is drawn, its name, the class that the model predicts for it, and how
    active the attribute is."""

    content: Array
    name: str
    label: str
    activation: float


@dataclass(frozen=True, eq=False)
class ShownMaximum:
    """A picture (C, H, W) in which one attribute was raised, before and after, with the activations of both."""

    before: Floats
    after: Floats
    activations: tuple[float, float]


@dataclass(frozen=True, eq=False)
class AttributeRow:
    """What a gallery shows of one attribute.

    `classes` are those that it matters to, each with its relevance, −1 to 1, the largest first; `most` the inputs that
    activate it most; `least` those of its first class, `of`, that do so least; `where` Shapley maps of the attribute
    for the first of `most`. `words` are those that activate it most, each with its mean contribution and its
    neighbours; `profile` the features of a table by which the most activating inputs differ most from all, in standard
    deviations.
    """

    name: str
    largest: float
    live: float
    classes: tuple[tuple[str, float], ...]
    of: str
    most: tuple[ActiveInput, ...]
    least: tuple[ActiveInput, ...]
    where: tuple[WholeMap, ...]
    maximum: ShownMaximum | None = None
    words: tuple[tuple[str, float, str], ...] = ()
    profile: tuple[tuple[str, float], ...] = ()

    @property
    def meaning(self) -> str:
        """The classes in words."""
        return ", ".join(f"{label} {signed(value)}" for label, value in self.classes) or "no class"


def signed(value: float) -> str:
    """A number with its sign and two digits behind the point."""
    return f"{value:+.2f}".replace("-", "−")

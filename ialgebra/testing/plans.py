"""Plans as people write them: trees of the five operators that print as queries. In: names and options; out: text.

The law checks draw a tree, run its text as a query, and compute its answer from the definition (`definition`). Windows
and players hold a function beside their text, so that their meaning needs no parser. It may not know the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..algebra.windows import sql_name
from ..system.arrays import Bools, Ints

FeatureColumns = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class DrawnWindow:
    """A predicate: its text, and a function from the columns of an input's features to where it holds."""

    text: str
    holds: Callable[[FeatureColumns], Bools] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.text

    def __and__(self, other: DrawnWindow) -> DrawnWindow:
        return DrawnWindow(f"({self} and {other})", lambda columns: self.holds(columns) & other.holds(columns))

    def __or__(self, other: DrawnWindow) -> DrawnWindow:
        return DrawnWindow(f"({self} or {other})", lambda columns: self.holds(columns) | other.holds(columns))

    def __invert__(self) -> DrawnWindow:
        return DrawnWindow(f"not ({self})", lambda columns: ~self.holds(columns))


EVERYTHING = DrawnWindow("true", lambda columns: np.ones(columns["value"].shape, dtype=bool))


@dataclass(frozen=True)
class Players:
    """A partition: its text, and a function from a window's bits to players (consecutive from 0, −1 outside)."""

    text: str
    divide: Callable[[Bools], Ints] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class DrawnEdit:
    """An edit: its name, the text of its arguments, and a function from an input and the baseline to the edited
    input."""

    name: str
    arguments: str
    of: Callable[[NDArray[np.generic], NDArray[np.generic]], NDArray[np.generic]] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name}(…, {self.arguments})"


@dataclass(frozen=True)
class DrawnCall:
    """f(x, option => value …); None for a baseline, a class or players is the default of the input or the model. The
    `edits` of the input are applied in order."""

    model: str
    input: str
    players: Players | None = None
    baseline: str | None = None
    target: int | None = None
    output: str = "logit"
    edits: tuple[DrawnEdit, ...] = ()

    def __str__(self) -> str:
        baseline = None if self.baseline is None else sql_name(self.baseline)
        said = {"players": self.players, "baseline": baseline, "target": self.target}
        options = [f"{name} => {value}" for name, value in said.items() if value is not None]
        edited = sql_name(self.input)
        for edit in self.edits:
            edited = f"{edit.name}({edited}, {edit.arguments})"
        words = [edited, *options, f"output => '{self.output}'"]
        return f"{sql_name(self.model)}({', '.join(words)})"


@dataclass(frozen=True)
class Where:
    """Π_w"""

    window: DrawnWindow
    of: Plan

    def __str__(self) -> str:
        return f"(select * from {self.of} where {self.window})"


@dataclass(frozen=True)
class DrawnStar:
    """*: the plan, unchanged, as a subquery."""

    of: Plan

    def __str__(self) -> str:
        return f"(select * from {self.of})"


@dataclass(frozen=True)
class DrawnLayer:
    """σ_l"""

    layer: int
    of: Plan

    def __str__(self) -> str:
        return f"(select {self.layer} from {self.of})"


@dataclass(frozen=True)
class DrawnJoin:
    """⋈; `weight` is a decimal, the weight of the first of two operands; None is the uniform mean."""

    of: tuple[Plan, ...]
    weight: str | None = None

    def __str__(self) -> str:
        tail = f" on weight = {self.weight}" if self.weight is not None else ""
        return f"(select * from {' join '.join(map(str, self.of))}{tail})"

    @property
    def shares(self) -> tuple[Fraction, ...]:
        """The weight of each operand."""
        if self.weight is None:
            return (Fraction(1, len(self.of)),) * len(self.of)
        return Fraction(self.weight), 1 - Fraction(self.weight)


@dataclass(frozen=True)
class Anti:
    """⋄"""

    of: tuple[Plan, ...]

    def __str__(self) -> str:
        return f"(select * from {' left join '.join(map(str, self.of))})"


Plan = DrawnCall | DrawnStar | Where | DrawnLayer | DrawnJoin | Anti


def query(plan: Plan, clauses: str = "") -> str:
    """The plan as a query, with `clauses` (USING …, BUDGET …) at its end."""
    text = f"select * from {plan}" if isinstance(plan, DrawnCall) else str(plan)[1:-1]
    return f"{text} {clauses}".strip()

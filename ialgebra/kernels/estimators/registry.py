"""The list of all estimators, and the choice among them.

In: a number of players, a budget and maybe a method; then a design and values of its coalitions. Out: a method and its
rows, a design, an estimate for each column. Knows nothing of models, names, or plans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import BindError, BudgetError, ShapeError, did_you_mean
from ...system.arrays import Floats
from ..coalitions import Design
from .banzhaf import EVERY_COALITION, UNIFORM
from .estimate import Estimate, Part
from .estimator import TINY_GAME, Estimator, Form, form_of
from .exact import EXACT
from .permutations import PERMUTATIONS
from .regression import REGRESSION
from .unbiased import UNBIASED

_SMALL_GAME = 1024  # rows up to which a game without a budget is exact
# Rows of a sampled design without a budget: 32 a player, but at most 2,048, unless that is less than 8 a player.
_ROWS_A_PLAYER, _USUAL_ROWS, _LEAST_ROWS_A_PLAYER = 32, 2048, 8
_MOST_ROWS = 1 << 20  # rows of a design; exact values of MAX_EXACT_PLAYERS players take so many
_MOST_MASKS = 1 << 28  # bytes of a design's coalitions: one byte for each player and row


@dataclass(frozen=True)
class Estimators:
    """The estimators of one kind of value. If a query names no method, the first that suits is taken."""

    each: tuple[Estimator, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the estimators."""
        return tuple(estimator.name for estimator in self.each)

    @property
    def complete(self) -> Estimator:
        """The estimator that evaluates every coalition."""
        return next(estimator for estimator in self.each if estimator.complete)

    def named(self, method: str) -> Estimator:
        """The estimator of this name; raises BindError for an unknown one."""
        for estimator in self.each:
            if estimator.name == method:
                return estimator
        raise BindError(f"no method '{method}'{did_you_mean(method, self.methods)}")

    def choose(
        self, players: int, budget: int | None, method: str | None = None, literal: bool = False
    ) -> tuple[str, int]:
        """The method, and the number of rows with ∅ and N, that a game of `players` gets for `budget` rows.

        A named `method` is always used. `literal` asks for the means of v(S ∪ i) and of v(S) separately, which
        regression cannot give. Permutations that visit a coalition twice need fewer rows than this number. Raises
        BindError for an unknown method, and BudgetError if the budget is too small (exact needs 2^players rows, every
        design needs ∅ and N) or the design would not fit into memory.
        """
        estimator = None if method is None else self.named(method)
        if literal and estimator is not None and not estimator.halves:
            able = " or ".join(each.name for each in self.each if each.halves)
            raise BudgetError(f"{method} cannot give the literal contrast's two parts; use {able}")
        if budget is not None and budget < 2:
            raise BudgetError(f"a budget of {budget} rows is too small; ∅ and N alone need 2")
        everything = 1 << players
        if players <= 1:
            return self.complete.name, everything
        if estimator is not None and estimator.complete:
            return estimator.name, estimator.rows(players, everything if budget is None else budget)
        if budget is None:
            small = estimator is None and everything <= _SMALL_GAME
            usual = max(min(_ROWS_A_PLAYER * players, _USUAL_ROWS), _LEAST_ROWS_A_PLAYER * players)
            budget = everything if small else usual
        rows = min(budget, everything)
        most = min(_MOST_ROWS, _MOST_MASKS // players)
        if rows > most:
            raise BudgetError(
                f"{rows:,} rows are too many for {players:,} players, for which a design holds at most {most:,}; "
                "use fewer players or a smaller budget"
            )
        if rows == everything and players <= TINY_GAME:
            estimator = self.complete
        elif estimator is None:
            estimator = next(each for each in self.each if each.suits(players, rows, literal))
        return estimator.name, estimator.rows(players, rows)

    def design(self, method: str, players: int, rows: int, seed: int) -> Design:
        """The design of at most `rows` rows, as `choose` counts them: a function of its four arguments alone.

        Raises BindError for an unknown method, BudgetError for too few rows.
        """
        estimator = self.named(method)
        if players <= 1:
            estimator = self.complete
        if rows < 2 and not estimator.complete:
            raise BudgetError(f"a budget of {rows} rows is too small; ∅ and N alone need 2")
        return estimator.draw(players, rows, seed)

    def estimate(self, design: Design, values: Floats, part: Part = "shapley") -> list[Estimate]:
        """One Estimate per column of `values` (m, k), in the unit of the values; `part` as in Eq. 2 of the paper.

        Raises ShapeError for a wrong number of rows, BudgetError for a part that the design's estimator cannot give.
        """
        table = np.asarray(values, dtype=np.float64)
        if table.ndim != 2 or len(table) != len(design.coalitions):
            rows = len(design.coalitions)
            raise ShapeError(
                f"values of shape {table.shape} do not fit a design of {rows} rows; give ({rows}, columns)"
            )
        mine = (each for each in self.each if (each.name, each.form) == (design.method, form_of(design)))
        estimator = next(mine, None) or _BY_FORM[form_of(design)]
        if part != "shapley" and not estimator.halves:
            able = " or ".join(each.name for each in self.each if each.halves)
            raise BudgetError(f"{design.method} cannot give the part '{part}' alone; use {able}")
        return estimator.read(design, table, part)


SHAPLEY_VALUES = Estimators((EXACT, PERMUTATIONS, REGRESSION, UNBIASED))
BANZHAF_VALUES = Estimators((EVERY_COALITION, UNIFORM))

METHODS = SHAPLEY_VALUES.methods
choose, design, estimate = SHAPLEY_VALUES.choose, SHAPLEY_VALUES.design, SHAPLEY_VALUES.estimate

_BY_FORM: dict[Form, Estimator] = {"coalitions": EXACT, "chains": PERMUTATIONS, "pairs": REGRESSION}
"""Who reads the designs that interpreters of users make, whatever they call their methods."""

_BY_NAME = {each.name: each for each in (*BANZHAF_VALUES.each, *SHAPLEY_VALUES.each)}


def find(method: str) -> Estimator | None:
    """The estimator whose designs have this method; None for a method of an interpreter that the user registered."""
    return _BY_NAME.get(method)


def complete(method: str | None) -> bool:
    """Whether a method evaluates every coalition, and so has no error."""
    found = None if method is None else find(method)
    return found is not None and found.complete


def reader_of(design: Design) -> Estimator:
    """The estimator that can read a design: by its method; by its form, if the method is unknown or has another."""
    found = find(design.method)
    return found if found is not None and found.form == form_of(design) else _BY_FORM[form_of(design)]

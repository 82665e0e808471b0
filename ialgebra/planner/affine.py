"""Which games are answered in closed form though the query names no method (decision D2).

In: a leaf of a plan. Out: the estimation by weights, where it is exact for just what the leaf asks; and for EXPLAIN
what was chosen, or why it was not. Games over attributes are played on a linear head, whose logits are affine in them.
It runs no model.
"""

from __future__ import annotations

import math

from ..algebra.operators import Estimation
from ..catalog.catalog import Catalog
from ..interpreters.shipped import LINEAR, SHAPLEY
from ..kernels.estimators.registry import choose
from ..models.affine import is_affine
from .decisions import Alternative, Decision
from .games import Leaf

BY_WEIGHTS = "linear, φ = w (z − z̄): the head is affine in its attributes (L21)"


class AffineChoices:
    """The choice between weights and coalitions, for the leaves of one query; `decisions` are those so far."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._decisions: dict[tuple[object, ...], Decision] = {}

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided, each kind of leaf once."""
        return tuple(self._decisions.values())

    def estimation(self, leaf: Leaf) -> Estimation:
        """How a leaf is estimated: by weights where that is exact, else as it says."""
        own = leaf.estimation
        if leaf.model not in self._catalog.heads or own.interpreter != SHAPLEY or own.options:
            return own
        method, rows = choose(math.prod(self._catalog.shape(leaf.source)), own.budget)
        affine = is_affine(self._catalog.model(leaf.model), leaf.output)
        chosen = BY_WEIGHTS if affine else method
        alternative = Alternative(method, rows) if affine else Alternative(f"linear: its {leaf.output} is not affine")
        self._decisions.setdefault((leaf.model, chosen), Decision("D2", leaf.model, chosen, (alternative,)))
        return Estimation(LINEAR) if affine else own

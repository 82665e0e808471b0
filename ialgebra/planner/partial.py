"""The first rows of a plan: smaller designs of its games, whose rows are all among the plan's own.

In: a physical plan, and a share of its rows. Out: the effort of a round that takes these rows, or None where so few
rows tell no map. It runs no model.
"""

from __future__ import annotations

import math

from ..interpreters.shipped import SHAPLEY
from ..kernels.estimators.estimator import TINY_GAME
from .physical import PhysicalPlan
from .sampling import DesignSpec, Effort

_BY_PAIRS = ("regression", "exact")  # methods whose rows hold those of a smaller regression


def partial(plan: PhysicalPlan, share: float) -> Effort | None:
    """The effort of the first `share` of a plan's rows; None where a game has too few of them for a map."""
    parts: dict[tuple[str, ...], DesignSpec] = {}
    for job in plan.jobs:
        found = _part(job.spec, share)
        if found is None:
            return None
        parts |= {game.key: found for game in job.games}
    return Effort(0, parts=parts)


def least_share(plan: PhysicalPlan) -> float | None:
    """The least share of a plan's rows that tells a map; None if no share does."""
    least = 0.0
    for job in plan.jobs:
        if not _whole(job.spec):
            if job.spec.interpreter != SHAPLEY or job.spec.method not in _BY_PAIRS:
                return None
            least = max(least, _fewest(job.spec.players) / job.spec.rows)
    return least if 0 < least < 1 else None


def read_slowly(plan: PhysicalPlan) -> bool:
    """Whether a plan has games that are worth reading quickly first."""
    return any(job.spec.method == "regression" for job in plan.jobs)


def _whole(spec: DesignSpec) -> bool:
    """Whether a game is so small that it is evaluated at once."""
    return spec.players <= TINY_GAME or spec.rows <= 2


def _fewest(players: int) -> int:
    """Rows with which the effects of single players can be told apart."""
    return 2 * players


def _part(spec: DesignSpec, share: float) -> DesignSpec | None:
    if _whole(spec):
        return spec
    rows = 2 * math.floor(share * spec.rows / 2 + 1e-9)
    if rows < _fewest(spec.players):
        return None
    return spec._replace(method="regression", rows=min(rows, spec.rows))

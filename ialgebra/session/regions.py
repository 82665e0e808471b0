"""Windows from answers: the players of a map with the highest values, as a window for later queries.

In: `top(10 percent, …)`, `top(5, …)` or `above(0.5, …)` as written, and the one map of its query. Out: a mask, which
keeps the text that it was made from. It runs nothing and knows no catalog.
"""

from __future__ import annotations

import numpy as np

from ..algebra.windows import Mask
from ..errors import BindError
from ..language import tree
from ..language.bind.options import whole
from ..results.assemble import say
from ..results.attribution import Attribution
from ..results.relation import Relation
from ..system.arrays import Ints


def check_region(region: tree.Region) -> None:
    """Raise BindError for an amount that makes no sense, before the query is run."""
    amount = region.amount
    if region.percent and not 0 < amount.value <= 100:
        raise BindError(f"a percentage of the features is more than 0 and at most 100, not {amount.text}", amount.span)
    if region.kind == "top" and not region.percent:
        whole(amount, "a number of players", 1)


def region_of(answer: Relation, region: tree.Region, name: str) -> Mask:
    """The mask `name` of the chosen players of the one map of an answer; BindError where a filter left another number.

    `top` takes the players of the highest positive values, ties in their order: as many as the number says, or as many
    as cover at most the percentage of the features that play, but at least one. `above` takes all players with a higher
    value, in units of the model's output. If no player is chosen, the window is empty, with a warning.
    """
    if len(answer) != 1:
        left = f"this query answered with {len(answer)}" if len(answer) else answer.text
        raise BindError(f"one map is needed here, and {left}", region.query.span)
    (a,) = answer
    chosen = _top(a, region) if region.kind == "top" else np.flatnonzero(a.values > region.amount.value)
    if not len(chosen):
        what = "a positive value" if region.kind == "top" else f"a value above {region.amount.text}"
        say(f"window '{name}' is empty: no player of {a.label} has {what}")
    inside = np.isin(a.players, chosen)
    alike = inside.ndim == 3 and bool((inside == inside[:1]).all())  # one plane fits images with any number of channels
    return Mask.of(name, inside[0] if alike else inside, region.text)


def _top(a: Attribution, region: tree.Region) -> Ints:
    best: Ints = np.argsort(-a.values, kind="stable")[: int((a.values > 0).sum())]
    if not region.percent:
        return best[: int(region.amount.value)]
    sizes = np.bincount(a.players[a.players >= 0], minlength=len(a.values))
    covered = np.cumsum(sizes[best])
    return best[: max(1, int((100 * covered <= region.amount.value * sizes.sum()).sum()))]

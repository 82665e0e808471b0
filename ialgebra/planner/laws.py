"""The rewrite laws of the algebra: one formula, one `match`, one result.

A law takes an operator and returns an equal one, or None where it does not apply. Laws never raise: definedness is
`check`'s work. Laws of games rather than of operators (L11, L12's zero, L13, L18) are applied in `lower`.

The first line of a law's docstring is its formula, which EXPLAIN prints; an example follows, in which p, q and r are φ
of three inputs, w and v windows, and half is (1/2, 1/2).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ..algebra.operators import AntiJoin, Identity, Join, Operator, Projection, Selection
from ..algebra.windows import EVERYTHING, both

Law = Callable[[Operator], Operator | None]


def formula(law: Law) -> str:
    """A law as people read it: the first line of its docstring, or else its name."""
    return (law.__doc__ or law.__name__).strip().partition("\n")[0]


def commute(plan: Operator) -> Operator | None:
    """Π_w σ_l = σ_l Π_w (L1)

    >>> commute(Projection(w, Selection(2, p))) is Selection(2, Projection(w, p))
    True
    """
    match plan:
        case Projection(window, Selection(layer, p)):
            return Selection(layer, Projection(window, p))
    return None


def stack_layers(plan: Operator) -> Operator | None:
    """σ_l σ_l' = σ_l if l ≤ l' (L2)

    >>> stack_layers(Selection(2, Selection(3, p))) is Selection(2, p)
    True
    >>> stack_layers(Selection(3, Selection(2, p))) is None  # undefined: `check` refuses it
    True
    """
    match plan:
        case Selection(outer, Selection(inner, p)) if outer <= inner:
            return Selection(outer, p)
    return None


def stack_windows(plan: Operator) -> Operator | None:
    """Π_w Π_w' = Π_{w∩w'} (L3)

    >>> stack_windows(Projection(w, Projection(v, p))) is Projection(both(w, v), p)
    True
    """
    match plan:
        case Projection(outer, Projection(inner, p)):
            return Projection(both(outer, inner), p)
    return None


def drop_everything(plan: Operator) -> Operator | None:
    """Π_everything p = p (L4)

    >>> drop_everything(Projection(EVERYTHING, p)) is p
    True
    """
    match plan:
        case Projection(window, p) if window is EVERYTHING:
            return p
    return None


def drop_last_layer(plan: Operator) -> Operator | None:
    """σ_n p = p where layer n is the model's own output (L4)

    >>> drop_last_layer(Selection(p.depth, p)) is p
    True
    """
    match plan:
        case Selection(layer, Identity() | Projection(_, Identity()) as p) if layer == first_leaf(p).depth:
            return p
    return None


def project_join(plan: Operator) -> Operator | None:
    """Π_w (p ⋈ q) = Π_w p ⋈ Π_w q (L6)

    >>> project_join(Projection(w, Join((p, q), half))) is Join((Projection(w, p), Projection(w, q)), half)
    True
    """
    match plan:
        case Projection(window, Join(operands, weights)):
            return Join(tuple(Projection(window, p) for p in operands), weights)
    return None


def select_join(plan: Operator) -> Operator | None:
    """σ_l (p ⋈ q) = σ_l p ⋈ σ_l q (L7)

    >>> select_join(Selection(2, Join((p, q), half))) is Join((Selection(2, p), Selection(2, q)), half)
    True
    """
    match plan:
        case Selection(layer, Join(operands, weights)):
            return Join(tuple(Selection(layer, p) for p in operands), weights)
    return None


def project_antijoin(plan: Operator) -> Operator | None:
    """Π_w (p ⋄ q) = Π_w p ⋄ Π_w q (L8)

    >>> project_antijoin(Projection(w, AntiJoin((p, q), (0, 1)))) is AntiJoin(
    ...     (Projection(w, p), Projection(w, q)), (0, 1)
    ... )
    True
    """
    match plan:
        case Projection(window, AntiJoin(operands, order, contrast)):
            return AntiJoin(tuple(Projection(window, p) for p in operands), order, contrast)
    return None


def select_antijoin(plan: Operator) -> Operator | None:
    """σ_l (p ⋄ q) = σ_l p ⋄ σ_l q (L9)

    >>> select_antijoin(Selection(2, AntiJoin((p, q), (0, 1)))) is AntiJoin(
    ...     (Selection(2, p), Selection(2, q)), (0, 1)
    ... )
    True
    """
    match plan:
        case Selection(layer, AntiJoin(operands, order, contrast)):
            return AntiJoin(tuple(Selection(layer, p) for p in operands), order, contrast)
    return None


def flatten_join(plan: Operator) -> Operator | None:
    """(p ⋈_ε q) ⋈_δ r = δε p + δ(1−ε) q + (1−δ) r (L10)

    >>> quarters = (Fraction(1, 4), Fraction(1, 4), Fraction(1, 2))
    >>> flatten_join(Join((Join((p, q), half), r), half)) is Join((p, q, r), quarters)
    True
    """
    match plan:
        case Join(operands, weights) if any(isinstance(p, Join) for p in operands):
            flat: list[tuple[Operator, Fraction]] = []
            stack = list(zip(operands, weights, strict=True))[::-1]
            while stack:  # at any depth, so that a chain of n joins takes one step instead of n
                p, weight = stack.pop()
                if isinstance(p, Join):
                    inner = [(q, weight * share) for q, share in zip(p.operands, p.weights, strict=True)]
                    stack.extend(reversed(inner))
                else:
                    flat.append((p, weight))
            return Join(tuple(q for q, _ in flat), tuple(share for _, share in flat))
    return None


def order_join(plan: Operator) -> Operator | None:
    """p ⋈_ε q = q ⋈_{1−ε} p: one order for one sum (L10)

    >>> order_join(Join((q, p), (Fraction(1, 4), Fraction(3, 4)))) is Join((p, q), (Fraction(3, 4), Fraction(1, 4)))
    True
    """
    match plan:
        case Join(operands, weights):
            order = sorted(range(len(operands)), key=lambda k: _rank(operands[k]))
            if order != list(range(len(operands))):
                return Join(tuple(operands[k] for k in order), tuple(weights[k] for k in order))
    return None


def merge_join(plan: Operator) -> Operator | None:
    """p ⋈ p = p, p ⋈₁ q = p (L11)

    >>> merge_join(Join((p, p), half)) is p
    True
    >>> merge_join(Join((p, q), (Fraction(1), Fraction(0)))) is p
    True
    """
    match plan:
        case Join(operands, weights):
            shares: dict[Operator, Fraction] = {}
            for p, weight in zip(operands, weights, strict=True):
                shares[p] = shares.get(p, Fraction(0)) + weight
            kept = {p: share for p, share in shares.items() if share}
            if len(kept) == 1:
                return next(iter(kept))
            if len(kept) < len(operands):
                return Join(tuple(kept), tuple(kept.values()))
    return None


def order_antijoin(plan: Operator) -> Operator | None:
    """x' ⋄ x = swap(x ⋄ x') (L12)

    >>> order_antijoin(AntiJoin((q, p), (0, 1))) is AntiJoin((p, q), (1, 0))
    True
    """
    match plan:
        case AntiJoin(operands, order, contrast):
            places = sorted(range(len(operands)), key=lambda k: _rank(operands[k]))
            if places != list(range(len(operands))):
                return AntiJoin(tuple(operands[k] for k in places), tuple(places.index(k) for k in order), contrast)
    return None


def first_leaf(plan: Operator) -> Identity:
    """The leftmost φ of a plan."""
    while not isinstance(plan, Identity):
        plan = plan.operands[0]
    return plan


def _rank(plan: Operator) -> tuple[str, str, str]:
    """A sort key of operators: by input first, which a reader can follow, then by content."""
    first = first_leaf(plan)
    return first.model, str(first.inputs[0]), plan.key


LAWS: tuple[Law, ...] = (
    commute,
    stack_layers,
    stack_windows,
    drop_everything,
    drop_last_layer,
    project_join,
    select_join,
    project_antijoin,
    select_antijoin,
    flatten_join,
    order_join,
    merge_join,
    order_antijoin,
)

"""Each law on plans that are written out: what it makes of them, and that it leaves all others alone."""

from __future__ import annotations

import doctest
from fractions import Fraction

import pytest

from ialgebra.algebra.baselines import Constant
from ialgebra.algebra.operators import AntiJoin, Identity, Join, Operator, Projection, Selection
from ialgebra.algebra.players import Features
from ialgebra.algebra.sources import Source
from ialgebra.algebra.windows import EVERYTHING, Column, Compare, both
from ialgebra.algebra.windows import WindowConstant as Number
from ialgebra.errors import CompositionError, Span
from ialgebra.planner import laws
from ialgebra.planner.check import check
from ialgebra.planner.graph import PlanGraph
from ialgebra.planner.laws import LAWS
from ialgebra.planner.rewrite import RewriteStep, normalise


def phi(name: str, model: str = "f", depth: int | None = 5) -> Identity:
    return Identity(model, (Source(name),), (Constant(),), Features(), depth=depth)


X, Y, Z = phi("x"), phi("y"), phi("z")
W, V = (Compare("<", Column("feature"), Number(limit)) for limit in (2, 4))
HALF, THIRD = Fraction(1, 2), Fraction(1, 3)


def join(*operands: Operator, weights: tuple[Fraction, ...] | None = None) -> Join:
    return Join(operands, weights or (Fraction(1, len(operands)),) * len(operands))


def anti(*operands: Operator, order: tuple[int, ...] | None = None) -> AntiJoin:
    return AntiJoin(operands, order or tuple(range(len(operands))), "literal")


NAMES = {"p": X, "q": Y, "r": Z, "w": W, "v": V, "half": (HALF, HALF)}


@pytest.mark.parametrize("law", LAWS, ids=[law.__name__ for law in LAWS])
def test_a_law_says_its_formula_and_an_example_that_holds(law: laws.Law) -> None:
    assert laws.formula(law) == (law.__doc__ or "").split("\n")[0]
    assert laws.formula(law).endswith(")")
    (example,) = doctest.DocTestFinder(recurse=False).find(law, law.__name__, globs=vars(laws) | NAMES)
    assert any(each.want == "True\n" for each in example.examples)
    said: list[str] = []
    assert doctest.DocTestRunner().run(example, out=said.append).failed == 0, "".join(said)


RESULTS = {
    "commute": (Projection(W, Selection(2, X)), Selection(2, Projection(W, X))),
    "stack_layers": (Selection(2, Selection(3, X)), Selection(2, X)),
    "stack_layers, equal": (Selection(2, Selection(2, X)), Selection(2, X)),
    "stack_windows": (Projection(W, Projection(V, X)), Projection(both(V, W), X)),
    "drop_everything": (Projection(EVERYTHING, X), X),
    "drop_last_layer": (Selection(5, X), X),
    "drop_last_layer, below a window": (Selection(5, Projection(W, X)), Projection(W, X)),
    "project_join": (
        Projection(W, join(X, Y, weights=(THIRD, 2 * THIRD))),
        join(Projection(W, X), Projection(W, Y), weights=(THIRD, 2 * THIRD)),
    ),
    "select_join": (
        Selection(2, join(X, Y, weights=(THIRD, 2 * THIRD))),
        join(Selection(2, X), Selection(2, Y), weights=(THIRD, 2 * THIRD)),
    ),
    "project_antijoin": (
        Projection(W, anti(X, Y, order=(1, 0))),
        anti(Projection(W, X), Projection(W, Y), order=(1, 0)),
    ),
    "select_antijoin": (Selection(2, anti(X, Y, order=(1, 0))), anti(Selection(2, X), Selection(2, Y), order=(1, 0))),
    "flatten_join": (
        join(join(X, Y, weights=(THIRD, 2 * THIRD)), Z, weights=(HALF / 2, 3 * HALF / 2)),
        Join((X, Y, Z), (Fraction(1, 12), Fraction(1, 6), Fraction(3, 4))),
    ),
    "order_join": (join(Y, X, weights=(THIRD, 2 * THIRD)), join(X, Y, weights=(2 * THIRD, THIRD))),
    "merge_join": (join(X, Y, X), join(X, Y, weights=(2 * THIRD, THIRD))),
    "merge_join, all alike": (join(X, X, weights=(THIRD, 2 * THIRD)), X),
    "merge_join, no weight": (join(X, Y, Z, weights=(HALF, Fraction(0), HALF)), join(X, Z)),
    "merge_join, all of the weight": (join(X, Y, weights=(Fraction(0), Fraction(1))), Y),
    "order_antijoin": (anti(Z, X, Y, order=(0, 1, 2)), anti(X, Y, Z, order=(2, 0, 1))),
    "order_antijoin, again": (anti(Y, X, order=(1, 0)), anti(X, Y, order=(0, 1))),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_law_is_its_formula(name: str) -> None:
    before, after = RESULTS[name]
    law = getattr(laws, name.split(",")[0])
    assert law(before) is after
    if not name.startswith("order_antijoin"):
        assert law(after) is None or law is laws.drop_everything


def test_a_law_leaves_other_plans_alone() -> None:
    plans = [
        X,
        Selection(2, X),
        Projection(W, X),
        Selection(2, Projection(W, X)),
        join(X, Y),
        join(Selection(1, X), Projection(W, X), Y),
        anti(X, Y, order=(1, 0)),
        anti(X, Y, Z),
        Selection(3, Projection(W, phi("x", depth=None))),
        Selection(4, X),
    ]
    for plan in plans:
        assert [law.__name__ for law in LAWS if law(plan) is not None] == []
    assert laws.stack_layers(Selection(3, Selection(2, X))) is None, "undefined, not rewritten"
    assert laws.drop_last_layer(Selection(5, join(X, Y))) is None
    assert laws.drop_everything(Projection(W, X)) is None


def test_operands_are_ordered_by_model_then_input_then_content() -> None:
    g = phi("a", model="g")
    plan = join(g, Y, Selection(2, X), X)
    ordered = laws.order_join(plan)
    assert isinstance(ordered, Join)
    assert ordered.operands[2:] == (Y, g)
    assert set(ordered.operands[:2]) == {X, Selection(2, X)}
    assert list(ordered.operands[:2]) == sorted(ordered.operands[:2], key=lambda each: each.key)


def test_normal_forms_come_with_the_laws_that_fired_in_order() -> None:
    plan = Projection(W, join(Y, Selection(5, X)))
    normal, steps = normalise(plan)
    assert normal is join(Projection(W, X), Projection(W, Y))
    assert [step.law for step in steps] == [
        "σ_n p = p where layer n is the model's own output (L4)",
        "p ⋈_ε q = q ⋈_{1−ε} p: one order for one sum (L10)",
        "Π_w (p ⋈ q) = Π_w p ⋈ Π_w q (L6)",
    ]
    assert steps[0] == RewriteStep(steps[0].law, Selection(5, X), X)
    assert steps[-1].before is Projection(W, join(X, Y))
    assert steps[-1].after is normal
    assert normalise(normal) == (normal, ())


def test_a_law_without_a_formula_goes_by_its_name() -> None:
    def forget(plan: Operator) -> Operator | None:
        return plan.of if isinstance(plan, Projection) else None

    normal, (step,) = normalise(Selection(2, Projection(W, X)), (forget,))
    assert normal is Selection(2, X)
    assert step == RewriteStep("forget", Projection(W, X), X)


def test_a_plan_deeper_than_any_recursion_is_normalised() -> None:
    plan: Operator = X
    for layer in range(3000, 0, -1):
        plan = Selection(layer, plan)
    normal, steps = normalise(plan, (laws.stack_layers,))
    assert normal is Selection(1, X)
    assert len(steps) == 2999


# --- Definedness


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (
            Selection(3, Selection(2, X)),
            "layer 3 of a map that is already cut after layer 2 is undefined: an outer selection must name a layer ≤ 2",
        ),
        (Selection(3, Projection(W, Selection(2, X))), "layer 3 of a map that is already cut after layer 2"),
        (Selection(3, join(Selection(4, X), Selection(2, X), Y)), "layer 3 of a map that is already cut after layer 2"),
        (Selection(1, Selection(3, Selection(1, X))), "layer 3 of a map that is already cut after layer 1"),
        (
            join(X, Projection(W, anti(X, Y))),
            "a join over an anti-join is undefined (an anti-join is a pair of maps); "
            "join the inputs first, or ask two queries",
        ),
        (
            anti(X, Selection(2, join(X, Y))),
            "an anti-join over a join is undefined (its operands are single inputs); "
            "write one chain of left joins, or ask two queries",
        ),
        (
            anti(anti(X, Y), Z),
            "an anti-join over another anti-join is undefined (its operands are single inputs); "
            "write one chain of left joins, or ask two queries",
        ),
    ],
)
def test_what_is_undefined_is_refused_where_it_stands(plan: Operator, said: str) -> None:
    with pytest.raises(CompositionError) as caught:
        check(PlanGraph([plan]))
    assert caught.value.message.startswith(said)
    assert caught.value.span is None
    culprit = plan if not isinstance(plan, Selection) or plan.layer != 1 else plan.of
    with pytest.raises(CompositionError) as caught:
        check(PlanGraph([plan]), {culprit: Span(3, 9), X: Span(0, 1)})
    assert caught.value.span == Span(3, 9)


@pytest.mark.parametrize(
    "plan",
    [
        Selection(2, Selection(2, X)),
        Selection(2, join(Selection(2, X), Selection(3, Y))),
        Selection(2, Projection(W, anti(X, Selection(3, Y)))),
        join(join(X, Y), Projection(W, join(X, Z))),
        join(Selection(1, X), Selection(5, X)),
        Selection(5, X),
    ],
)
def test_what_is_defined_passes(plan: Operator) -> None:
    check(PlanGraph([plan]))
    check(PlanGraph([plan]), {plan: Span(0, 1)})

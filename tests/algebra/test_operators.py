"""Operators are interned trees that refuse what cannot be, print as the paper writes, and are visited once each."""

from __future__ import annotations

import gc
import weakref
from fractions import Fraction

import pytest

from ialgebra.algebra.baselines import Constant, Given, Mean
from ialgebra.algebra.interning import Node
from ialgebra.algebra.operators import (
    AntiJoin,
    Estimation,
    Identity,
    Join,
    Operator,
    Projection,
    Selection,
    leaves,
    rebuilt,
)
from ialgebra.algebra.players import Features, Grid
from ialgebra.algebra.sources import Source
from ialgebra.algebra.windows import EVERYTHING, NOTHING
from ialgebra.errors import CompositionError

ZERO = (Constant(),)


def phi(*names: str, **options: object) -> Identity:
    return Identity("f", tuple(Source(name) for name in names), ZERO, Features(), **options)  # type: ignore[arg-type]


X, Y = phi("x"), phi("y")
HALVES = (Fraction(1, 2), Fraction(1, 2))


def test_equal_operators_are_one_object_and_others_are_not() -> None:
    assert phi("x") is X
    assert Join((X, Y), HALVES) is Join((phi("x"), phi("y")), HALVES)
    assert phi("x", target=1) is phi("x", target=1) is not X
    assert phi("x", target=1) is not phi("x", target=True)
    assert Constant(1.0) is not Constant(1)
    assert Projection(EVERYTHING, X) is not Projection(NOTHING, X)
    assert len({X, phi("x"), Y}) == 2


def test_what_nobody_holds_is_forgotten() -> None:
    forgotten = weakref.ref(phi("held by nobody"))
    gc.collect()
    assert forgotten() is None


def test_fields_cannot_change() -> None:
    with pytest.raises(AttributeError):
        X.model = "g"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Estimation().budget = 3  # type: ignore[misc]


def test_keys_tell_contents_apart() -> None:
    nodes: list[Node] = [
        X,
        Y,
        phi("x", "y"),
        phi("x", target=1),
        phi("x", target=True),
        phi("x", output="probability"),
        Projection(EVERYTHING, X),
        Selection(1, X),
        Selection(2, X),
        Join((X, Y), HALVES),
        Join((Y, X), HALVES),
        AntiJoin((X, Y), (0, 1)),
        AntiJoin((X, Y), (1, 0)),
        AntiJoin((X, Y), (0, 1), "literal"),
        Constant(1.0),
        Constant(0.0),
        Mean("x"),
        Given(Source("x")),
        Source("x"),
        Source("x", 0),
        Features(),
        Grid(2, 3),
        Grid(3, 2),
        Estimation("shapley", (("method", "exact"),)),
        Estimation("banzhaf"),
        Estimation(budget=10),
    ]
    keys = [each.key for each in nodes]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 24 and int(key, 16) >= 0 for key in keys)


def test_a_join_needs_a_weight_for_each_operand_and_in_all_one() -> None:
    for weights in ((Fraction(1, 2),), (Fraction(1, 2), Fraction(1, 3)), (Fraction(3, 2), Fraction(-1, 2))):
        with pytest.raises(
            CompositionError, match=r"^a join needs one weight in \[0, 1\] for each operand, in all 1; got \("
        ):
            Join((X, Y), weights)
    with pytest.raises(CompositionError):
        Join((X, Y), (Fraction(1, 3),) * 3)
    assert Join((X, Y), (Fraction(0), Fraction(1))).weights == (0, 1)


def test_an_antijoin_needs_two_operands_and_an_order_of_them() -> None:
    for operands, order in (((X,), (0,)), ((X, Y), (0,)), ((X, Y), (0, 0)), ((X, Y), (1, 2)), ((X, Y), (0, 1, 2))):
        with pytest.raises(
            CompositionError, match=r"^an anti-join needs two operands or more, and an order that names each once$"
        ):
            AntiJoin(operands, order)
    assert AntiJoin((X, Y, X), (2, 0, 1)).contrast == "difference"


def test_operators_print_as_the_paper_writes_them() -> None:
    assert str(X) == "φ f(x)"
    assert str(phi("x", estimation=Estimation("banzhaf"))) == "banzhaf f(x)"
    assert str(Identity("g", (Source("xs", 2),), ZERO, Features())) == "φ g(xs[2])"
    assert str(Identity("g", (Source("xs", 0), Source("xs", 1)), ZERO, Features())) == "φ g(xs)"
    assert str(Projection(NOTHING, X)) == "Π false"
    assert str(Selection(3, X)) == "σ 3"
    assert str(Join((X, Y), (Fraction(1, 3), Fraction(2, 3)))) == "⋈ 0.333333, 0.666667"
    assert str(AntiJoin((X, Y), (0, 1))) == "⋄"
    assert str(AntiJoin((X, Y), (0, 1), "literal")) == "⋄ literal"


def test_an_estimation_prints_as_using_says_it() -> None:
    said = {
        Estimation("shapley", (("method", "exact"),)): "exact()",
        Estimation("banzhaf"): "banzhaf()",
        Estimation("banzhaf", (("method", "exact"),)): "banzhaf(method => 'exact')",
        Estimation("captum.Odd", (("a", True), ("b", 0.5), ("c", "it's"), ("d", (2, 3)), ("e", (4,)))): (
            "captum.Odd(a => true, b => 0.5, c => 'it''s', d => (2, 3), e => 4)"
        ),
    }
    for estimation, text in said.items():
        assert str(estimation) == text
    assert Estimation().method is None
    assert Estimation("banzhaf", (("method", "exact"),)).method == "exact"


def test_operands_are_what_an_operator_stands_on() -> None:
    assert X.operands == ()
    assert Projection(NOTHING, X).operands == (X,)
    assert Selection(1, Y).operands == (Y,)
    assert Join((X, Y), HALVES).operands == (X, Y)


def test_an_operator_over_other_operands_keeps_all_else() -> None:
    third = (Fraction(1, 3), Fraction(2, 3))
    assert rebuilt(X, ()) is X
    assert rebuilt(Projection(NOTHING, X), (Y,)) is Projection(NOTHING, Y)
    assert rebuilt(Selection(3, X), (Y,)) is Selection(3, Y)
    assert rebuilt(Join((X, Y), third), (Y, X)) is Join((Y, X), third)
    swapped = AntiJoin((X, Y), (1, 0), "literal")
    assert rebuilt(swapped, (Y, X)) is AntiJoin((Y, X), (1, 0), "literal")
    for plan in (Projection(NOTHING, X), Selection(3, X), Join((X, Y), third), swapped):
        assert rebuilt(plan, plan.operands) is plan


PLAN = Join((Selection(2, X), Projection(NOTHING, Join((X, Y), HALVES))), HALVES)


def test_leaves_are_read_left_to_right_each_once_at_any_depth() -> None:
    assert leaves(PLAN) == (X, Y)
    assert leaves(Join((Y, X), HALVES)) == (Y, X)
    plan: Operator = Join((Y, PLAN), HALVES)
    for layer in range(5000, 0, -1):
        plan = Selection(layer, plan)
    assert leaves(plan) == (Y, X)

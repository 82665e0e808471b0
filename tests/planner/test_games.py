"""Plans become answers over games: coefficients, targets, baselines and boards, on a small world of images."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
import torch

from ialgebra.algebra.baselines import Constant, Given
from ialgebra.algebra.operators import Estimation, Operator
from ialgebra.algebra.sources import Source
from ialgebra.algebra.windows import EVERYTHING
from ialgebra.answering import binding as binder
from ialgebra.catalog.inputs import content_digest
from ialgebra.errors import ShapeError
from ialgebra.language import reader
from ialgebra.planner import boards
from ialgebra.planner.games import Answer, Game, Hybrids, Predicted
from ialgebra.planner.graph import PlanGraph
from ialgebra.planner.lower import Lowering
from ialgebra.planner.rewrite import normalise
from tests import worlds


@cache
def world() -> worlds.Case:
    return worlds.case("image", seed=3)


def answers(text: str, *, merge: bool = True, dual: bool = False, rewrite: bool = True) -> list[Answer]:
    catalog = world().con._catalog
    (only,) = binder.bind(reader.parse(text)[0], text, catalog).maps
    plan = normalise(only.plan)[0] if rewrite else only.plan
    return Lowering(PlanGraph([plan]), catalog).answers(plan, merge=merge, dual=dual)


def fired(text: str, dual: bool, rewrite: bool = True) -> list[str]:
    catalog = world().con._catalog
    (only,) = binder.bind(reader.parse(text)[0], text, catalog).maps
    plan = normalise(only.plan)[0] if rewrite else only.plan
    return list(Lowering(PlanGraph([plan]), catalog).laws([(plan, None)], dual=dual))


def games(answer: Answer) -> dict[str, Fraction]:
    """Coefficients by model, layer, input and baseline."""
    found: dict[str, Fraction] = {}
    for term in answer.terms:
        hybrids = term.game.hybrids
        name = f"{term.game.model} {term.game.layer} {name_of(hybrids.foreground)}|{name_of(hybrids.background)}"
        found[name] = found.get(name, Fraction(0)) + term.coefficient
    return found


def name_of(tensor: torch.Tensor) -> str:
    if not tensor.any():
        return "0"
    for name, entry in world().con._catalog.inputs.items():
        for number, each in enumerate(entry.elements):
            if torch.equal(each.tensor, tensor):
                return f"{name}[{number}]" if entry.collection else name
    return "?"


def test_one_map_is_one_game() -> None:
    (answer,) = answers("select 2 from f(x)")
    assert games(answer) == {"f 2 x|0": 1}
    assert answer.component is None
    assert (answer.baseline, answer.against) == ("0", "0")
    (leaf,) = answer.shown
    assert (leaf.model, leaf.source, leaf.layer, leaf.window) == ("f", Source("x"), 2, EVERYTHING)
    (term,) = answer.terms
    assert term.part == "shapley"
    assert term.game.target == Predicted("f", Source("x"))
    assert term.board is answer.board
    assert not term.board.swapped


def test_the_models_own_output_is_no_cut() -> None:
    (answer,) = answers("select 7 from f(x)", rewrite=False)
    assert games(answer) == {"f None x|0": 1}
    (answer,) = answers("select 1 from (select 7 from (select 3 from f(x)))", rewrite=False)
    assert games(answer) == {"f 1 x|0": 1}


def test_a_join_is_its_weighted_sum() -> None:
    (answer,) = answers("select * from f(x) join f(y) on weight = 0.3")
    assert games(answer) == {"f None x|0": Fraction(3, 10), "f None y|0": Fraction(7, 10)}
    (answer,) = answers("select * from (select 1 from f(x)) join g(x) join f(xs)", rewrite=False)
    third = Fraction(1, 3)
    assert games(answer) == {
        "f 1 x|0": third,
        "g None x|0": third,
        **{f"f None xs[{k}]|0": third / 3 for k in range(3)},
    }
    assert [leaf.source for leaf in answer.shown] == [Source("x"), Source("x"), *(Source("xs", k) for k in range(3))]


def test_several_baselines_are_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    (answer,) = answers("select * from f(x, baseline => xs)", merge=False)
    assert games(answer) == {f"f None x|xs[{k}]": Fraction(1, 3) for k in range(3)}
    assert answer.baseline == "xs[0], xs[1], xs[2]"
    assert len(answers("select * from f(x, baseline => xs)")[0].terms) == 3  # few baselines share rows with others
    monkeypatch.setattr(boards, "FEW", 2)
    (answer,) = answers("select * from f(x, baseline => xs)")
    (term,) = answer.terms
    hybrids = term.game.hybrids
    assert (term.coefficient, hybrids.copies) == (1, 3)
    xs = torch.stack([each.tensor for each in world().con._catalog.inputs["xs"].elements])
    assert torch.equal(hybrids.background, xs)
    assert torch.equal(hybrids.foreground, world().con._catalog.inputs["x"].elements[0].tensor.expand_as(xs))
    assert answer.baseline == "xs[0], xs[1], xs[2]"


def test_an_antijoin_explains_each_operand_against_the_mean_of_the_others() -> None:
    first, second, third = answers("select * from f(x) left join f(x') left join f(y)")
    half = Fraction(1, 2)
    assert games(first) == {"f None x|x'": half, "f None x|y": half}
    assert games(second) == {"f None x'|x": half, "f None x'|y": half}
    assert games(third) == {"f None y|x": half, "f None y|x'": half}
    assert [each.component for each in (first, second, third)] == [0, 1, 2]
    assert first.against == first.baseline == "x', y"
    assert {term.game.target for term in second.terms} == {Predicted("f", Source("x'"))}


def test_operands_that_are_collections_are_met_by_pairs() -> None:
    one, other = answers("select * from f(x) left join f(xs)")
    assert games(one) == {f"f None x|xs[{k}]": Fraction(1, 3) for k in range(3)}
    assert games(other) == {f"f None xs[{k}]|x": Fraction(1, 3) for k in range(3)}


def test_two_models_on_one_input_are_told_apart_by_the_class_of_the_first() -> None:
    one, other = answers("select * from f(x, output => 'probability') left join g(x)")
    assert games(one) == {"f None x|0": 1, "g None x|0": -1}
    assert games(other) == {"g None x|0": 1, "f None x|0": -1}
    assert {term.game.target for term in one.terms} == {Predicted("f", Source("x"))}
    assert {term.game.output for term in one.terms} == {"probability"}
    assert {term.game.output for term in other.terms} == {"logit"}
    assert [leaf.model for leaf in one.shown] == ["f"]
    assert (one.baseline, one.against) == ("0", "g")
    one, two, _ = answers("select * from f(x) left join g(x) left join (select 2 from f(x))")
    half = Fraction(1, 2)
    assert games(one) == {"f None x|0": 1, "g None x|0": -half, "f 2 x|0": -half}
    assert games(two) == {"g None x|0": 1, "f None x|0": -half, "f 2 x|0": -half}


def test_the_printed_contrast_takes_one_half_of_each_model() -> None:
    world().con.sql("set contrast = 'literal'")
    try:
        one, other = answers("select * from f(x) left join g(x)")
    finally:
        world().con.sql("set contrast = 'difference'")
    assert [(term.game.model, term.part, term.coefficient) for term in sorted(one.terms, key=lambda t: t.part)] == [
        ("f", "with", 1),
        ("g", "without", -1),
    ]
    assert {(term.game.model, term.part) for term in other.terms} == {("g", "with"), ("f", "without")}


def test_equal_games_are_one_and_a_sum_of_zero_is_none() -> None:
    text = "select * from f(x) join f(x) on weight = 0.3"
    (answer,) = answers(text, rewrite=False)
    assert [term.coefficient for term in answer.terms] == [1]
    (answer,) = answers(text, rewrite=False, merge=False)
    assert [term.coefficient for term in answer.terms] == [Fraction(3, 10), Fraction(7, 10)]
    one, other = answers("select * from f(x) left join (select 2 from f(x)) left join (select 2 from f(x))")[:2]
    assert games(one) == {"f None x|0": 1, "f 2 x|0": -1}
    # Of two operands that are one model on one input, each is explained against the other's input: itself.
    assert games(other) == {"f 2 x|0": Fraction(1, 2), "f None x|0": Fraction(-1, 2), "f 2 x|x": Fraction(1, 2)}


def test_the_laws_of_games_are_named_where_they_applied() -> None:
    dual = "φ(x'; x, f_c) = −φ(x; x', f_c) (L13)"
    assert fired("select * from f(x)", True) == []
    assert fired("select * from f(x) left join f(x')", True) == [dual]
    assert fired("select * from f(x) left join f(x')", False) == []
    assert fired("select * from f(x) left join f(x') where w", True) == []
    assert fired("select * from f(x) left join f(x)", True) == ["φ(x; x, f) = 0 (L12)"]
    assert fired("select * from f(x) join f(x)", False, rewrite=False) == ["equal games are one (L11)"]
    assert fired("select * from f(x) join f(y)", False, rewrite=False) == []


def test_both_directions_of_an_antijoin_are_one_set_of_hybrids_where_no_window_cuts() -> None:
    one, other = answers("select * from f(x, target => 1) left join f(x', target => 1)", dual=True)
    assert one.terms[0].game is other.terms[0].game or one.terms[0].game == other.terms[0].game
    assert sorted(answer.terms[0].board.swapped for answer in (one, other)) == [False, True]
    one, other = answers("select * from f(x, target => 1) left join f(x', target => 1) where w", dual=True)
    assert one.terms[0].game.hybrids is not other.terms[0].game.hybrids
    (alone,) = answers("select * from f(x)", dual=True)
    assert not alone.terms[0].board.swapped, "a constant is no input that could be explained"


def test_players_that_equal_the_baseline_are_left_out_of_the_game() -> None:
    con = world().con
    x = con._catalog.input("x").elements[0].tensor.clone()
    x[:, :3, :3] = 0
    con.register_input("part", x, players="grid(2, 2)")
    (answer,) = answers("select * from f(part)")
    board = answer.board
    assert board.count == 4
    assert board.active.tolist() == [1, 2, 3]
    assert board.hybrids.players == 3
    segments = np.broadcast_to(board.hybrids.segments, x.shape)
    assert set(segments[:, :3, :3].ravel().tolist()) == {-1}
    assert [int(segments[0, r, c]) for r, c in ((0, 5), (5, 0), (5, 5))] == [0, 1, 2]
    assert board.labels.shape == tuple(x.shape)
    assert [int(board.labels[1, r, c]) for r, c in ((0, 0), (0, 5), (5, 0), (5, 5))] == [0, 1, 2, 3]
    x[:, :3, :3] = 0.5
    x[0, 0, 0] = 0
    con.register_input("part", x, players="grid(2, 2)")
    assert answers("select * from f(part)")[0].board.hybrids.players == 4, "one channel of one pixel is enough"


def test_a_window_keeps_what_is_outside_at_the_baseline() -> None:
    (answer,) = answers("select * from f(x) where w")
    board = answer.board
    assert set(board.labels[:, 3:].ravel().tolist()) == {-1}
    assert board.count == board.hybrids.players == 4
    x = world().con._catalog.element(Source("x")).tensor
    assert board.hybrids.full == content_digest(torch.cat([x[:, :3], torch.zeros_like(x[:, 3:])], 1))
    assert board.hybrids.empty == answers("select * from f(x)")[0].board.hybrids.empty
    (nothing,) = answers("select * from f(x) where nothing")
    assert nothing.board.count == nothing.board.hybrids.players == 0
    assert nothing.board.hybrids.full == nothing.board.hybrids.empty
    whole = answers("select * from f(x)")[0].board.hybrids
    assert whole.full == world().con._catalog.element(Source("x")).digest


def test_equal_hybrids_are_one_object_whatever_asks_for_them() -> None:
    catalog = world().con._catalog
    graph = PlanGraph([])
    lowering = Lowering(graph, catalog)

    def hybrids(text: str) -> object:
        (only,) = binder.bind(reader.parse(text)[0], text, catalog).maps
        graph.add(only.plan)
        return lowering.answers(only.plan, merge=True, dual=False)[0].terms[0].game.hybrids

    one = hybrids("select * from f(x)")
    assert hybrids("select 2 from g(x, target => 1)") is one
    assert hybrids("select * from f(x) where row < 99") is one
    assert hybrids("select * from f(x, players => grid(1, 3))") is not one
    assert hybrids("select * from f(x, baseline => 1)") is not one
    assert hybrids("select * from f(x) where w") is not one


@pytest.mark.parametrize("dual", [False, True])
def test_a_nullified_input_s_game_is_the_projection_s(dual: bool) -> None:
    catalog = world().con._catalog
    blocks = (torch.arange(72) // 5).reshape(2, 6, 6)
    world().con.register_input("blocks", blocks)

    def bound(text: str) -> Operator:
        (only,) = binder.bind(reader.parse(text)[0], text, catalog).maps
        return only.plan

    for baseline, players in product(["0", "y", "x'", "mean(xs)", "xs"], ["pixels", "tile(1)", "tile(4)", "blocks"]):
        options = f"target => 1, players => {players}, baseline => {baseline})"
        one = "nullify(x, ring)" if baseline != "xs" else "nullify(x, ring, baseline => 0)"
        plans = [bound(f"select * from f({one}, {options}"), bound(f"select * from f(x, {options} where not ring")]
        lowering = Lowering(PlanGraph(plans), catalog)
        nullified, projected = (lowering.answers(plan, merge=True, dual=dual)[0].board for plan in plans)
        assert (nullified.hybrids is projected.hybrids) == (baseline != "xs"), (baseline, players)
        assert nullified.swapped == projected.swapped or baseline == "xs"
        assert ("φ(nullify(x, w)) = Π_¬w φ(x) (L14)" in lowering.laws([(plan, None) for plan in plans], dual=dual)) == (
            baseline != "xs"
        )
        assert (nullified.labels >= 0).all()
        assert ((projected.labels < 0) == worlds.PREDICATES["image"]["ring"](torch.zeros(2, 6, 6))).all()


def test_a_game_is_named_by_who_plays_where_its_ends_differ() -> None:
    catalog = world().con._catalog
    graph = PlanGraph([])
    lowering = Lowering(graph, catalog)

    def hybrids(text: str) -> Hybrids:
        (only,) = binder.bind(reader.parse(text)[0], text, catalog).maps
        graph.add(only.plan)
        return lowering.answers(only.plan, merge=True, dual=False)[0].board.hybrids

    whole = "select * from f(nullify(x, w), players => grid(2, 2))"
    assert hybrids(whole) is not hybrids("select * from f(x, players => grid(2, 2)) where not w"), "other players"
    assert hybrids(whole) is hybrids("select * from f(substitute(x, w, nullify(y, true)), players => grid(2, 2))")
    assert hybrids(whole) is not hybrids("select * from f(nullify(x, w, baseline => 1), players => grid(2, 2))")
    asked = "select * from f(nullify(x, w), players => pixels) using captum.IntegratedGradients()"
    if find_spec("captum"):  # what asks the model itself sees features that equal the baseline
        assert hybrids(asked) is not hybrids(
            "select * from f(x, players => pixels) where not w using captum.IntegratedGradients()"
        )


def test_hybrids_hold_both_inputs_as_they_are() -> None:
    con = world().con
    con.register_input("bytes", torch.randint(0, 255, (2, 6, 6), dtype=torch.uint8), players="grid(2, 2)")
    con.register_input("single", torch.rand(2, 6, 6), players="grid(2, 2)")
    (answer,) = answers("select * from f(bytes, baseline => 0.5)")
    hybrids = answer.board.hybrids
    assert hybrids.foreground.dtype == hybrids.background.dtype == torch.float32
    (answer,) = answers("select * from f(bytes, baseline => x)")
    assert answer.board.hybrids.foreground.dtype == torch.float64
    (answer,) = answers("select * from f(single, baseline => blur(1))")
    assert answer.board.hybrids.background.dtype == torch.float32
    con.register_input("wide", torch.rand(2, 6, 7))
    with pytest.raises(ShapeError):
        answers("select * from f(x) left join f(wide)")


def test_games_are_ordered_by_content() -> None:
    (answer,) = answers("select * from f(x, target => 1)")
    game = answer.terms[0].game
    key = game.key
    assert key[0] == game.hybrids.key
    assert key[1:5] == ("f", "00000000", "00000001", "logit")
    others: list[Game] = [
        replace(game, layer=2),
        replace(game, model="g"),
        replace(game, target=2),
        replace(game, target=Predicted("f", Source("x"))),
        replace(game, target=Predicted("g", Source("x"))),
        replace(game, output="probability"),
        replace(game, estimation=Estimation(budget=100)),
    ]
    keys = [key, *(each.key for each in others)]
    assert len(set(keys)) == len(keys)
    assert sorted([replace(game, layer=12), replace(game, layer=2)], key=lambda game: game.key)[0].layer == 2
    assert others[3].key[3] == "f(x)"


def test_baselines_of_every_kind_become_backgrounds() -> None:
    catalog = world().con._catalog
    x = catalog.element(Source("x")).tensor
    for text, expected in (
        ("1.5", torch.full_like(x, 1.5)),
        ("y", catalog.element(Source("y")).tensor),
        ("mean(xs)", torch.stack([each.tensor for each in catalog.input("xs").elements]).mean(0)),
    ):
        (answer,) = answers(f"select * from f(x, baseline => {text})")
        assert torch.equal(answer.board.hybrids.background, expected)
    assert answers("select * from f(x, baseline => y)")[0].shown[0].baseline is Given(Source("y"))
    assert answers("select * from f(x)")[0].shown[0].baseline is Constant(0.0)

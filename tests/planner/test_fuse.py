"""What shares rows and what shares batches, under every strategy; and what the whole pipeline makes of a query."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

import ialgebra
from ialgebra import CompositionError, Strategy
from ialgebra.answering import binding as binder
from ialgebra.language import reader
from ialgebra.planner.compile import Wanted, compile_plan
from ialgebra.planner.physical import PhysicalPlan, Run
from ialgebra.planner.sampling import Effort
from tests import worlds

SHARED = replace(Strategy.FUSED, pack=False)


@cache
def world() -> worlds.Case:
    return worlds.case("image", seed=4)


def compiled(
    text: str, strategy: Strategy = Strategy.FUSED, con: ialgebra.Session | None = None, **more
) -> PhysicalPlan:  # type: ignore[no-untyped-def]
    catalog = (con or world().con)._catalog
    bound = binder.bind(reader.parse(text)[0], text, catalog)
    wanted = [Wanted(each.plan, each.label, each.item) for each in bound.maps]
    return compile_plan(wanted, catalog, strategy, more.pop("seed", 5), **more)


def columns(plan: PhysicalPlan) -> list[list[tuple[str, int | None]]]:
    return [[(game.model, game.layer) for game in job.games] for job in plan.jobs]


ITEMS = "select 2, 4, * from f(x)"


def test_games_over_one_set_of_hybrids_are_columns_of_one_job_where_they_may_share() -> None:
    assert columns(compiled(ITEMS)) == [[("f", None), ("f", 2), ("f", 4)]]
    assert columns(compiled(ITEMS, Strategy.LAWS)) == [[("f", 2)], [("f", 4)], [("f", None)]]
    assert columns(compiled(ITEMS, Strategy.AS_WRITTEN)) == [[("f", 2)], [("f", 4)], [("f", None)]]
    both = "select * from f(x) left join g(x)"
    assert columns(compiled(both)) == [
        [("f", None), ("f", None), ("g", None), ("g", None)]  # each for the class of either
    ]
    assert compiled(both).jobs[0].models == ("f", "g")


def test_equal_games_are_one_job_under_the_laws_and_several_as_written() -> None:
    twice = "select * from f(x) join f(x) on weight = 0.25"
    again = "select *, * from f(x)"
    for text in (twice, again):
        assert len(compiled(text, Strategy.LAWS).jobs) == 1
        assert len(compiled(text, Strategy.AS_WRITTEN).jobs) == 2
    plan = compiled(again, Strategy.LAWS)
    assert [output.readings[0][0].job for output in plan.outputs] == [0, 0]


def test_every_term_is_read_where_its_game_stands() -> None:
    for strategy in (Strategy.AS_WRITTEN, Strategy.LAWS, Strategy.FUSED, Strategy.BEST):
        for text in (ITEMS, "select 2, * from f(x) left join f(x') left join g(x)", "select 3 from f(x) join f(y)"):
            plan = compiled(text, strategy)
            for output in plan.outputs:
                assert len(output.answers) == len(output.readings)
                for answer, readings in zip(output.answers, output.readings, strict=True):
                    assert len(readings) == len(answer.terms)
                    for term, reading in zip(answer.terms, readings, strict=True):
                        assert plan.jobs[reading.job].games[reading.column] == term.game
                        assert plan.jobs[reading.job].hybrids is term.game.hybrids


def test_two_writings_of_a_query_make_the_same_jobs() -> None:
    one = compiled("select 2, * from f(x) join f(x') on weight = 0.3")
    other = compiled("select *, 2 from f(x') join f(x) on weight = 0.7")
    assert len(one.jobs) == 2
    assert [(job.spec, [game.key for game in job.games]) for job in one.jobs] == [
        (job.spec, [game.key for game in job.games]) for job in other.jobs
    ]


def test_rows_of_different_games_fill_one_batch_where_they_may() -> None:
    text = "select * from f(x) join f(x') join g(y)"
    packed = compiled(text)
    by_model = {each.models: len(each.jobs) for each in packed.passes}
    assert by_model == {("f",): 2, ("g",): 1}
    assert sorted(number for each in packed.passes for number in each.jobs) == [0, 1, 2]
    assert [each.jobs for each in compiled(text, SHARED).passes] == [(0,), (1,), (2,)]


def test_passes_stop_at_the_deepest_layer_that_is_read_and_are_packed_by_it() -> None:
    plan = compiled("select * from (select 2 from f(x)) join (select 4 from f(y)) join (select 2 from f(x'))")
    assert sorted((each.models, each.layers, len(each.jobs)) for each in plan.passes) == [
        (("f",), (2,), 2),
        (("f",), (4,), 1),
    ]
    (deep,) = compiled(ITEMS).passes
    assert deep.layers == (None,)
    (shallow,) = compiled("select 2, 4 from f(x)").passes
    assert shallow.layers == (4,)


def test_inputs_of_another_form_go_through_in_batches_of_their_own() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)).double())
    con.register_input("a", torch.rand(2, 6, 6, dtype=torch.float64), players="grid(2, 2)")
    con.register_input("b", torch.rand(2, 6, 8, dtype=torch.float64), players="grid(2, 2)")
    con.register_input("c", torch.rand(2, 6, 6), players="grid(2, 2)")
    con.register_input("d", torch.rand(2, 6, 6, dtype=torch.float64), players="grid(2, 2)")
    for other, count in (("b", 2), ("c", 2), ("d", 1)):
        texts = [f"select * from f({name})" for name in ("a", other)]
        catalog = con._catalog
        wanted = [
            Wanted(each.plan, None, 0)
            for text in texts
            for each in binder.bind(reader.parse(text)[0], text, catalog).maps
        ]
        assert len(compile_plan(wanted, catalog, Strategy.FUSED, 0).passes) == count


def test_a_pass_counts_the_rows_between_the_ends_of_its_jobs() -> None:
    (one,) = compiled("select * from f(x) join f(y)").passes
    assert one.rows == 2 * 14
    (none,) = compiled("select * from f(x) where nothing").passes
    assert none.rows == 0
    (sampled,) = compiled("select * from f(x, players => pixels) budget 100").passes
    assert sampled.rows == compiled("select * from f(x, players => pixels) budget 100").jobs[0].spec.rows - 2


def test_batch_sizes_are_those_of_the_strategy_then_of_the_session_then_of_the_model_then_usual() -> None:
    con = worlds.case("image", seed=4).con

    def size(strategy: Strategy = Strategy.BEST) -> int:
        (only,) = compiled("select * from f(x)", strategy, con).passes
        assert only.run.explore == (strategy is Strategy.BEST and only.run.batch_size == 512)
        return only.run.batch_size

    assert size() == 512
    con._catalog.model("f").batch_size = 7
    assert size() == 7
    con.sql("set batch_size = 9")
    assert size() == 9
    assert size(replace(Strategy.BEST, batch_size=11)) == 11
    assert size(replace(Strategy.FUSED, batch_size=11)) == 11


def test_a_mode_that_is_asked_for_is_the_only_one() -> None:
    for mode in ("eager", "channels-last", "compiled", "autocast"):
        (only,) = compiled("select * from f(x)", replace(Strategy.BEST, mode=mode)).passes
        assert only.run.mode == mode
        assert only.run.batch_size == 512
        assert not only.run.explore
        assert only.rejected == ()


def test_ways_that_were_turned_down_are_those_that_were_measured() -> None:
    con = worlds.case("image", seed=6).con
    con.sql("select * from f(x)")
    profile = con._catalog.model("f").profile
    profile.curves = {"eager": {size: [took] * 3 for size, took in ((16, 16.0), (64, 8.0), (512, 512.0))}}
    (only,) = compiled("select * from f(x, players => pixels) budget 642", Strategy.BEST, con).passes
    assert (only.run.batch_size, only.run.mode) == (64, "eager")
    assert {run: round(cost.seconds) for run, cost in only.rejected} == {Run(16, "eager"): 640, Run(512, "eager"): 565}
    assert only.cost.seconds == pytest.approx(640 / 8, rel=0.01)  # of 512 rows, the rest of 128 goes faster


# --- The pipeline


def test_a_plan_holds_what_was_asked_and_what_it_became() -> None:
    text = "select 2 as two, * from f(x) where w and true"
    plan = compiled(text, query=text, seed=11)
    assert plan.query == text
    assert plan.seed == 11
    assert [(output.label, output.item) for output in plan.outputs] == [("two", 0), (None, 1)]
    assert [str(output.written) for output in plan.outputs] == ["σ 2", "Π row < 3"]
    assert plan.strategy.name == "FUSED"
    assert {job.spec.seed for job in plan.jobs} == {11}
    assert plan.rows == plan.cost.rows == 16
    assert plan.overhead > 0
    assert plan.outputs[0].normal is plan.outputs[0].written


def test_as_written_nothing_is_rewritten() -> None:
    text = "select 2 from f(x) join f(y) where w"
    plan = compiled(text, Strategy.AS_WRITTEN)
    assert plan.trace == ()
    assert plan.game_laws == ()
    assert plan.outputs[0].normal is plan.outputs[0].written
    laws = compiled(text, Strategy.LAWS)
    assert [step.law.split("(")[-1] for step in laws.trace] == ["L6)", "L7)"]
    assert laws.outputs[0].normal is not laws.outputs[0].written
    assert compiled(text, replace(Strategy.LAWS, rules=())).trace == ()


def test_a_law_that_fired_in_several_items_is_told_once() -> None:
    text = "select 1, 1, 2 from f(x) join f(y)"
    steps = compiled(text, Strategy.LAWS).trace
    assert len(steps) == len(set(steps)) == 2


def test_undefined_plans_are_refused_before_anything_is_rewritten() -> None:
    with pytest.raises(CompositionError, match="layer 3"):
        compiled("select 1 from (select 3 from (select 1 from f(x)))")
    text = "select * from f(x) join (select * from f(x) left join f(y))"
    bound = binder.bind(reader.parse(text)[0], text, world().con._catalog)
    wanted = [Wanted(each.plan, each.label, each.item) for each in bound.maps]
    with pytest.raises(CompositionError) as caught:
        compile_plan(wanted, world().con._catalog, Strategy.BEST, 0, places=bound.places)
    assert caught.value.span is not None


def test_stages_tell_what_each_thing_that_is_shared_saves() -> None:
    text = "select 2, 2, * from f(x) left join f(x')"
    plan = compiled(text, Strategy.BEST)
    assert [what for what, _ in plan.stages] == [
        "operator at a time",
        "equal games are one",
        "one row for every layer, class and model that reads it",
        "one game for both directions of an anti-join",
    ]
    assert [cost.rows for _, cost in plan.stages] == [6 * 16, 4 * 16, 2 * 14 + 2, 16]
    assert plan.stages[-1][1] == plan.cost
    assert plan.game_laws == ("φ(x'; x, f_c) = −φ(x; x', f_c) (L13)",)
    assert [what for what, _ in compiled(text, Strategy.AS_WRITTEN).stages] == ["operator at a time"]
    assert [cost.rows for _, cost in compiled(text, Strategy.LAWS).stages] == [96, 64, 64]
    (first, _, third, _) = compiled(text, Strategy.FUSED).stages
    assert (first[1].rows, third[1].rows) == (96, 30)


def test_operator_at_a_time_costs_what_the_plan_as_written_costs() -> None:
    con = worlds.case("image", seed=7).con
    con.sql("select * from f(x)")
    text = "select 2, 2, * from f(x) left join f(x')"
    stages = dict(compiled(text, Strategy.BEST, con).stages)
    written = compiled(text, Strategy.AS_WRITTEN, con).cost
    assert stages["operator at a time"].peak == written.peak
    fused = compiled(text, replace(Strategy.FUSED, dual=False), con).cost
    found = stages["one row for every layer, class and model that reads it"]
    assert (found.rows, found.peak) == (fused.rows, fused.peak)
    assert fused.peak > written.peak


def test_the_printed_contrast_is_never_estimated_by_regression() -> None:
    con = worlds.case("image", seed=4).con
    con.sql("set contrast = 'literal'")
    plan = compiled("select * from f(x, players => pixels) left join g(x, players => pixels) budget 600", con=con)
    assert {job.spec.method for job in plan.jobs} == {"permutations"}
    plain = compiled("select * from f(x, players => pixels) left join g(x, players => pixels) budget 600")
    assert {job.spec.method for job in plain.jobs} == {"regression"}


def test_only_what_can_matter_is_searched() -> None:
    assert compiled("select * from f(x)", Strategy.BEST).decisions == ()
    shared = [each.id for each in compiled(ITEMS, Strategy.BEST).decisions]
    assert shared == ["D3"]
    both = [each.id for each in compiled("select * from f(x) left join f(x')", Strategy.BEST).decisions]
    assert both[:2] == ["D5", "D3"] or both[0] == "D5"
    windowed = compiled("select * from f(x) left join f(x') where w", Strategy.BEST).decisions
    assert "D5" not in [each.id for each in windowed]


def test_an_effort_bounds_the_rows_of_every_game() -> None:
    text = "select * from f(x, players => pixels) join f(y, players => pixels)"
    plan = compiled(text, Strategy.BEST, effort=Effort(4))
    assert [job.spec.rows for job in plan.jobs] == [144, 144]
    assert {job.spec.seed for job in plan.jobs} == {5}
    apart = compiled(text, Strategy.BEST, effort=Effort(4, {}, True))
    assert sorted(job.spec.seed for job in apart.jobs) == [5, 5 + 2**32]

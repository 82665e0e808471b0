"""A plan that contradicts itself is found, whatever part of it is at fault; and the plans that we make do not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec

import pytest

from ialgebra import Strategy
from ialgebra.algebra.operators import Estimation
from ialgebra.answering import binding as binder
from ialgebra.errors import IalgebraError, InternalError
from ialgebra.language.reader import parse
from ialgebra.planner import compile as pipeline
from ialgebra.planner.compile import ALWAYS_VERIFY, compile_plan
from ialgebra.planner.graph import PlanGraph
from ialgebra.planner.physical import PhysicalPlan, Run, TermReading
from ialgebra.planner.sampling import Effort
from ialgebra.planner.strategy import PRESETS
from ialgebra.planner.verify import verify
from tests import worlds

CON = worlds.case("image", seed=4).con
TEXT = "select 2, * from f(x) join f(y) on weight = 0.3 join g(x) on weight = 0.5 budget 64"


def planned(text: str = TEXT, strategy: Strategy = Strategy.FUSED, effort: Effort | None = None) -> PhysicalPlan:
    catalog = CON._catalog
    bound = binder.bind(parse(text)[0], text, catalog)
    return compile_plan(bound.maps, catalog, replace(strategy, verify=False), 5, effort=effort)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_plans_of_every_kind_agree_with_themselves(name: str) -> None:
    texts = [
        TEXT,
        "select * from f(xs)",
        "select 2, 2, * from f(x) left join f(x') left join g(y)",
        "select * from f(x) left join g(x) using shapley(contrast => 'literal')",
        "select * from f(x) where false",
        "select * from f(x, players => pixels) join f(x) using permutations() budget 200",
    ]
    if find_spec("captum"):
        texts.append("select * from f(x) using captum.IntegratedGradients()")
    for text in texts:
        for effort in (None, Effort(0), Effort(6), Effort(9, {}, True)):
            verify(planned(text, PRESETS[name], effort))


def job(plan: PhysicalPlan, number: int = 0, **changes: object) -> PhysicalPlan:
    jobs = list(plan.jobs)
    jobs[number] = replace(jobs[number], **changes)  # type: ignore[arg-type]
    return replace(plan, jobs=tuple(jobs))


def one_pass(plan: PhysicalPlan, **changes: object) -> PhysicalPlan:
    return replace(plan, passes=(replace(plan.passes[0], **changes), *plan.passes[1:]))  # type: ignore[arg-type]


def output(plan: PhysicalPlan, **changes: object) -> PhysicalPlan:
    return replace(plan, outputs=(replace(plan.outputs[0], **changes), *plan.outputs[1:]))  # type: ignore[arg-type]


def readings(plan: PhysicalPlan, change: Callable[[TermReading], TermReading]) -> PhysicalPlan:
    return output(plan, readings=tuple(tuple(map(change, each)) for each in plan.outputs[0].readings))


def answer(plan: PhysicalPlan, **changes: object) -> PhysicalPlan:
    return output(plan, answers=(replace(plan.outputs[0].answers[0], **changes),))  # type: ignore[arg-type]


def weighed(plan: PhysicalPlan, weight: Fraction) -> PhysicalPlan:
    first, *rest = plan.outputs[0].answers[0].terms
    return answer(plan, terms=(replace(first, coefficient=weight), *rest))


def designed(plan: PhysicalPlan, **changes: object) -> PhysicalPlan:
    return job(plan, spec=plan.jobs[0].spec._replace(**changes))


def other_wish(plan: PhysicalPlan) -> PhysicalPlan:
    games = tuple(replace(game, estimation=Estimation("shapley", (), 4)) for game in plan.jobs[0].games)
    return job(plan, games=games)


FAULTS: dict[str, Callable[[PhysicalPlan], PhysicalPlan]] = {
    "job 0 has no game": lambda plan: job(plan, games=()),
    "job 0 has one game twice": lambda plan: job(plan, games=plan.jobs[0].games * 2),
    "job 0 has a game over other hybrids": lambda plan: job(plan, hybrids=plan.jobs[1].hybrids),
    "job 0 is designed for 3 players and has 4": lambda plan: designed(plan, players=3),
    "job 0 asks for 17 rows of the 16 that there are": lambda plan: designed(plan, rows=17),
    "job 0 is designed by banzhaf for a game that shapley explains": lambda plan: designed(plan, interpreter="banzhaf"),
    "job 0 asks for 16 rows where the budget is 4": other_wish,
    "1 answers have 0 readings": lambda plan: output(plan, readings=()),
    "a map's plan is not in the graph": lambda plan: replace(plan, graph=PlanGraph([plan.outputs[0].written])),
    "3 terms have 2 readings": lambda plan: output(plan, readings=(plan.outputs[0].readings[0][:2],)),
    "a term reads column 0 of job 9, which is not there": lambda plan: readings(plan, lambda _: TermReading(9, 0)),
    "a term reads column 7 of job 0, which is not there": lambda plan: readings(plan, lambda _: TermReading(0, 7)),
    "which is another game's": lambda plan: readings(plan, lambda each: TermReading((each.job + 1) % 2, each.column)),
    "the weights of a map add up to": lambda plan: weighed(plan, Fraction(1, 3)),
    "a term of an answer counts for nothing": lambda plan: weighed(plan, Fraction(0)),
    "not in the order of their content": lambda plan: replace(
        answer(plan, terms=plan.outputs[0].answers[0].terms[::-1]),
        outputs=(output_reversed(plan), *plan.outputs[1:]),
    ),
    "jobs are not in the order of their content": lambda plan: swapped(plan),
    "job 2 is read by no answer": lambda plan: replace(plan, jobs=(*plan.jobs, plan.jobs[0])),
    "2 jobs are of one design over one set of hybrids": lambda plan: apart(),
    "a decision on what is shared is still open": lambda plan: replace(
        plan, strategy=replace(plan.strategy, share=None)
    ),
    "pass 0 is of jobs (7,), and there are 2": lambda plan: one_pass(plan, jobs=(7,)),
    "and a job of it through others": lambda plan: one_pass(plan, models=("g",)),
    "pass 0 stops at (2,), and a job of it elsewhere": lambda plan: one_pass(plan, layers=(2,) * 1),
    "job 0 is in 2 passes": lambda plan: replace(plan, passes=plan.passes * 2),
    "job 1 is in 0 passes": lambda plan: replace(plan, passes=plan.passes[:1]),
    "rows, and its jobs": lambda plan: one_pass(plan, rows=99),
    "rows through": lambda plan: one_pass(plan, cost=plan.passes[0].cost._replace(rows=1)),
    "mixes what an interpreter asks for itself with batches": lambda plan: one_pass(plan, asked="captum"),
    "and the same was rejected": lambda plan: one_pass(plan, rejected=((plan.passes[0].run, plan.passes[0].cost),)),
    "is run as Run(batch_size=0": lambda plan: one_pass(plan, run=Run(0, "eager")),
    "jobs share batches that may not": lambda plan: replace(
        planned("select * from f(x) join f(y)"), strategy=replace(plan.strategy, pack=False)
    ),
    "passes go equally deep through one set of models": lambda plan: replace(
        planned("select * from f(x) join f(y)", replace(Strategy.FUSED, pack=False)), strategy=plan.strategy
    ),
    "and its passes and ends": lambda plan: replace(plan, cost=plan.cost._replace(rows=1)),
    "one game is a column of 2 jobs of one design": lambda plan: replace(
        planned("select * from f(x) join f(x)", Strategy.AS_WRITTEN), strategy=replace(Strategy.LAWS)
    ),
    "a term's board has other players than its game": lambda plan: other_board(plan),
}


def output_reversed(plan: PhysicalPlan):  # type: ignore[no-untyped-def]
    first = plan.outputs[0]
    turned = replace(first.answers[0], terms=first.answers[0].terms[::-1])
    return replace(first, answers=(turned,), readings=(first.readings[0][::-1],))


def swapped(plan: PhysicalPlan) -> PhysicalPlan:
    """Jobs change places, and everything that says their numbers with them."""
    numbers = {0: 1, 1: 0}
    outputs = tuple(
        replace(
            each,
            readings=tuple(tuple(TermReading(numbers[r.job], r.column) for r in some) for some in each.readings),
        )
        for each in plan.outputs
    )
    passes = tuple(replace(each, jobs=tuple(numbers[number] for number in each.jobs)) for each in plan.passes)
    return replace(plan, jobs=plan.jobs[::-1], outputs=outputs, passes=passes)


def apart() -> PhysicalPlan:
    """Two columns of one job become two jobs."""
    plan = planned("select 2, * from f(x)")
    (whole,) = plan.jobs
    outputs = tuple(replace(each, readings=((TermReading(each.readings[0][0].column, 0),),)) for each in plan.outputs)
    return replace(plan, jobs=tuple(replace(whole, games=(game,)) for game in whole.games), outputs=outputs)


def other_board(plan: PhysicalPlan) -> PhysicalPlan:
    first, *rest = plan.outputs[0].answers[0].terms
    board = next(term.board for term in rest if term.board.hybrids is not first.board.hybrids)
    return answer(plan, terms=(replace(first, board=board), *rest))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_way_of_contradicting_oneself_is_told(fault: str) -> None:
    plan = planned()
    verify(plan)
    with pytest.raises(InternalError, match=re.escape(fault)) as caught:
        verify(FAULTS[fault](plan))
    assert isinstance(caught.value, IalgebraError)
    assert str(caught.value).startswith("the plan contradicts itself: ")


def test_a_plan_is_verified_where_the_strategy_or_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[PhysicalPlan] = []
    monkeypatch.setattr(pipeline, "verify", verified.append)
    text = "select * from f(x)"
    assert ALWAYS_VERIFY == "IALGEBRA_VERIFY"
    for variable, expected in ((None, [False, False, True]), ("1", [True, False, True])):
        monkeypatch.delenv(ALWAYS_VERIFY, raising=False)
        if variable is not None:
            monkeypatch.setenv(ALWAYS_VERIFY, variable)
        for wish, told in zip((None, False, True), expected, strict=True):
            verified.clear()
            CON.explain(text, strategy=replace(Strategy.BEST, verify=wish))
            assert bool(verified) is told


def test_that_plans_are_verified_shows_in_no_answer() -> None:
    text = "select 2, * from f(x) left join f(x')"
    strategies = [replace(Strategy.FUSED, verify=wish) for wish in (False, True)]
    assert CON.explain(text, strategy=strategies[0]) == CON.explain(text, strategy=strategies[1])
    plain, checked = (CON.sql(text, seed=3, strategy=each) for each in strategies)
    assert plain.provenance["decisions"] == checked.provenance["decisions"]
    assert "verify" not in plain.provenance["decisions"]  # type: ignore[operator]

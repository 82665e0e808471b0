"""A query is lowered once and sized once a round: what a round plans is what its plans alone would be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn

import ialgebra
from ialgebra import Strategy
from ialgebra.algebra.operators import Identity, Operator
from ialgebra.answering import binding as binder
from ialgebra.answering import question
from ialgebra.language import reader
from ialgebra.planner.boards import Boards
from ialgebra.planner.compile import Wanted, compile_plan, lower, size
from ialgebra.planner.games import Answer
from ialgebra.planner.laws import LAWS
from ialgebra.planner.physical import PhysicalPlan
from ialgebra.planner.sampling import Effort
from ialgebra.planner.strategy import PRESETS
from tests import worlds

CASE = worlds.case("image", seed=4)
CATALOG = CASE.con._catalog


def wanted(text: str) -> list[Wanted]:
    return list(binder.bind(reader.parse(text)[0], text, CATALOG).maps)


def terms(answers: tuple[Answer, ...]) -> object:
    return [(answer.shown, answer.baseline, answer.against, answer.component) for answer in answers] + [
        (term.coefficient, term.game.key, term.part, term.board.swapped) for answer in answers for term in answer.terms
    ]


def said(plan: PhysicalPlan) -> object:
    """Everything that a plan says, in values that can be compared."""
    return (
        [(job.spec, job.hybrids.key, [game.key for game in job.games]) for job in plan.jobs],
        [
            (output.label, output.item, output.written, output.normal, output.readings, terms(output.answers))
            for output in plan.outputs
        ],
        [(each.models, each.layers, each.jobs, each.rows, each.run, each.cost, each.rejected) for each in plan.passes],
        (plan.trace, plan.game_laws, plan.cost, plan.overhead, plan.stages, plan.decisions, plan.strategy, plan.seed),
    )


TEXT = (
    "select 2, *, 1 from (select * from f(x) where w) join (select 3 from (select * from f(nullify(x, ring)) where w))"
)
TEXTS = [
    TEXT,
    "select 2, 2, 7 from f(x) left join f(x')",
    "select * from f(xs)",
    "select 1, 2, 3, 4 from f(x) where ring",
    "select *, *, 2 from f(x, players => pixels) join f(y, players => pixels) join f(x, players => pixels)",
]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_open_plans_of_a_lowered_query_are_planned_as_they_would_be_alone(name: str) -> None:
    strategy = PRESETS[name]
    for text in TEXTS:
        plans = wanted(text)
        lowered = lower(plans, CATALOG, strategy)
        for numbers in ([*range(len(plans))], [0], [len(plans) - 1], [0, len(plans) - 1], [1]):
            for effort in (None, Effort(0), Effort(4), Effort(9, {}, True)):
                chosen = list(dict.fromkeys(numbers))
                open_ = [plans[number] for number in chosen]
                alone = compile_plan(open_, CATALOG, strategy, 3, effort=effort)
                assert said(size(lowered, 3, numbers=chosen, effort=effort)) == said(alone), (text, chosen)
        assert said(size(lowered, 3)) == said(compile_plan(plans, CATALOG, strategy, 3))


def test_a_round_may_be_sized_with_the_decisions_of_the_first_taken() -> None:
    for text in TEXTS:
        lowered = lower(wanted(text), CATALOG, Strategy.BEST)
        taken = size(lowered, 3, effort=Effort(4)).strategy
        assert taken.share is not None
        again = size(lowered, 3, effort=Effort(8), strategy=taken)
        assert said(again) == said(compile_plan(wanted(text), CATALOG, taken, 3, effort=Effort(8)))
        for other in (Strategy.AS_WRITTEN, replace(Strategy.BEST, rules=())):
            with pytest.raises(ValueError, match="laws by which they were lowered"):
                size(lowered, 3, strategy=other)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_plan_of_a_collection_is_the_plans_of_its_elements(name: str) -> None:
    for text in (
        "select 2, * from f(xs)",
        "select *, 3 from f(xs, baseline => x) where w",
        "select 2 from f(xs, baseline => xs, output => 'probability') where ring budget 20",
        "select * from f(nullify(xs, w), target => 1)",
        "select * from f(xs, players => slic(4)) having index < 2 order by index desc",
        "select * from f(xs) using captum.Saliency()",
    ):
        bound = binder.bind(reader.parse(text)[0], text, CATALOG)
        assert len(bound.wanted) < len(bound.maps), text
        for effort in (None, Effort(4), Effort(9, {}, True)):
            one, *rest = said(compile_plan(bound.wanted, CATALOG, PRESETS[name], 3, effort=effort))  # type: ignore[misc]
            other, *alone = said(compile_plan(bound.maps, CATALOG, PRESETS[name], 3, effort=effort))  # type: ignore[misc]
            assert one == other
            outputs, each = rest.pop(0), alone.pop(0)
            assert [(label, item, *more) for label, item, _, _, *more in outputs] == [
                (label, item, *more) for label, item, _, _, *more in each
            ]
            (_, *others), (_, *of_each) = rest.pop(), alone.pop()  # the trace of one plan is shorter
            assert (rest, others) == (alone, of_each)


def test_a_law_of_the_caller_meets_every_element(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[int] = []

    def look(plan: Operator) -> Operator | None:
        met.extend(len(plan.inputs) for _ in [0] if isinstance(plan, Identity))
        return None

    text = "select * from f(xs)"
    bound = binder.bind(reader.parse(text)[0], text, CATALOG)
    lower(bound.wanted, CATALOG, replace(Strategy.BEST, rules=(*LAWS, look)))
    assert met == [1] * len(bound.maps)


def test_each_board_is_built_once_a_query_however_many_rounds_are_sized(monkeypatch: pytest.MonkeyPatch) -> None:
    built: Counter[tuple[object, ...]] = Counter()
    build = Boards.build

    def counted(self: Boards, leaf, prune, dual):  # type: ignore[no-untyped-def]
        built[leaf.source, leaf.baseline, leaf.window, leaf.partition, prune, dual] += 1
        return build(self, leaf, prune, dual)

    monkeypatch.setattr(Boards, "build", counted)
    lowered = lower(wanted("select 1, 2, * from f(x) left join f(x') left join f(y)"), CATALOG, Strategy.BEST)
    first = size(lowered, 0, effort=Effort(2))
    for effort in (Effort(4), Effort(8), Effort(16), None):
        size(lowered, 0, effort=effort, strategy=first.strategy)
        size(lowered, 0, numbers=[1], effort=effort, strategy=first.strategy)
    assert len(built) == 12, "each of three inputs against two others, as one game and as two"
    assert set(built.values()) == {1}


def test_a_bounded_query_over_forty_inputs_builds_each_board_once_in_all_its_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 3)))
    con.register_input("many", torch.rand(40, 1, 6, 6), players="pixels")
    built: Counter[object] = Counter()
    sized: list[int] = []
    build, enter, resize = Boards.build, Boards.enter, question.size

    def counted(self: Boards, leaf, prune, dual):  # type: ignore[no-untyped-def]
        built[leaf.source] += 1
        return build(self, leaf, prune, dual)

    def entered(self: Boards, leaf, board, **how):  # type: ignore[no-untyped-def]
        built[leaf.source] += 1
        enter(self, leaf, board, **how)

    def timed(lowered, seed, **more):  # type: ignore[no-untyped-def]
        sized.append(len(more["numbers"]))
        return resize(lowered, seed, **more)

    monkeypatch.setattr(Boards, "build", counted)
    monkeypatch.setattr(Boards, "enter", entered)
    monkeypatch.setattr(question, "size", timed)
    answers = con.sql("select * from f(many) error within 4%")
    assert len(answers) == 40
    assert answers.stats.bound_met
    assert len(sized) >= 2, "one round after the other"
    assert len(built) == 40
    assert set(built.values()) == {1}

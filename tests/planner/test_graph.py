"""The plan graph: one graph of all plans of a query, which every step of planning reads."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import networkx as nx
import pytest

from ialgebra.algebra.baselines import Constant
from ialgebra.algebra.operators import Identity, Join, Operator, Projection, Selection
from ialgebra.algebra.players import Features
from ialgebra.algebra.sources import Source
from ialgebra.algebra.windows import NOTHING
from ialgebra.answering import binding as binder
from ialgebra.language import reader
from ialgebra.planner.check import check, check_size
from ialgebra.planner.compile import compile_plan, lower
from ialgebra.planner.explain import explain
from ialgebra.planner.graph import Edge, PlanGraph
from ialgebra.planner.meaning import check_meaning
from ialgebra.planner.rewrite import Rewriting, normalise
from ialgebra.planner.strategy import Strategy
from tests import worlds

HALVES = (Fraction(1, 2), Fraction(1, 2))


def phi(name: str) -> Identity:
    return Identity("f", (Source(name),), (Constant(),), Features(), depth=9999)


X, Y = phi("x"), phi("y")
INNER = Join((X, Y), HALVES)
PLAN = Join((Selection(2, X), Projection(NOTHING, INNER)), HALVES)


def test_operands_come_before_what_reads_them_each_once_left_to_right() -> None:
    assert PlanGraph([PLAN]).order() == (X, Selection(2, X), Y, INNER, Projection(NOTHING, INNER), PLAN)
    two = PlanGraph([Selection(3, Y), PLAN, X, PLAN])
    assert two.order() == (Y, Selection(3, Y), X, Selection(2, X), INNER, Projection(NOTHING, INNER), PLAN)
    assert two.order([Selection(2, X)]) == (X, Selection(2, X))
    assert two.order([X, Y]) == (X, Y)
    assert PlanGraph([]).order() == ()


def test_operands_are_ordered_and_may_stand_at_several_positions() -> None:
    thirds = (Fraction(1, 3),) * 3
    for operands in ((X, Y, X), (Y, X, X), (X, X, Y), (X, Selection(2, X), Y)):
        plan = Join(operands, thirds)
        assert PlanGraph([plan]).operands(plan) == operands
    assert list(PlanGraph([Join((Y, X, Y), thirds)]).edges()) == [
        Edge(Join((Y, X, Y), thirds), Y, (0, 2)),
        Edge(Join((Y, X, Y), thirds), X, (1,)),
    ]
    assert PlanGraph([X]).operands(X) == ()


def test_folding_hands_each_operator_its_operands_results_once_for_all_plans() -> None:
    visits: list[Operator] = []

    def depth(plan: Operator, below: tuple[int, ...]) -> int:
        visits.append(plan)
        assert len(below) == len(plan.operands)
        return 1 + max(below, default=0)

    graph = PlanGraph([PLAN, INNER, PLAN])
    assert graph.fold(depth) == [4, 2, 4]
    assert len(visits) == 6
    assert graph.fold(lambda plan, below: "(" + ",".join(below) + ")" if below else str(plan), [PLAN]) == [
        "((φ f(x)),((φ f(x),φ f(y))))"
    ]


def test_what_more_than_one_operator_or_map_reads_is_shared() -> None:
    assert PlanGraph([PLAN]).shared() == {X}
    assert PlanGraph([PLAN, INNER]).shared() == {X, INNER}
    assert PlanGraph([X, Y]).shared() == set()
    assert PlanGraph([PLAN, X]).below(PLAN) == {X, Y, INNER, Selection(2, X), Projection(NOTHING, INNER)}
    graph = PlanGraph([PLAN])
    graph.add(Selection(1, INNER))
    assert graph.shared() == {X}, "what was added later is none of the query's plans"
    assert graph.shared([PLAN, Selection(1, INNER)]) == {X, INNER}


def test_an_operator_that_is_one_operand_twice_is_read_by_one_operator() -> None:
    twice = Join((X, X), HALVES)
    assert PlanGraph([twice]).shared() == set()


def test_plans_deeper_than_any_recursion_are_checked_rewritten_and_drawn() -> None:
    plan: Operator = X
    for layer in range(10_000, 0, -1):
        plan = Selection(layer, plan)
    graph = PlanGraph([plan])
    assert len(graph.order()) == 10_001
    assert graph.fold(lambda _, below: 1 + sum(below)) == [10_001]
    check(graph)
    check_size(graph)
    assert normalise(plan)[0] is Selection(1, X)
    ((head, chain),) = graph.branches(plan)
    assert (head, len(chain)) == ("", 10_001)


def test_a_tree_shows_what_is_shared_wherever_it_is_read() -> None:
    drawn = [head + "  ".join(map(str, chain)) for head, chain in PlanGraph([PLAN]).branches(PLAN)]
    assert drawn == [
        "⋈ 0.5, 0.5",
        "├─ σ 2  φ f(x)",
        "└─ Π false  ⋈ 0.5, 0.5",
        "   ├─ φ f(x)",
        "   └─ φ f(y)",
    ]


# --- One graph for a query, and nothing beside it

CATALOG = worlds.case("image", seed=4).con._catalog


def plans(text: str) -> list[Operator]:
    return [each.plan for each in binder.bind(reader.parse(text)[0], text, CATALOG).maps]


TEXT = "select 2, 3, * from f(x) join f(y) where w"


def test_plans_as_written_and_their_normal_forms_stand_in_one_graph() -> None:
    text = TEXT
    wanted = binder.bind(reader.parse(text)[0], text, CATALOG).maps
    plan = compile_plan(wanted, CATALOG, Strategy.BEST, 0)
    for output in plan.outputs:
        for root in (output.written, output.normal):
            assert set(plan.graph.order([root])) == set(PlanGraph([root]).order())
    for step in plan.trace:
        assert step.before in plan.graph
        assert step.after in plan.graph


def test_what_plans_share_is_rewritten_once_and_told_for_each_plan() -> None:
    calls: list[Operator] = []

    def push(plan: Operator) -> Operator | None:
        """Π_w (p ⋈ q) = Π_w p ⋈ Π_w q"""
        calls.append(plan)
        match plan:
            case Projection(window, Join(operands, weights)):
                return Join(tuple(Projection(window, p) for p in operands), weights)
        return None

    shared = Projection(NOTHING, INNER)
    graph = PlanGraph([Selection(2, shared), Selection(3, shared), shared])
    rewriting = Rewriting(graph, (push,))
    normal = [rewriting.normal(plan) for plan in graph.plans]
    assert len(calls) == len(set(calls))
    for plan, form in zip(graph.plans, normal, strict=True):
        assert rewriting.trace([plan]) == normalise(plan, (push,))[1] != ()
        assert form is normalise(plan, (push,))[0]
    assert rewriting.trace(graph.plans) == rewriting.trace([shared])


def test_the_steps_of_some_plans_are_those_that_they_alone_would_take() -> None:
    text = "select 2, 1, 3 from (select * from f(x) join f(y) where w) join (select * from g(x) where ring) where w2"
    asked = plans(text) + plans("select * from f(x) join (select * from f(y) join f(x) where w) where w")
    rewriting = Rewriting(PlanGraph(asked))
    normal = [rewriting.normal(plan) for plan in asked]
    for start in range(len(asked)):
        some = asked[start:] + asked[:start]
        alone = [normalise(plan) for plan in some]
        assert rewriting.trace(some) == tuple(dict.fromkeys(step for _, steps in alone for step in steps))
        assert [form for form, _ in alone] == normal[start:] + normal[:start]


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """No networkx: nothing can be asked of the graph."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("there is no graph")

    for name in ("adj", "nodes", "in_degree", "subgraph", "successors", "add_edges_from"):
        monkeypatch.setattr(nx.DiGraph, name, property(fail))
    for name in ("dfs_postorder_nodes", "descendants"):
        monkeypatch.setattr(nx, name, fail)


def test_without_the_graph_there_is_no_check_no_rewriting_no_sharing_and_no_explain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = TEXT
    wanted = list(binder.bind(reader.parse(text)[0], text, CATALOG).maps)
    plan = compile_plan(wanted, CATALOG, Strategy.BEST, 0)

    def fresh() -> PlanGraph:
        return PlanGraph(each.plan for each in wanted)

    graph, rewriting = fresh(), Rewriting(fresh())
    steps: dict[str, Callable[[], object]] = {
        "building": fresh,
        "definedness": lambda: check(graph),
        "size": lambda: check_size(graph),
        "meaning": lambda: check_meaning(graph, CATALOG.interpreter),
        "rewriting": lambda: rewriting.normal(wanted[0].plan),
        "sharing": graph.shared,
        "below": lambda: graph.below(wanted[0].plan),
        "lowering": lambda: lower(wanted, CATALOG, Strategy.BEST),
        "explain": lambda: explain(plan, CATALOG),
    }
    broken(monkeypatch)
    for step in steps.values():
        with pytest.raises(RuntimeError, match="there is no graph"):
            step()

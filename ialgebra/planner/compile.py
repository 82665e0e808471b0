"""The planner's pipeline, in one place: lowered once a query, sized once a round.

`lower`: check → meaning → size check → laws → games and boards. In: plans as written, with their places in the text;
the catalog; a strategy. Out: a `Lowered`, which does not depend on rows.

`size`: designs → search over what is shared → passes. In: a `Lowered`, and what a round may spend. Out: a physical
plan.

Neither runs a model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, NamedTuple

from ..algebra.baselines import Given, Redrawn
from ..algebra.elements import collection_of, one_each, under_clauses
from ..algebra.operators import Identity, Join, Operator, leaves
from ..catalog.catalog import Catalog
from ..errors import IalgebraWarning, Span
from .check import check, check_size
from .cost import overhead
from .decisions import Decision
from .doubts import Use, doubts
from .fuse import Fusion, schedule, sketched, ways
from .games import Answer
from .graph import PlanGraph
from .laws import LAWS, flatten_join
from .lower import Lowering
from .meaning import check_meaning
from .physical import Cost, PhysicalPlan, PlanOutput
from .rewrite import RewriteStep, Rewriting
from .sampling import Effort
from .search import Sketch, decided_alone, search
from .strategy import Strategy
from .tabled import less_saved, with_tables
from .verify import verify

MOST_SEARCHED: Final = 1000  # games of a query up to which plans are searched; larger queries share all they can
ALWAYS_VERIFY: Final = "IALGEBRA_VERIFY"  # the environment variable that makes the planner verify every plan


class Wanted(NamedTuple):
    """One map to answer, or with `each` a map for each element of the plan's collection: the plan as written, the
    query's label for it, and the select item that it belongs to."""

    plan: Operator
    label: str | None
    item: int
    each: bool = False

    @property
    def maps(self) -> int:
        """How many maps it is."""
        collection = collection_of(self.plan) if self.each else None
        return 1 if collection is None else len(collection.inputs)

    def apart(self) -> Iterator[Wanted]:
        """Every map by itself."""
        yield from (Wanted(plan, self.label, self.item) for plan in one_each(self.plan)) if self.each else (self,)


@dataclass(frozen=True, eq=False)
class Lowered:
    """A query's plans with everything that does not depend on the number of rows. Maps are numbered: those of the first
    plan come first, in the order of its collection.

    `normal` are the plans after the laws; they stand in `graph` beside the plans as written. Games and boards are built
    when they are first needed and are then kept, so a query is lowered once, however often it is sized.
    """

    query: str
    wanted: tuple[Wanted, ...]
    graph: PlanGraph
    normal: tuple[Operator, ...]
    strategy: Strategy
    catalog: Catalog
    _rewriting: Rewriting
    _lowering: Lowering
    _answers: dict[tuple[bool, bool], tuple[tuple[Answer, ...], ...]] = field(default_factory=dict)
    _traces: dict[tuple[int, ...], tuple[RewriteStep, ...]] = field(default_factory=dict)
    _laws: dict[tuple[tuple[int, ...], bool], tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def _flat(self) -> tuple[Operator, ...]:
        """The plans as written, but with each chain of weighted joins as one sum (L10).

        A chain of n joins is then read in time proportional to n.
        """
        joins = [each for each in self.graph.order() if isinstance(each, Join)]
        if not any(isinstance(operand, Join) for join in joins for operand in self.graph.operands(join)):
            return self.graph.plans
        flatten = Rewriting(self.graph, (flatten_join,))
        return tuple(map(flatten.normal, self.graph.plans))

    def answers(self, *, rewrite: bool, dual: bool) -> tuple[tuple[Answer, ...], ...]:
        """The answers of every map, by its number: after the laws or as written, with or without duals (L13)."""
        if self._single:
            rewrite, dual = True, True
        if (rewrite, dual) not in self._answers:
            plans = self.normal if rewrite else self._flat
            self._lowering.read(plan for plan, wanted in zip(plans, self.wanted, strict=True) if not wanted.each)
            found: list[tuple[Answer, ...]] = []
            for plan, wanted in zip(plans, self.wanted, strict=True):
                if wanted.each:
                    found += self._lowering.each(plan, merge=rewrite, dual=dual)
                else:
                    found.append(tuple(self._lowering.answers(plan, merge=rewrite, dual=dual)))
            self._answers[rewrite, dual] = tuple(found)
        return self._answers[rewrite, dual]

    @cached_property
    def _single(self) -> bool:
        """Whether each plan, as written and after the laws, is one game of which neither end is an input: then nothing
        can be merged, and no two games are duals."""
        each = [wanted.each for wanted in self.wanted]
        return self.normal == self.graph.plans and all(map(_one_game, self.normal, each))

    @cached_property
    def block(self) -> int | None:
        """How many games are run one after the other, so that few inputs are held of those that are read when they are
        needed; None if there are none. It depends on the size of an input alone."""
        names = {call.inputs[0].name for each in self.wanted for call in leaves(each.plan)}
        return min((size for name in names if (size := self.catalog.input(name).block) is not None), default=None)

    @cached_property
    def maps(self) -> tuple[tuple[int, int | None], ...]:
        """For each map the number of its plan in `wanted`, and of its element, if it is one of a collection."""
        return tuple(
            (number, element if each.each else None)
            for number, each in enumerate(self.wanted)
            for element in range(each.maps)
        )

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided of single games while the plans were read."""
        return self._lowering.decisions

    def doubts(self, masses: Iterable[Use]) -> list[IalgebraWarning]:
        """What the query asks that is legal but rarely meant; `masses` are the windows that its ranking reads."""
        return doubts(self._lowering.asked, masses, self.catalog)

    def trace(self, numbers: tuple[int, ...]) -> tuple[RewriteStep, ...]:
        """The laws of operators that fired in the plans of these maps; none if the strategy does not rewrite."""
        if not self.strategy.rewrite:
            return ()
        plans = tuple(dict.fromkeys(self.maps[number][0] for number in numbers))
        if plans not in self._traces:
            self._traces[plans] = self._rewriting.trace(self.wanted[number].plan for number in plans)
        return self._traces[plans]

    def game_laws(self, numbers: tuple[int, ...], *, dual: bool) -> tuple[str, ...]:
        """The laws of games that fired in these maps; none if the strategy does not rewrite."""
        if not self.strategy.rewrite:
            return ()
        if (numbers, dual) not in self._laws:
            maps = (self.maps[number] for number in numbers)
            read = ((self.normal[plan], element) for plan, element in maps)
            self._laws[numbers, dual] = self._lowering.laws(read, dual=dual)
        return self._laws[numbers, dual]


def lower(
    wanted: Sequence[Wanted],
    catalog: Catalog,
    strategy: Strategy,
    *,
    query: str = "",
    places: Mapping[Operator, Span] | None = None,
    means: bool = True,
) -> Lowered:
    """The plans of `wanted` checked, rewritten by the laws of `strategy`, and lowered to games. Without `means` every
    background is a game of its own, which takes more time, and fewer rows to reach a bound.

    Raises CompositionError where a plan is undefined, ShapeError where tensors do not fit, BudgetError where a plan
    stands for too many maps.
    """
    if not set(strategy.rules) <= set(LAWS):  # a law of the caller may look at the inputs of a plan
        wanted = [one for each in wanted for one in each.apart()]
    graph = PlanGraph(each.plan for each in wanted)
    check(graph, places)
    check_meaning(graph, catalog.interpreter, places)
    check_size(graph)
    rewriting = Rewriting(graph, strategy.rules)
    normal = tuple(rewriting.normal(plan) if strategy.rewrite else plan for plan in graph.plans)
    lowering = Lowering(graph, catalog, means=means, trees=strategy.exact is not False)
    lowered = Lowered(query, tuple(wanted), graph, normal, strategy, catalog, rewriting, lowering)
    lowered.answers(rewrite=strategy.rewrite, dual=strategy.dual is not False)
    return lowered


def size(
    lowered: Lowered,
    seed: int,
    *,
    numbers: Sequence[int] | None = None,
    effort: Effort | None = None,
    strategy: Strategy | None = None,
) -> PhysicalPlan:
    """The physical plan of the plans with these `numbers` (default: all), with the rows that a round's `effort` allows
    (default: the whole budget).

    `strategy` is by default the one that the plans were lowered under. Another one may take other decisions, but must
    have the same laws. Raises BudgetError where the budget is too small for what is asked, or where no budget is large
    enough.
    """
    numbers = tuple(range(len(lowered.maps)) if numbers is None else numbers)
    strategy = strategy or lowered.strategy
    if (strategy.rewrite, strategy.rules) != (lowered.strategy.rewrite, lowered.strategy.rules):
        raise ValueError("plans are sized under the laws by which they were lowered")

    def answers(rewrite: bool, dual: bool) -> list[tuple[Answer, ...]]:
        every = lowered.answers(rewrite=rewrite, dual=dual)
        return [every[number] for number in numbers]

    known_ways = ways(strategy, lowered.catalog)

    fusions: dict[int, Fusion] = {}  # most strategies that are compared have the same answers

    def fusion(rewrite: bool, dual: bool) -> Fusion:
        place = id(lowered.answers(rewrite=rewrite, dual=dual))
        if place not in fusions:
            flat = [answer for each in answers(rewrite, dual) for answer in each]
            fusions[place] = Fusion(flat, seed, lowered.catalog, effort)
        return fusions[place]

    def sketch(taken: Strategy) -> Sketch:
        tally = fusion(taken.rewrite, taken.dual is True).tally(taken)
        return sketched(tally, taken, lowered.catalog, known_ways)

    matters = _matters(answers(strategy.rewrite, strategy.dual is not False))
    taken, best, decisions = search(strategy, matters, sketch)
    taken = replace(taken, block=taken.block or lowered.block)
    jobs, kinds, readings = fusion(taken.rewrite, taken.dual is True).jobs(taken)
    whole = schedule(kinds, taken, lowered.catalog, known_ways)
    passes = with_tables(whole, jobs, taken, lowered.catalog)
    remaining = iter(readings)
    outputs = tuple(
        PlanOutput(
            each.label, each.item, each.plan, lowered.normal[plan], found, tuple([next(remaining) for _ in found])
        )
        for number, found in zip(numbers, answers(taken.rewrite, taken.dual is True), strict=True)
        for plan, _ in (lowered.maps[number],)
        for each in (lowered.wanted[plan],)
    )
    plan = PhysicalPlan(
        lowered.query,
        lowered.graph,
        outputs,
        jobs,
        passes,
        lowered.trace(numbers),
        lowered.game_laws(numbers, dual=taken.dual is True),
        less_saved(best.cost, whole, passes),
        overhead(jobs, len(readings)),
        tuple(_stages(taken, best.cost, sketch, apart=_games_apart(outputs) <= MOST_SEARCHED)),
        (*decisions, *decided_alone(jobs, passes, taken.block), *lowered.decisions),
        taken,
        seed,
    )
    if strategy.verify or (strategy.verify is None and ALWAYS_VERIFY in os.environ):
        verify(plan)
    return plan


def compile_plan(
    wanted: Sequence[Wanted],
    catalog: Catalog,
    strategy: Strategy,
    seed: int,
    *,
    query: str = "",
    places: Mapping[Operator, Span] | None = None,
    effort: Effort | None = None,
) -> PhysicalPlan:
    """`wanted` lowered, and sized once; raises what `lower` and `size` raise."""
    return size(lower(wanted, catalog, strategy, query=query, places=places), seed, effort=effort)


def _one_game(plan: Operator, each: bool) -> bool:
    found = under_clauses(plan)
    if not isinstance(found, Identity) or not (each or len(found.inputs) == 1):
        return False
    return len(found.baselines) == 1 and not isinstance(found.baselines[0], Given | Redrawn)


def _matters(answers: Sequence[Sequence[Answer]]) -> set[str]:
    """The decisions on sharing that can make a difference to a query with these answers."""
    terms = [term for each in answers for answer in each for term in answer.terms]
    directions = [{term.game.hybrids for term in terms if term.board.swapped is each} for each in (True, False)]
    games = len({term.game for term in terms})
    if games > MOST_SEARCHED:
        return set()
    matters = {"dual"} if set.intersection(*directions) else set()
    return matters | {"share", "pack"} if games > 1 else matters


def _games_apart(outputs: Sequence[PlanOutput]) -> int:
    """How many games there would be if a mean over backgrounds were one for each of them."""
    return sum(term.game.hybrids.rows for each in outputs for answer in each.answers for term in answer.terms)


def _stages(
    taken: Strategy, cost: Cost, sketch: Callable[[Strategy], Sketch], *, apart: bool
) -> Iterator[tuple[str, Cost]]:
    """The cost of the plan if it ran operator at a time, and then after each kind of sharing that is added. Unless
    games of each background are built `apart` for this, a mean counts with the rows of all its backgrounds."""
    less = replace(taken, rewrite=taken.rewrite and not apart, dual=False, share=False, pack=False)
    yield "operator at a time", sketch(less).cost
    if taken.rewrite:
        less = replace(less, rewrite=True)
        yield "equal games are one", sketch(less).cost
    if taken.share:
        less = replace(less, share=True, pack=taken.pack)
        yield "one row for every layer, class and model that reads it", sketch(less).cost
    if taken.dual:
        yield "one game for both directions of an anti-join", cost

"""Lowering: a plan becomes answers, each a linear combination of games (the normal form that is executed).

In: the plan graph and the catalog. Out: answers over games whose hybrids are concrete tensors. It runs no model: where
the target is the class that the model will predict, the game holds a `Predicted`. The laws of games are applied here
and in `boards`: equal games are one (L11), φ(x; x, f) = 0 (L12), duality φ(x'; x, f_c) = −φ(x; x', f_c) (L13),
φ(nullify(x, w)) = Π_¬w φ(x) (L14), a collection of baselines is the mean of the maps (L18); and null players are pruned
(L16).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import permutations
from typing import NamedTuple, assert_never

from ..algebra.baselines import Baseline, Given, Redrawn
from ..algebra.edits import Nullify, Substitute
from ..algebra.elements import collection_of, taken
from ..algebra.operators import AntiJoin, Identity, Join, Operator, Projection, Selection
from ..algebra.players import Partition
from ..algebra.sources import Source
from ..algebra.windows import Window, both
from ..catalog.catalog import Catalog
from ..interpreters.protocol import GameInterpreter
from ..kernels.estimators.estimate import Part
from ..kernels.estimators.registry import choose
from .affine import AffineChoices
from .boards import Boards
from .codes import Code, CodeUse, apart, asks_concepts, beside, coded, ends_of, game_of
from .decisions import Decision
from .games import Answer, Board, Game, GameTerm, Hybrids, Leaf, Predicted, Several, merged
from .graph import PlanGraph
from .together import build_together
from .trees import TreeChoices


class _Share(NamedTuple):
    """A leaf's part in a component, before any tensor is read."""

    coefficient: Fraction
    leaf: Leaf
    part: Part = "shapley"
    own: bool = True  # whether it belongs to the operand's own map, or to the map that this is compared with
    asked: Leaf | None = None  # as the query asks, if the leaf is the same over codes

    @property
    def shown(self) -> Leaf:
        """The leaf as the query asks for it."""
        return self.asked or self.leaf

    def asked_of(self, source: Source) -> _Share:
        """The share as the query asks for it, of another input."""
        return self._replace(leaf=self.shown.of(source), asked=None)


_Component = tuple[_Share, ...]


class _Read(NamedTuple):
    """One component of a plan: its shares, one term for each share, and the terms after equal games were merged."""

    shares: _Component
    terms: Sequence[GameTerm]
    kept: Sequence[GameTerm]


class Lowering:
    """Lowers plans of one graph over one catalog. Each tensor is looked up once, and each board and each set of hybrids
    is built once. With `trees`, models of trees are asked for these where that is exact (D2)."""

    def __init__(self, graph: PlanGraph, catalog: Catalog, *, means: bool = True, trees: bool = False) -> None:
        self._graph = graph
        self._means = means
        self._boards = Boards(catalog)
        self._components: dict[Operator, tuple[_Component, ...]] = {}
        self._single: dict[tuple[Operator, bool], tuple[_Component, ...]] = {}
        self._terms: dict[tuple[Operator, bool, bool], list[list[GameTerm]]] = {}
        self._merged: dict[tuple[Operator, bool], list[tuple[GameTerm, ...]]] = {}
        self._each: dict[tuple[Operator, bool, bool], list[_Read]] = {}
        self._interpreter = catalog.interpreter
        self._catalog = catalog
        self._trees = TreeChoices(catalog) if trees else None
        self._affine = AffineChoices(catalog)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided of single games while plans were read."""
        return () if self._trees is None else (*self._affine.decisions, *self._trees.decisions)

    @property
    def asked(self) -> Iterator[tuple[Leaf, Board]]:
        """The leaves of the plans that answers were asked of, each with its board."""
        yield from self._boards.asked.items()
        for leaves, boards in self._boards.asked_together:
            yield from zip(leaves, boards, strict=True)

    def answers(self, plan: Operator, *, merge: bool, dual: bool) -> list[Answer]:
        """The answers of `plan`, one for each component. `merge` makes equal games one; `dual` reads both directions of
        an anti-join from one game (L13).

        Raises ShapeError where operands, windows or masks do not fit together.
        """
        components, every = self._components_of(plan), self._terms_of(plan, dual, merge)
        single = self._single_of(plan, merge)
        summed = self._merged_of(plan, dual) if merge else [tuple(terms) for terms in every]
        answers = []
        for number, (component, shares, terms, kept) in enumerate(zip(components, single, every, summed, strict=True)):
            own = tuple(dict.fromkeys(share.shown for share in component if share.own))
            board = next(term.board for term, share in zip(terms, shares, strict=True) if share.own)
            position = number if len(components) > 1 else None
            baseline = _names(name for leaf in own for name in leaf.against)
            against = _names(share.shown.model for share in component if not share.own) or baseline
            beside = self._beside(component, dual=dual, merge=merge)
            answers.append(Answer(kept, own, board, baseline, against, position, beside))
        return answers

    def each(self, plan: Operator, *, merge: bool, dual: bool) -> Iterator[tuple[Answer, ...]]:
        """As `answers`, for each element of the plan's collection by itself. The plan is read once."""
        collection, first = collection_of(plan), self._first(plan)
        assert collection is not None
        leaf, beside = first[0].shown, tuple[GameTerm, ...]()
        names = _names(leaf.against)
        for source, read in zip(collection.inputs, self._each_of(plan, merge, dual), strict=True):
            shown = (read.shares[0].shown if len(read.shares) == 1 else leaf.of(source),)
            if first[0].asked is not None:
                beside = self._beside([each.asked_of(source) for each in first], dual=dual, merge=merge)
            yield (Answer(tuple(read.kept), shown, read.terms[0].board, names, names, None, beside),)

    def _beside(self, component: Sequence[_Share], *, dual: bool, merge: bool) -> tuple[GameTerm, ...]:
        """The terms of what the models themselves make of the ends of a component that is played on codes; none for
        another."""
        found = []
        for share in component:
            leaf = share.asked or share.leaf
            if not asks_concepts(leaf):
                return ()
            whole = beside(leaf, self._catalog)
            if whole is None:
                return ()
            mine = share._replace(leaf=whole, part="shapley", asked=None)
            found += [self._term(each, dual) for each in self._shares(mine, merge)]
        return merged(found) if merge else tuple(found)

    def _first(self, plan: Operator) -> _Component:
        """The shares of the first element of a plan's collection; those of the others differ in the input alone."""
        first = taken(plan, [0])
        self._graph.add(first)
        (component,) = self._components_of(first)
        return component

    def _each_of(self, plan: Operator, merge: bool, dual: bool) -> list[_Read]:
        if (plan, merge, dual) not in self._each:
            collection, first = collection_of(plan), self._first(plan)
            assert collection is not None
            share = first[0]
            if share.asked is None and not isinstance(share.leaf.baseline, Several):
                leaves = [share.leaf.of(source) for source in collection.inputs]
                prune, swap = self._of_board(share, dual)
                boards = build_together(self._boards, leaves, prune=prune, dual=swap)
                read = [
                    self._alone(_Share(share.coefficient, leaf, share.part, share.own), board)
                    for leaf, board in zip(leaves, boards, strict=True)
                ]
            else:
                of_each = [[self._of_source(one, source) for one in first] for source in collection.inputs]
                self._build_codes(first, of_each, collection.inputs, dual)
                read = [self._summed(each, merge, dual) for each in of_each]
            self._each[plan, merge, dual] = read
        return self._each[plan, merge, dual]

    def _alone(self, share: _Share, board: Board) -> _Read:
        """What one share reads, which is all that its component has."""
        terms = (self._term_on(share, board),)
        return _Read((share,), terms, terms)

    def _build_codes(
        self, first: _Component, of_each: Sequence[Sequence[_Share]], inputs: Sequence[Source], dual: bool
    ) -> None:
        """Build the boards of games over attributes, and those beside them, as far as they differ in inputs alone."""
        for number, share in enumerate(first):
            if share.asked is None:
                continue
            self._build([each[number].leaf for each in of_each], share, dual)
            if (whole := beside(share.asked, self._catalog)) is not None:
                self._build([whole.of(each) for each in inputs], share._replace(leaf=whole), dual)

    def _build(self, leaves: Sequence[Leaf], share: _Share, dual: bool) -> None:
        prune, swap = self._of_board(share, dual)
        several = isinstance(leaves[0].baseline, Several)
        if not several and all(leaf.baseline == leaves[0].baseline for leaf in leaves):
            build_together(self._boards, leaves, prune=prune, dual=swap)

    def _of_source(self, first: _Share, source: Source) -> _Share:
        """The share of another element of a collection."""
        if first.asked is None:
            return first._replace(leaf=first.leaf.of(source))
        asked = first.asked.of(source)
        leaf = replace(coded(asked, self._catalog), estimation=first.leaf.estimation)
        return first._replace(leaf=leaf, asked=asked)

    def _summed(self, component: Sequence[_Share], merge: bool, dual: bool) -> _Read:
        shares = tuple(each for share in component for each in self._shares(share, merge))
        terms = [self._term(each, dual) for each in shares]
        return _Read(shares, terms, merged(terms) if merge and len(terms) > 1 else terms)

    def laws(self, maps: Iterable[tuple[Operator, int | None]], *, dual: bool) -> tuple[str, ...]:
        """The laws of games that merged terms of `maps` into fewer games, in the order of first use. A map is a plan,
        or one element of a plan's collection."""
        every = [each for plan, element in maps for each in self._read_of(plan, element, dual)]
        fired: dict[str, None] = {}
        alone = not any(_may_meet(share.leaf) for each in every for share in each.shares)
        readers: dict[Hybrids, dict[_Reader, None]] = {}
        for each in every:
            fired.update(dict.fromkeys(_fewer(each) if alone else _laws(each, readers)))
        return tuple(fired)

    def _read_of(self, plan: Operator, element: int | None, dual: bool) -> Iterable[_Read]:
        if element is not None:
            return (self._each_of(plan, True, dual)[element],)
        read = (self._single_of(plan, True), self._terms_of(plan, dual, True), self._merged_of(plan, dual))
        return map(_Read, *read)

    def read(self, plans: Iterable[Operator]) -> None:
        """Read the leaves and coefficients of `plans` together, so that an operator which they share is read once."""
        new = tuple(dict.fromkeys(plan for plan in plans if plan not in self._components))
        for plan, lowered in zip(new, self._graph.fold(_lowered, new), strict=True):
            self._components[plan] = tuple(
                tuple(self._estimated(one) for share in each for one in self._coded(share))
                for each in lowered.components
            )

    def _coded(self, share: _Share) -> Iterator[_Share]:
        """The share over codes, if its players are concepts; one for each baseline where the code depends on it."""
        if not asks_concepts(share.leaf):
            yield share
            return
        each = list(apart(share.leaf))
        for leaf in each:
            yield share._replace(coefficient=share.coefficient / len(each), leaf=coded(leaf, self._catalog), asked=leaf)

    def _estimated(self, share: _Share) -> _Share:
        """The share, by trees where its leaf is estimated so (D2)."""
        if self._trees is None or share.part != "shapley":
            return share
        estimation = self._affine.estimation(share.leaf)
        if estimation is share.leaf.estimation:
            estimation = self._trees.estimation(share.leaf)
        return (
            share
            if estimation is share.leaf.estimation
            else share._replace(leaf=replace(share.leaf, estimation=estimation))
        )

    def _components_of(self, plan: Operator) -> tuple[_Component, ...]:
        self.read([plan])
        return self._components[plan]

    def _single_of(self, plan: Operator, merge: bool) -> tuple[_Component, ...]:
        """The components of `plan`, with one share for each game: with `merge`, the mean over baselines of one form is
        one game (L18); else each baseline has its own."""
        if (plan, merge) not in self._single:
            self._single[plan, merge] = tuple(
                tuple(each for share in component for each in self._shares(share, merge))
                for component in self._components_of(plan)
            )
        return self._single[plan, merge]

    def _shares(self, share: _Share, merge: bool) -> Iterator[_Share]:
        if not isinstance(share.leaf.baseline, Several):
            yield share
            return
        each = share.leaf.baseline.baselines
        for leaf in self._alike(share) if merge else (replace(share.leaf, baseline=one) for one in each):
            own = len(leaf.baseline.baselines) if isinstance(leaf.baseline, Several) else 1
            yield share._replace(coefficient=share.coefficient * Fraction(own, len(each)), leaf=leaf)

    def _alike(self, share: _Share) -> Iterable[Leaf]:
        """The leaves of a mean over baselines, each with as many baselines as one game can have."""
        leaf = share.leaf
        assert isinstance(leaf.baseline, Several)
        interpreter = self._interpreter(leaf.estimation.interpreter)
        known = self._catalog.model(leaf.model).known_whole  # else single rows tell whether it has changed
        if not (self._means and interpreter.linear and known):
            return (replace(leaf, baseline=each) for each in leaf.baseline.baselines)
        budget, features = leaf.estimation.budget, math.prod(self._catalog.shape(leaf.source))

        def rows(players: int) -> int:
            if not isinstance(interpreter, GameInterpreter):
                return 1 << features  # whoever plays: it draws no coalitions, so that nothing is saved by parting
            return choose(players, None)[1] if budget is None else min(1 << players, budget)

        return self._boards.alike(leaf, rows)

    def _terms_of(self, plan: Operator, dual: bool, merge: bool) -> list[list[GameTerm]]:
        """For each component of `plan`, one term for each share; equal games are not merged yet."""
        place = plan, dual, merge
        if place not in self._terms:
            single = self._single_of(plan, merge)
            self._terms[place] = [[self._term(share, dual) for share in component] for component in single]
        return self._terms[place]

    def _merged_of(self, plan: Operator, dual: bool) -> list[tuple[GameTerm, ...]]:
        """The terms of `_terms_of`, with equal games merged."""
        if (plan, dual) not in self._merged:
            self._merged[plan, dual] = [merged(terms) for terms in self._terms_of(plan, dual, True)]
        return self._merged[plan, dual]

    def _term(self, share: _Share, dual: bool) -> GameTerm:
        prune, swap = self._of_board(share, dual)
        return self._term_on(share, self._boards.board(share.leaf, prune=prune, dual=swap))

    def _term_on(self, share: _Share, board: Board) -> GameTerm:
        leaf = share.leaf
        game = Game(leaf.model, leaf.layer, board.hybrids, leaf.target, leaf.output, leaf.estimation)
        return GameTerm(share.coefficient, game, board, share.part)

    def _of_board(self, share: _Share, dual: bool) -> tuple[bool, bool]:
        """Whether null players are pruned from a share's board (L16), and whether its inputs may change places."""
        interpreter = self._interpreter(share.leaf.estimation.interpreter)
        if not isinstance(interpreter, GameInterpreter):
            return False, False
        # The literal contrast of two models gives null players a value too, so they are not pruned there.
        shapley = share.part == "shapley"
        return shapley, dual and shapley and interpreter.dual


_Reader = tuple[Source, Window, bool]
"""An input and a window whose game uses some hybrids, and whether it uses them swapped (L13)."""


def _may_meet(leaf: Leaf) -> bool:
    """Whether another leaf may read the game of this one, by the laws that `_laws` looks for."""
    return bool(leaf.source.edits) or isinstance(leaf.baseline, Given | Redrawn)


def _fewer(each: _Read) -> Iterator[str]:
    """The laws that give a component fewer games than terms."""
    if any(term.game.hybrids.players == 0 for term in each.terms):
        yield "φ(x; x, f) = 0 (L12)"
    elif len(each.kept) < len(each.terms):
        yield "equal games are one (L11)"


def _laws(each: _Read, readers: dict[Hybrids, dict[_Reader, None]]) -> Iterator[str]:
    """The laws that give a component fewer games than terms, or games that earlier components have already.

    `readers` holds the games of earlier components; those of this component are added to it.
    """
    yield from _fewer(each)
    for term, share in zip(each.terms, each.shares, strict=True):
        known = readers.setdefault(term.game.hybrids, {})
        own = share.leaf.source, share.leaf.window, term.board.swapped
        for other in known if term.game.hybrids.players else ():
            if other[2] != own[2]:
                yield "φ(x'; x, f_c) = −φ(x; x', f_c) (L13)"
            elif other != own and _absent(other[0], own[0]):
                yield "φ(nullify(x, w)) = Π_¬w φ(x) (L14)"
        known[own] = None


def _absent(*sources: Source) -> bool:
    """Whether all inputs are edits of one registered input, and one of these edits may make features absent."""
    one = len({(source.name, source.index) for source in sources}) == 1
    return one and any(isinstance(edit, Nullify | Substitute) for source in sources for edit in source.edits)


@dataclass(frozen=True)
class _Lowered:
    """A plan below some operator: one component for each operand, and the anti-join that contrasts them, if any.

    The contrast depends on the layers that all selections above have chosen, so it is computed last.
    """

    operands: tuple[_Component, ...]
    contrast: AntiJoin | None = None

    def mapped(self, change: Callable[[Leaf], Leaf]) -> _Lowered:
        changed = (tuple([share._replace(leaf=change(share.leaf)) for share in operand]) for operand in self.operands)
        return _Lowered(tuple(changed), self.contrast)

    @property
    def components(self) -> tuple[_Component, ...]:
        if self.contrast is None:
            return self.operands
        literal = self.contrast.contrast == "literal"
        return tuple(_contrasted(self.operands, k, literal=literal) for k in self.contrast.order)


def _lowered(plan: Operator, below: tuple[_Lowered, ...]) -> _Lowered:
    match plan:
        case Identity():
            share, each = Fraction(1, len(plan.inputs)), plan.baselines
            against = each[0] if len(each) == 1 else Several(each)
            return _Lowered((tuple(_Share(share, _leaf(plan, source, against)) for source in plan.inputs),))
        case Projection(window, _):
            return below[0].mapped(lambda leaf: replace(leaf, window=both(leaf.window, window)))
        case Selection(layer, _):
            return below[0].mapped(lambda leaf: _cut(leaf, layer))
        case Join(_, weights):
            shares = (
                share._replace(coefficient=share.coefficient * weight)
                for each, weight in zip(below, weights, strict=True)
                for share in each.operands[0]
            )
            return _Lowered((tuple(shares),))
        case AntiJoin():
            return _Lowered(tuple(each.operands[0] for each in below), plan)
        case _:
            assert_never(plan)


def _leaf(plan: Identity, source: Source, baseline: Baseline | Several) -> Leaf:
    target = plan.target if plan.target is not None else Predicted(plan.model, source)
    return Leaf(plan.model, source, baseline, plan.players, target, plan.output, plan.estimation, plan.depth)


def _cut(leaf: Leaf, layer: int) -> Leaf:
    """σ_l on one leaf. To select the model's own output changes nothing (L4), nor does to cut a leaf again (L2)."""
    if layer == leaf.depth:
        return leaf
    return replace(leaf, layer=layer if leaf.layer is None else min(layer, leaf.layer))


def _contrasted(operands: tuple[_Component, ...], k: int, *, literal: bool) -> _Component:
    """Component k of an anti-join: operand k explained against each other operand, and the mean of these (Eq. 6)."""
    others = [operand for i, operand in enumerate(operands) if i != k]
    return tuple(
        share._replace(coefficient=share.coefficient / len(others))
        for other in others
        for share in _against_one(operands[k], other, literal=literal)
    )


def codes_of(graph: PlanGraph, catalog: Catalog) -> dict[str, dict[Code, CodeUse]]:
    """The codes that the plans of a graph need, by the model that gives them, and what each is needed for."""
    found: dict[str, dict[Code, CodeUse]] = {}
    games: dict[tuple[str, Partition], tuple[CodeUse, dict[Code, CodeUse]]] = {}
    shares = (share for each in graph.fold(_lowered) for component in each.components for share in component)
    for leaf in dict.fromkeys(share.leaf for share in shares):
        if not asks_concepts(leaf):
            continue
        if (leaf.model, leaf.partition) not in games:
            game = game_of(leaf, catalog)
            use = CodeUse.RUN_ON if game.on_model else CodeUse.INPUT
            games[leaf.model, leaf.partition] = use, found.setdefault(game.codes, {})
        use, own = games[leaf.model, leaf.partition]
        for one in apart(leaf):
            ends = ends_of(one, catalog)
            own[ends.full] = max(use, own.get(ends.full, use))
            for each in ends.empty:
                own.setdefault(each, CodeUse.BASELINE)
    return found


def drawn_on(plan: Operator, catalog: Catalog) -> Callable[[Source], Source]:
    """A function that tells the input on which the map of each element of a plan's collection is drawn: itself, or its
    code."""
    (lowered,) = PlanGraph([plan]).fold(_lowered, [plan])
    leaf = next(share.leaf for share in lowered.operands[0])
    if not asks_concepts(leaf):
        return lambda source: source
    first = next(apart(leaf))
    return lambda source: coded(first.of(source), catalog).source


def explained_against_inputs(graph: PlanGraph, plan: Operator) -> bool:
    """Whether an anti-join in a plan explains an input against another input, instead of a model against a model."""
    (lowered,) = graph.fold(_lowered, [plan])
    pairs = permutations(lowered.operands, 2) if lowered.contrast else ()
    return any(not _compares_models(operand, other) for operand, other in pairs)


def _compares_models(operand: _Component, other: _Component) -> bool:
    return _inputs(operand) == _inputs(other) and _models(operand) != _models(other)


def _against_one(operand: _Component, other: _Component, *, literal: bool) -> Iterable[_Share]:
    """One operand explained against one other: if both read the same inputs with different models, against the other's
    model; else with the other's input as the baseline."""
    if _compares_models(operand, other):
        yield from (share._replace(part="with") if literal else share for share in operand)
        targets = {share.leaf.source: (share.leaf.target, share.leaf.output) for share in operand}
        for share in other:
            target, output = targets[share.leaf.source]
            leaf = replace(share.leaf, target=target, output=output)
            yield _Share(-share.coefficient, leaf, "without" if literal else "shapley", own=False)
    else:
        for mine in operand:
            for theirs in other:
                leaf = replace(mine.leaf, baseline=Given(theirs.leaf.source))
                yield mine._replace(coefficient=mine.coefficient * theirs.coefficient, leaf=leaf)


def _inputs(component: _Component) -> list[Source]:
    return sorted({share.leaf.source for share in component}, key=lambda source: source.key)


def _models(component: _Component) -> set[tuple[str, int | None]]:
    return {(share.leaf.model, share.leaf.layer) for share in component}


def _names(parts: Iterable[object]) -> str:
    """Names for a label; of more than four, the first three and the number of the rest."""
    names = list(dict.fromkeys(map(str, parts)))
    return ", ".join(names if len(names) <= 4 else [*names[:3], f"… {len(names) - 3} more"])

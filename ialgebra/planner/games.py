"""Lowering: a plan becomes answers, each a linear combination of games (the normal form that is executed).

In: an operator tree and the catalog. Out: answers over games whose hybrids are concrete tensors. It runs no model: a
target that the model has yet to predict stays a `Predicted`. The laws of games are applied here: equal games are one
(L11), φ(x; x, f) = 0 (L12), duality φ(x'; x, f_c) = −φ(x; x', f_c) (L13), φ(nullify(x, w)) = Π_¬w φ(x) (L14), a
collection of baselines is the mean of the maps (L18); and null players are pruned (L16).

L14 follows from what names a game: its two ends, x_N and x_∅, and who plays where these differ. A feature outside the
window and one that equals the background come to the same, so a nullified input's game is the projection's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import permutations
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..algebra.baselines import Baseline, Constant, Given, check_baseline, materialise
from ..algebra.edits import Nullify, Substitute
from ..algebra.operators import (
    AntiJoin,
    Estimation,
    Identity,
    Join,
    Operator,
    OutputKind,
    Projection,
    Selection,
    fold,
)
from ..algebra.players import Partition, labels
from ..algebra.sources import Source
from ..algebra.windows import EVERYTHING, Window, both, columns_of, evaluate
from ..catalog.catalog import Catalog, Element, constant_element
from ..interpreters.protocol import GameInterpreter
from ..kernels.estimators.estimate import Part


@dataclass(frozen=True)
class Predicted:
    """The class that the full model predicts for an input, not known before a model runs."""

    model: str
    source: Source


Target = int | Predicted


@dataclass(frozen=True)
class Leaf:
    """One φ of a plan with all that its operators say of it."""

    model: str
    source: Source
    baseline: Baseline
    partition: Partition
    target: Target
    output: OutputKind
    estimation: Estimation
    depth: int | None
    window: Window = EVERYTHING
    layer: int | None = None  # None: the model itself

    @property
    def against(self) -> str:
        """The baseline as people read it."""
        edits = isinstance(self.baseline, Given) and self.baseline.source.edits
        return str(self.baseline.source) if isinstance(self.baseline, Given) and edits else str(self.baseline)


@dataclass(frozen=True, eq=False)
class Hybrids:
    """The inputs x_S of a game: `foreground` on the segments of S, `background` elsewhere (Eq. 1).

    `segments` (int64, broadcastable to the input) numbers the players, −1 where every hybrid is the background. `key`
    names the hybrids by their content: equal ones have one, whatever window or edit they come from. `full` and `empty`
    name the rows x_N and x_∅, which other games may share.
    """

    foreground: Tensor
    background: Tensor
    segments: NDArray[np.int64]
    players: int
    key: str
    full: str
    empty: str


@dataclass(frozen=True)
class Game:
    """v(S): one scalar of one (truncated) model over the hybrids. Equal games are one."""

    model: str
    layer: int | None
    hybrids: Hybrids
    target: Target
    output: OutputKind
    estimation: Estimation


@dataclass(frozen=True, eq=False)
class Board:
    """The players that a map is drawn on: `labels` (int64, input-shaped, −1 outside the window), of which `active`
    differ from the background; the others are null players."""

    labels: NDArray[np.int64]
    active: NDArray[np.int64]
    hybrids: Hybrids
    swapped: bool  # L13: foreground and background have changed places

    @cached_property
    def count(self) -> int:
        return int(self.labels.max(initial=-1)) + 1


@dataclass(frozen=True)
class GameTerm:
    """`coefficient` × the Shapley values (or one half of them) of a game, drawn on a board; swapped boards negate
    (L13)."""

    coefficient: Fraction
    game: Game
    board: Board
    part: Part


@dataclass(frozen=True, eq=False)
class Answer:
    """One map: the sum of its terms, possibly none (a zero map), drawn as `shown` says."""

    terms: tuple[GameTerm, ...]
    shown: tuple[Leaf, ...]
    board: Board
    baseline: str
    against: str  # what an anti-join compares it with: the other inputs, or the other models
    component: int | None


@dataclass(frozen=True)
class _Share:
    """A leaf's part in a component, before tensors are looked at."""

    coefficient: Fraction
    leaf: Leaf
    part: Part = "shapley"
    own: bool = True  # the operand's own map, not what it is compared with


_Component = tuple[_Share, ...]


class Lowering:
    """Lowers plans over one catalog, looking each tensor up, and building each board and each set of hybrids, once.

    `fired` collects the laws of games that applied where games were merged, without and with duals.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.fired: dict[bool, dict[str, None]] = {False: {}, True: {}}
        self._readers: dict[bool, dict[Hybrids, dict[tuple[Source, Window, bool], None]]] = {False: {}, True: {}}
        self._boards = _Boards(catalog)
        self._components: dict[Operator, tuple[_Component, ...]] = {}
        self._interpreter = catalog.interpreter

    def answers(self, plan: Operator, *, merge: bool, dual: bool) -> list[Answer]:
        """The answers of `plan`, one a component; `merge` makes equal games one, `dual` reads both directions of an
        anti-join from one game (L13).

        Raises ShapeError where operands, windows or masks do not fit together.
        """
        if plan not in self._components:
            self._components[plan] = fold(plan, _lowered).components
        components = self._components[plan]
        answers = []
        for number, component in enumerate(components):
            terms = [self._term(share, dual) for share in component]
            kept = merged(terms) if merge else tuple(terms)
            if merge:
                self.fired[dual].update(dict.fromkeys(self._laws(terms, kept, component, dual)))
            own = tuple(dict.fromkeys(share.leaf for share in component if share.own))
            board = next(term.board for term, share in zip(terms, component, strict=True) if share.own)
            position = number if len(components) > 1 else None
            baseline = _names(leaf.against for leaf in own)
            against = _names(share.leaf.model for share in component if not share.own) or baseline
            answers.append(Answer(kept, own, board, baseline, against, position))
        return answers

    def _term(self, share: _Share, dual: bool) -> GameTerm:
        leaf = share.leaf
        interpreter = self._interpreter(leaf.estimation.interpreter)
        if isinstance(interpreter, GameInterpreter):
            # The printed contrast of two models gives null players a value too, so there they stay in the game.
            shapley = share.part == "shapley"
            board = self._boards.board(leaf, prune=shapley, dual=dual and shapley and interpreter.dual)
        else:
            board = self._boards.board(leaf, prune=False, dual=False)
        game = Game(leaf.model, leaf.layer, board.hybrids, leaf.target, leaf.output, leaf.estimation)
        return GameTerm(share.coefficient, game, board, share.part)

    def _laws(
        self, terms: list[GameTerm], kept: tuple[GameTerm, ...], component: _Component, dual: bool
    ) -> Iterator[str]:
        """The laws by which a component's games, or games met before, are one."""
        if any(term.game.hybrids.players == 0 for term in terms):
            yield "φ(x; x, f) = 0 (L12)"
        elif len(kept) < len(terms):
            yield "equal games are one (L11)"
        for term, share in zip(terms, component, strict=True):
            readers = self._readers[dual].setdefault(term.game.hybrids, {})
            own = share.leaf.source, share.leaf.window, term.board.swapped
            for other in readers if term.game.hybrids.players else ():
                if other[2] != own[2]:
                    yield "φ(x'; x, f_c) = −φ(x; x', f_c) (L13)"
                elif other != own and _absent(other[0], own[0]):
                    yield "φ(nullify(x, w)) = Π_¬w φ(x) (L14)"
            readers[own] = None


def _absent(*sources: Source) -> bool:
    """Whether inputs are one registered input, of which an edit may have made something absent."""
    one = len({(source.name, source.index) for source in sources}) == 1
    return one and any(isinstance(edit, Nullify | Substitute) for source in sources for edit in source.edits)


def merged(terms: Iterable[GameTerm]) -> tuple[GameTerm, ...]:
    """Equal games are one: their coefficients add up, a sum of zero drops out (L11, L12); in one order for every
    writing."""
    sums: dict[tuple[Game, Board, Part], Fraction] = {}
    for term in terms:
        place = (term.game, term.board, term.part)
        sums[place] = sums.get(place, Fraction(0)) + term.coefficient
    kept = [GameTerm(share, *place) for place, share in sums.items() if share]
    return tuple(sorted(kept, key=lambda term: (game_key(term.game), term.part, term.board.swapped)))


def game_key(game: Game) -> tuple[str, ...]:
    """A total order of games by content, the same in every process."""
    target = game.target if isinstance(game.target, int) else f"{game.target.model}({game.target.source.text})"
    parts = (game.hybrids.key, game.model, game.layer or 0, target, game.output, game.estimation.key)
    return tuple(f"{part:08d}" if isinstance(part, int) else part for part in parts)


@dataclass(frozen=True)
class _Lowered:
    """A plan below some operator: one component an operand, and the anti-join that is to contrast them, if any.

    What is contrasted with what depends on the layers in force after all selections above, so that comes last.
    """

    operands: tuple[_Component, ...]
    contrast: AntiJoin | None = None

    def mapped(self, change: Callable[[Leaf], Leaf]) -> _Lowered:
        changed = tuple(
            tuple(replace(share, leaf=change(share.leaf)) for share in operand) for operand in self.operands
        )
        return replace(self, operands=changed)

    @property
    def components(self) -> tuple[_Component, ...]:
        if self.contrast is None:
            return self.operands
        literal = self.contrast.contrast == "literal"
        return tuple(_contrasted(self.operands, k, literal=literal) for k in self.contrast.order)


def _lowered(plan: Operator, below: tuple[_Lowered, ...]) -> _Lowered:
    match plan:
        case Identity():
            share = Fraction(1, len(plan.inputs) * len(plan.baselines))
            leaves = (_leaf(plan, source, baseline) for source in plan.inputs for baseline in plan.baselines)
            return _Lowered((tuple(_Share(share, leaf) for leaf in leaves),))
        case Projection(window, _):
            return below[0].mapped(lambda leaf: replace(leaf, window=both(leaf.window, window)))
        case Selection(layer, _):
            return below[0].mapped(lambda leaf: _cut(leaf, layer))
        case Join(_, weights):
            shares = (
                replace(share, coefficient=share.coefficient * weight)
                for each, weight in zip(below, weights, strict=True)
                for share in each.operands[0]
            )
            return _Lowered((tuple(shares),))
        case AntiJoin():
            return _Lowered(tuple(each.operands[0] for each in below), plan)
        case _:
            assert_never(plan)


def _leaf(plan: Identity, source: Source, baseline: Baseline) -> Leaf:
    target = plan.target if plan.target is not None else Predicted(plan.model, source)
    return Leaf(plan.model, source, baseline, plan.players, target, plan.output, plan.estimation, plan.depth)


def _cut(leaf: Leaf, layer: int) -> Leaf:
    """σ_l on one leaf: the model's own output is no cut (L4), and an earlier cut stays (L2)."""
    if layer == leaf.depth:
        return leaf
    return replace(leaf, layer=layer if leaf.layer is None else min(layer, leaf.layer))


def _contrasted(operands: tuple[_Component, ...], k: int, *, literal: bool) -> _Component:
    """Component k of an anti-join: the mean over the other operands of operand k explained against each (Eq. 6)."""
    others = [operand for i, operand in enumerate(operands) if i != k]
    return tuple(
        replace(share, coefficient=share.coefficient / len(others))
        for other in others
        for share in _against_one(operands[k], other, literal=literal)
    )


def explained_against_inputs(plan: Operator) -> bool:
    """Whether an anti-join in `plan` makes an input the baseline of another, and not only models each other's."""
    lowered = fold(plan, _lowered)
    pairs = permutations(lowered.operands, 2) if lowered.contrast else ()
    return any(not _compares_models(operand, other) for operand, other in pairs)


def _compares_models(operand: _Component, other: _Component) -> bool:
    return _inputs(operand) == _inputs(other) and _models(operand) != _models(other)


def _against_one(operand: _Component, other: _Component, *, literal: bool) -> Iterable[_Share]:
    """One operand against one other: against its input as the baseline, or, on the same inputs, against its model."""
    if _compares_models(operand, other):
        yield from (replace(share, part="with") if literal else share for share in operand)
        targets = {share.leaf.source: (share.leaf.target, share.leaf.output) for share in operand}
        for share in other:
            target, output = targets[share.leaf.source]
            leaf = replace(share.leaf, target=target, output=output)
            yield _Share(-share.coefficient, leaf, "without" if literal else "shapley", own=False)
    else:
        for mine in operand:
            for theirs in other:
                leaf = replace(mine.leaf, baseline=Given(theirs.leaf.source))
                yield replace(mine, coefficient=mine.coefficient * theirs.coefficient, leaf=leaf)


def _inputs(component: _Component) -> list[Source]:
    return sorted({share.leaf.source for share in component}, key=lambda source: source.key)


def _models(component: _Component) -> set[tuple[str, int | None]]:
    return {(share.leaf.model, share.leaf.layer) for share in component}


def _names(parts: Iterable[object]) -> str:
    """What is named in a label: of many the first three, and how many more."""
    names = list(dict.fromkeys(map(str, parts)))
    return ", ".join(names if len(names) <= 4 else [*names[:3], f"… {len(names) - 3} more"])


class _Boards:
    """Looks tensors up and builds each board, and each set of hybrids, once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.boards: dict[tuple[object, ...], Board] = {}
        self.players: dict[tuple[object, ...], NDArray[np.int64]] = {}
        self.columns: dict[Source, dict[str, NDArray[np.generic]]] = {}
        self.backgrounds: dict[tuple[Source, Baseline], Element] = {}
        self.interned: dict[str, Hybrids] = {}

    def board(self, leaf: Leaf, *, prune: bool, dual: bool) -> Board:
        dual = dual and isinstance(leaf.baseline, Given)
        place = (leaf.source, leaf.baseline, leaf.window, leaf.partition, prune, dual)
        if place not in self.boards:
            self.boards[place] = self._board(leaf, prune, dual)
        return self.boards[place]

    def _board(self, leaf: Leaf, prune: bool, dual: bool) -> Board:
        numbers = self._players(leaf)
        x = self.catalog.element(leaf.source)
        background = self._background(leaf, x)
        if x.tensor.dtype != background.tensor.dtype:  # hybrids hold both as they are
            common = torch.promote_types(x.tensor.dtype, background.tensor.dtype)
            x, background = (Element(each.tensor.to(common)) for each in (x, background))
        differs = np.asarray(x.array != background.array)
        seen = differs  # one plane where labels are the same in all channels
        if len(numbers) < len(differs):
            seen = np.asarray(differs.any(axis=0, keepdims=True))
        count = int(numbers.max(initial=-1)) + 1
        touched = np.zeros(count + 1, dtype=bool)  # players that differ from the background; the last: what is outside
        touched[numbers[seen]] = True
        plays, covers = touched[:-1] if prune else np.ones(count, dtype=bool), not touched[-1]
        segments = numbers if plays.all() else np.append(np.where(plays, np.cumsum(plays) - 1, -1), -1)[numbers]
        full = x
        if not covers:
            plays_here = torch.from_numpy(segments) >= 0
            full = Element(torch.where(plays_here, x.tensor, background.tensor).contiguous())
        swapped = dual and full.digest > background.digest
        if swapped:
            x, background, full = background, full, background
        players = np.where(differs, segments, -1) if prune else segments
        hybrids = self._interned(x, background, full, segments, players, int(plays.sum()))
        return Board(np.broadcast_to(numbers, differs.shape), np.flatnonzero(plays), hybrids, swapped)

    def _players(self, leaf: Leaf) -> NDArray[np.int64]:
        place = (leaf.source, leaf.window, leaf.partition)
        if place not in self.players:
            entry = self.catalog.input(leaf.source.name)
            content = self.catalog.element(leaf.source).array
            if leaf.source not in self.columns:
                self.columns[leaf.source] = columns_of(entry.kind, content, entry.feature_names)
            window = evaluate(leaf.window, self.columns[leaf.source])
            found = labels(leaf.partition, entry.kind, content, window, self.catalog.mask)
            self.players[place] = found
        return self.players[place]

    def _background(self, leaf: Leaf, x: Element) -> Element:
        place = (leaf.source, leaf.baseline)
        if place not in self.backgrounds:
            if isinstance(leaf.baseline, Given):
                check_baseline(leaf.baseline, x.tensor, lambda source: self.catalog.element(source).tensor)
                self.backgrounds[place] = self.catalog.element(leaf.baseline.source)
            elif isinstance(leaf.baseline, Constant):
                self.backgrounds[place] = constant_element(leaf.baseline, x.tensor.shape, x.tensor.dtype)
            else:
                self.backgrounds[place] = Element(
                    materialise(
                        leaf.baseline,
                        x.tensor,
                        lambda source: self.catalog.element(source).tensor,
                        lambda name: [each.tensor for each in self.catalog.input(name).elements],
                    )
                )
        return self.backgrounds[place]

    def _interned(
        self,
        x: Element,
        background: Element,
        full: Element,
        segments: NDArray[np.int64],
        named: NDArray[np.int64],
        players: int,
    ) -> Hybrids:
        """The one object for hybrids of this content: of their ends, and of who is `named` where these differ."""
        narrow = np.int16 if players < 1 << 15 else np.int32
        digest = hashlib.blake2b(named.astype(narrow).tobytes(), digest_size=12)
        digest.update(f"{full.digest}|{background.digest}|{named.shape}|{players}".encode())
        key = digest.hexdigest()
        if key not in self.interned:
            ends = (full.digest, background.digest)
            self.interned[key] = Hybrids(x.tensor, background.tensor, segments, players, key, *ends)
        return self.interned[key]

"""One case of a law: plans are drawn, run in new sessions, and compared. Out: nothing, or `Broken`.

The two sides of a rewrite law are run in different ways. If answers are exact, one side runs as written and the other
optimised, and they must agree up to rounding; if answers are sampled, they must agree bit for bit. The meaning of a
plan is computed from queries without operators, one for each of its games (`definition.parts`): on x_w, on f_l, against
the baseline in force. So it does not depend on the code that composes maps, and holds for any interpreter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeVar

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy
from torch import nn

from ..algebra.windows import sql_name
from ..errors import BindError, BudgetError, CompositionError, IalgebraError
from ..kernels.estimators.registry import METHODS
from ..models.network import Model
from ..planner.strategy import PRESETS, Strategy
from ..results.attribution import Attribution
from ..system.arrays import Floats
from . import strategies
from .definition import DefinedGame, columns, parts
from .plans import DrawnCall, DrawnEdit, DrawnWindow, FeatureColumns, Plan, query
from .world import World

SIGMAS = 6.0
"""How many standard errors a sampled answer may differ from the expected one."""

WRITTEN = Strategy.AS_WRITTEN
BEST = replace(
    Strategy.BEST, measured=False, mode="eager"
)  # without choices by timing, so that answers repeat bit for bit

_T = TypeVar("_T")
_REFUSALS = (BindError, CompositionError, BudgetError)


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison: in words how it was computed, its maps, and the standard errors of their values."""

    said: str
    maps: tuple[Floats, ...]
    errors: tuple[Floats, ...]
    answers: tuple[Attribution, ...] = ()


@dataclass(frozen=True, eq=False)
class Counterexample:
    """A case for which a law does not hold: the claim, its sides, and code that reproduces it."""

    claim: str
    sides: tuple[Side, ...]
    difference: float | None
    reproduce: str

    def __str__(self) -> str:
        lines = [self.claim]
        for side in self.sides:
            lines.append(f"  {side.said}")
            lines += [f"    {_shown(each)}" for each in side.maps]
        if self.difference is not None:
            lines.append(f"  largest difference: {self.difference:.3g}")
        return "\n".join([*lines, "  to see it again:", *(f"    {line}" for line in self.reproduce.split("\n"))])


class Broken(Exception):
    """A law does not hold for one case."""

    def __init__(self, found: Counterexample) -> None:
        super().__init__(str(found))
        self.found = found


def _shown(map_: Floats) -> str:
    """A map in one line: its distinct values, because most values are spread over many features."""
    flat = map_.ravel()
    if flat.size <= 16:
        return np.array2string(map_, precision=6, max_line_width=200).replace("\n", " ")
    values, counts = np.unique(flat, return_counts=True)
    shown = ", ".join(f"{value:.6g} × {count}" for value, count in list(zip(values, counts, strict=True))[:8])
    return f"{'×'.join(map(str, map_.shape))}: {shown}{', …' if len(values) > 8 else ''}"


class Refused(Exception):
    """The engine refuses a query, because it has no meaning for the interpreter or its budget is too small."""


@dataclass(eq=False)
class CaseRun:
    """What the cases of one law share: the world, the method asked for, and a cache of answers about single games."""

    world: World
    using: str | None
    again: str
    known: dict[tuple[object, ...], Attribution] = field(default_factory=dict)
    refusals: dict[str, None] = field(default_factory=dict)
    compared: int = 0

    @property
    def method(self) -> str | None:
        """The method's name; None leaves it to the planner."""
        return None if self.using is None else self.using.split("(")[0].strip().lower()

    @property
    def shapley(self) -> bool:
        """Whether the answers are Shapley values."""
        return self.method in (None, "shapley", *METHODS)

    @property
    def epsilon(self) -> float:
        """The largest relative difference that counts as rounding."""
        module = self.world.network.module
        floats = [each.dtype for each in module.parameters()] if isinstance(module, nn.Module) else []
        inputs = [self.world.x(name).dtype for name in self.world.names]
        known = [each for each in (*floats, *inputs) if each.is_floating_point]
        return 1e-9 if known and all(each == torch.float64 for each in known) and floats else 3e-5


@dataclass(eq=False)
class Case:
    """One case. Everything random is drawn by hypothesis, so that it can shrink a failure."""

    run: CaseRun
    data: DataObject
    sampled: bool
    clauses: str
    seed: int
    sides: dict[tuple[str, str], Side] = field(default_factory=dict)

    @classmethod
    def of(cls, run: CaseRun, data: DataObject) -> Case:
        """A case that asks for exact answers or for few rows, unless the user chose a method."""
        seed = data.draw(st.integers(0, 1 << 16))
        if run.using is not None and (not run.shapley or run.method == "exact" or "budget" in run.using.lower()):
            return cls(run, data, run.shapley and run.method != "exact", f"using {run.using}", seed)
        sampled = run.using is not None or data.draw(st.booleans())
        if not sampled:
            return cls(run, data, False, "using exact()", seed)
        budget = data.draw(st.sampled_from(_BUDGETS))
        return cls(run, data, True, f"using {run.using or 'shapley()'} budget {budget}", seed)

    # --- what is drawn

    @property
    def world(self) -> World:
        return self.run.world

    def draw(self, strategy: SearchStrategy[_T]) -> _T:
        return self.data.draw(strategy)

    def one_of(self, *values: _T) -> _T:
        return self.draw(st.sampled_from(values))

    def window(self) -> DrawnWindow:
        return self.draw(self.world.windows)

    def layer(self) -> int:
        return self.draw(st.sampled_from(self.world.layers))

    def names(self, least: int = 1) -> list[str]:
        """The names of distinct inputs, in random order."""
        most = max(least, min(3, len(self.world.names)))
        return self.draw(st.lists(st.sampled_from(self.world.names), min_size=least, max_size=most, unique=True))

    def calls(self, *names: str, edits: SearchStrategy[DrawnEdit] | None = None) -> SearchStrategy[DrawnCall]:
        world = self.world
        classes = world.network.class_count
        read = classes <= _MOST_CLASSES and world.network.outputs.meaning != "values"
        outputs = ("logit", "probability", "log_odds") if read else ("logit",)
        players = st.sampled_from((world.many if self.sampled else world.few) or world.few)
        return strategies.calls(
            [world.model], names or world.names, players, world.names, range(min(3, classes)), outputs, edits
        )

    def call(self, *names: str) -> DrawnCall:
        return self.draw(self.calls(*names))

    def columns(self, name: str) -> FeatureColumns:
        """The columns of an input that predicates read."""
        return columns(self.world.x(name))

    def plan(self, least: int = 0, *, antijoins: bool = True, depth: int = 1) -> Plan:
        """A plan that is defined, and is also defined under σ_least."""
        layers, windows = self.world.layers, self.world.windows
        several = antijoins and len(self.world.names) > 1
        return self.draw(strategies.plans(self.calls(), layers, windows, least=least, antijoins=several, depth=depth))

    # --- what is asked

    def asked(self, plan: Plan, strategy: Strategy) -> Side:
        """The engine's answers to a plan, cached; raises Refused if the engine refuses it."""
        text = query(plan, self.clauses)
        if (text, strategy.name) not in self.sides:
            side = self._side(self.said(text, strategy), lambda: self.world.ask(text, strategy, self.seed))
            self.sides[text, strategy.name] = side
        return self.sides[text, strategy.name]

    def answered(self, text: str) -> Side:
        """The engine's answers to a query; raises Refused if the engine refuses it."""
        return self._side(self.said(text, BEST), lambda: self.world.ask(text, BEST, self.seed))

    def _side(self, said: str, ask: Callable[[], tuple[Attribution, ...]]) -> Side:
        try:
            answers = ask()
        except _REFUSALS as error:
            raise Refused(error.message) from error
        except Exception as error:  # an engine must answer or refuse; any other error breaks the law
            message = error.message if isinstance(error, IalgebraError) else str(error)
            self.fail(f"{type(error).__name__}: {message}", Side(said, (), ()))
        return Side(said, tuple(each.map for each in answers), tuple(each.stderr for each in answers), answers)

    def said(self, text: str, strategy: Strategy) -> str:
        return f"con.sql({text!r}, seed={self.seed}, strategy={strategy.name!r})"

    def posed(self, game: DefinedGame, model: Model | None = None, strategy: Strategy = BEST) -> Side:
        """φ of one game, by a query without operators: of x_w, on f_l or another model, against the game's baseline."""
        if model is None and game.layer is not None:
            model = self.world.ground.net.at(game.layer)
        text = (
            f"select * from {sql_name(self.world.model)}(inside, players => parts, baseline => outside, "
            f"target => {game.target}, output => '{game.call.output}') {self.clauses}"
        )
        inputs = {"inside": game.full, "outside": game.baseline, "parts": torch.from_numpy(game.players + 1)}
        said = f"{text}, where {type(model).__name__ if model is not None else 'the model'} is asked about one game"
        return self._side(said, lambda: self.world.ask_of(model, inputs, text, strategy, self.seed))

    def plain(self, game: DefinedGame) -> Attribution:
        """φ of one game, run as written. It is cached, because cases have many games in common."""
        digest = hashlib.blake2b(digest_size=16)
        for each in (game.full, game.baseline, torch.from_numpy(game.players)):
            digest.update(f"{each.dtype}".encode() + each.contiguous().numpy().tobytes())
        seed = self.seed if self.sampled or not self.run.shapley else None
        key = (digest.digest(), game.layer, game.target, game.call.output, self.clauses, seed)
        if key not in self.run.known:
            if len(self.run.known) >= _MOST_KNOWN_ANSWERS:
                self.run.known.clear()
            (self.run.known[key],) = self.posed(game, strategy=WRITTEN).answers
        return self.run.known[key]

    # --- what is claimed

    def equal(
        self,
        one: Plan,
        other: Plan,
        *,
        order: Sequence[int] | None = None,
        sign: int = 1,
        claim: str = "",
        seen: Callable[[Attribution], Attribution] | None = None,
    ) -> None:
        """Both plans have the same answers: the k-th of `one` is the `order[k]`-th of `other`, times `sign`. `seen`
        converts each answer before they are compared. Raises Refused if neither plan is defined, or if the budget is
        too small for one of them."""
        sides = []
        refused = []
        for plan, strategy in ((one, BEST if self.sampled else WRITTEN), (other, BEST)):
            try:
                sides.append(self.asked(plan, strategy) if seen is None else _seen(self.asked(plan, strategy), seen))
            except Refused as refusal:
                if isinstance(
                    refusal.__cause__, BudgetError
                ):  # a law says nothing about a case whose budget is too small
                    raise
                refused.append(str(refusal))
                sides.append(Side(f"{self.said(query(plan, self.clauses), strategy)}: {refusal}", (), ()))
        if len(refused) == 2:
            raise Refused(refused[0])
        first, second = sides
        if not refused:
            kept = range(len(second.maps)) if order is None else order
            second = replace(
                second,
                maps=tuple(sign * second.maps[k] for k in kept),
                errors=tuple(second.errors[k] for k in kept),
                answers=tuple(second.answers[k] for k in kept),
            )
        if refused or len(first.maps) != len(second.maps):
            self.fail(claim or "one side is defined, the other is not", first, second)
        self.run.compared += 1
        if self.sampled:
            if not all(_same_bits(a, b, sign) for a, b in zip(first.answers, second.answers, strict=True)):
                self.fail(claim or "the estimates of both sides are not the same to the bit", first, second)
        else:
            self.close(first, second, claim or "both sides differ")

    def means(self, plan: Plan, claim: str = "the answer is not what its parts add up to") -> None:
        """The optimised answer is the weighted sum of its games, each run by a query of its own."""
        found = self.asked(plan, BEST)
        maps, errors = [], []
        for component in parts(plan, self.world.ground):
            answers = [self.plain(game) for game in component]
            maps.append(np.sum([g.weight * a.map for g, a in zip(component, answers, strict=True)], axis=0))
            errors.append(np.concatenate([g.weight * a.stderr for g, a in zip(component, answers, strict=True)]))
        said = "the weighted sum of its games, each asked for without an operator: on x_w, on f_l, against its baseline"
        self.run.compared += 1
        self.close(found, Side(said, tuple(maps), tuple(errors)), claim)

    def close(self, one: Side, other: Side, claim: str, *, scale: float | None = None) -> None:
        """The maps agree up to rounding and what their standard errors allow."""
        size = self.world.magnitude if scale is None else scale
        if len(one.maps) != len(other.maps):
            self.fail(claim, one, other)
        for a, b, e, f in zip(one.maps, other.maps, one.errors, other.errors, strict=True):
            allowed = self.run.epsilon * (np.abs(b).sum() + size) + SIGMAS * (np.abs(e).sum() + np.abs(f).sum())
            if a.shape != b.shape or not np.abs(a - b).sum() <= allowed:
                self.fail(claim, replace(one, maps=(a,)), replace(other, maps=(b,)))

    @staticmethod
    def numbers(said: str, number: float, error: float = 0.0) -> Side:
        """A number as a side."""
        return Side(said, (np.array([number]),), (np.array([error]),))

    @staticmethod
    def sums(answer: Attribution, game: DefinedGame) -> Floats:
        """The sum of a map over the features of each player of a game."""
        return np.array([answer.map[game.features(player)].sum() for player in range(game.count)])

    def undefined(self, plan: Plan, claim: str) -> None:
        """The plan is a CompositionError under every strategy."""
        text = query(plan)
        for strategy in PRESETS.values():
            try:
                self.world.explain(text, strategy)
            except CompositionError:
                self.run.compared += 1
                continue
            except IalgebraError as error:
                said = f"{self.said(text, strategy)}: {type(error).__name__}: {error.message}"
                self.fail(claim, Side(said, (), ()))
            self.fail(claim, Side(f"{self.said(text, strategy)}: there is a plan for it", (), ()))

    def defined(self, plan: Plan, claim: str) -> None:
        """The plan is no CompositionError."""
        text = query(plan)
        try:
            self.world.explain(text, BEST)
        except IalgebraError as error:
            self.fail(claim, Side(f"{self.said(text, BEST)}: {error.message}", (), ()))
        self.run.compared += 1

    def fail(self, claim: str, *sides: Side) -> NoReturn:
        """Raises Broken."""
        pairs = [(a, b) for a, b in zip(sides[0].maps, sides[-1].maps, strict=False) if a.shape == b.shape]
        difference = max((float(np.abs(a - b).max(initial=0.0)) for a, b in pairs), default=None)
        shown = [side.said for side in sides if side.said.startswith("con.")]
        setup = [line for name, line in self.world.told.items() if any(name in said for said in shown)]
        raise Broken(Counterexample(claim, sides, difference, "\n".join([*setup, *shown, self.run.again])))


_BUDGETS = (20, 12, 40)  # rows of a sampled game: for permutations, for less than one permutation, for a regression
_MOST_KNOWN_ANSWERS = 512  # in the cache of a run
_MOST_CLASSES = 20  # of a model that is asked for probabilities: with more, most are too small beside rounding


def _seen(side: Side, seen: Callable[[Attribution], Attribution]) -> Side:
    answers = tuple(map(seen, side.answers))
    return Side(side.said, tuple(each.map for each in answers), tuple(each.stderr for each in answers), answers)


def _same_bits(one: Attribution, other: Attribution, sign: int) -> bool:
    pairs = [(one.map, sign * other.map), (one.values, sign * other.values), (one.stderr, other.stderr)]
    return all(np.array_equal(a, b) for a, b in [*pairs, (one.players, other.players)])

"""Planted defects: the engine's own functions, each with one word changed. In: a defect; out: a spoilt engine.

The changed source is compiled, and the functions that came out different lend their code to the engine's own, so that
everybody who imported these meets the defect.
"""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ialgebra.algebra.kinds import columns_of
from ialgebra.algebra.windows import EVERYTHING, evaluate


@dataclass(frozen=True)
class Defect:
    """`old` becomes `new` in a module; the laws of `breaks` have to notice, those of `spares` may not."""

    name: str
    module: str
    old: str
    new: str
    breaks: tuple[str, ...]
    spares: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    def plant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = importlib.import_module(f"ialgebra.{self.module}")
        source = inspect.getsource(module)
        assert self.old in source, f"{module.__name__} no longer says {self.old!r}; plant the defect elsewhere"
        spoilt = {"__name__": module.__name__, "__package__": module.__package__, "__file__": module.__file__}
        exec(compile(source.replace(self.old, self.new, 1), str(module.__file__), "exec"), spoilt)
        changed = 0
        for mine, others in _functions(vars(module), spoilt):
            if mine.__code__ != others.__code__ and mine.__code__.co_freevars == others.__code__.co_freevars:
                monkeypatch.setattr(mine, "__code__", others.__code__)
                changed += 1
        assert changed == 1, f"{self.name} changed {changed} functions"


def _functions(
    mine: dict[str, object] | types.MappingProxyType[str, object], spoilt: dict[str, object]
) -> Iterator[tuple[types.FunctionType, types.FunctionType]]:
    for name, value in list(mine.items()):
        other = spoilt.get(name)
        value, other = (getattr(each, "__wrapped__", each) for each in (value, other))
        value, other = (each.func if hasattr(each, "func") else each for each in (value, other))
        if isinstance(value, types.FunctionType) and isinstance(other, types.FunctionType):
            if value.__module__ == spoilt["__name__"] and value.__code__.co_filename == other.__code__.co_filename:
                yield value, other
        elif isinstance(value, type) and isinstance(other, type) and value.__module__ == spoilt["__name__"]:
            inner = dict(vars(other)) | {"__name__": spoilt["__name__"]}
            yield from _functions(vars(value), inner)


"""The engine's text as it stands, and what it becomes. Where the engine is rewritten, a defect moves along."""

DEFECTS = (
    Defect(
        "a window is lost below a layer", "planner.laws",
        "return Selection(layer, Projection(window, p))", "return Selection(layer, p)",
        ("L1",), ("L12", "L16", "L17"),
    ),
    Defect(
        "l < l' instead of l ≤ l'", "planner.check",
        "layer > lowest:", "layer >= lowest:",
        ("L2",), ("L1", "L3", "L7"),
    ),
    Defect(
        "one layer too deep is let through", "planner.check",
        "layer > lowest:", "layer > lowest + 1:",
        ("L2",), ("L3", "L7", "L9"),
    ),
    Defect(
        "the inner layer wins", "planner.laws",
        "return Selection(outer, p)", "return Selection(inner, p)",
        ("L2",), ("L6", "L8", "L17"),
    ),
    Defect(
        "the inner window is forgotten", "planner.laws",
        "return Projection(both(outer, inner), p)", "return Projection(outer, p)",
        ("L3",), ("L5", "L13", "L17"),
    ),
    Defect(
        "any layer passes for the output", "planner.laws",
        "if layer == first_leaf(p).depth:", "if first_leaf(p).depth:",
        ("L1",), ("L4", "L5", "L16"),
    ),
    Defect(
        "every window passes for everything", "planner.laws",
        "if window is EVERYTHING:", "if window is not EVERYTHING:",
        ("L3",), ("L5", "L16", "L17"),
    ),
    Defect(
        "not false is nothing", "algebra.windows.nodes",
        "            return EVERYTHING\n    return Not(window)", "            return NOTHING\n    return Not(window)",
        ("L4",), ("L1", "L10", "L17"),
    ),
    Defect(
        "a join over an anti-join is accepted", "planner.check",
        "if anti:", "if anti and join:",
        ("L5",), ("L2", "L8", "L12"),
    ),
    Defect(
        "an anti-join over a join is accepted", "planner.check",
        "if join or anti:", "if anti:",
        ("L5",), ("L2", "L6", "L12"),
    ),
    Defect(
        "a window reaches the first operand of a join only", "planner.laws",
        "return Join(tuple(Projection(window, p) for p in operands), weights)",
        "return Join((Projection(window, operands[0]), *operands[1:]), weights)",
        ("L6",), ("L8", "L13", "L17"),
    ),
    Defect(
        "a layer reaches the first operand of a join only", "planner.laws",
        "return Join(tuple(Selection(layer, p) for p in operands), weights)",
        "return Join((Selection(layer, operands[0]), *operands[1:]), weights)",
        ("L7",), ("L9", "L13", "L17"),
    ),
    Defect(
        "a window reaches the first operand of an anti-join only", "planner.laws",
        "AntiJoin(tuple(Projection(window, p) for p in operands), order, contrast)",
        "AntiJoin((Projection(window, operands[0]), *operands[1:]), order, contrast)",
        ("L8",), ("L6", "L10", "L17"),
    ),
    Defect(
        "a layer reaches the first operand of an anti-join only", "planner.laws",
        "AntiJoin(tuple(Selection(layer, p) for p in operands), order, contrast)",
        "AntiJoin((Selection(layer, operands[0]), *operands[1:]), order, contrast)",
        ("L9",), ("L7", "L10", "L17"),
    ),
    Defect(
        "operands change places without their weights", "planner.laws",
        "return Join(tuple(operands[k] for k in order), tuple(weights[k] for k in order))",
        "return Join(tuple(operands[k] for k in order), weights)",
        ("L10",), ("L8", "L12", "L13"),
    ),
    Defect(
        "a collection under a join is not divided by its size", "planner.lower",
        "share._replace(coefficient=share.coefficient * weight)", "share._replace(coefficient=Fraction(weight))",
        ("L18",), ("L8", "L13", "L17"),
    ),
    Defect(
        "the weights of an inner join are read backwards", "planner.laws",
        "for q, share in zip(p.operands, p.weights, strict=True)",
        "for q, share in zip(p.operands, p.weights[::-1], strict=True)",
        ("L10",), ("L8", "L12", "L13"),
    ),
    Defect(
        "p ⋈ p counts twice", "planner.lower",
        "share._replace(coefficient=share.coefficient * weight)", "share",
        ("L11",), ("L8", "L13", "L17"),
    ),
    Defect(
        "the components of an anti-join change places", "planner.laws",
        "tuple(places.index(k) for k in order)", "order",
        ("L12",), ("L6", "L10", "L17"),
    ),
    Defect(
        "both sides of an anti-join have one sign", "estimation.maps",
        "share = float(term.coefficient) * (-1 if term.board.swapped else 1)",
        "share = float(term.coefficient)",
        ("L13",), ("L5", "L16"),
    ),
    Defect(
        "duality forgets the projection", "planner.boards",
        "ends, digests = (ends[1], of_full), digests[::-1]", "ends, digests = (ends[1], ends[0]), digests[::-1]",
        ("L13",), ("L5",),
    ),
    Defect(
        "a window is nullified on the outside", "algebra.edits.replacements",
        "mixed(surroundings.inside(edit.window, x), surroundings.baseline(",
        "mixed(~surroundings.inside(edit.window, x), surroundings.baseline(",
        ("L14",), ("L3", "L8", "L13"),
    ),
    Defect(
        "an edit is made after the next", "catalog.catalog",
        "for number, edit in enumerate(source.edits):", "for number, edit in enumerate(source.edits[::-1]):",
        ("L14",), ("L3", "L8", "L13"),
    ),
    Defect(
        "coalitions are weighted as Banzhaf's", "kernels.estimators.exact",
        "share = np.array([1 / (d * math.comb(d - 1, s)) for s in range(d)])",
        "share = np.array([1 / 2 ** (d - 1) for s in range(d)])",
        ("L15",), ("L3", "L13", "L16"),
    ),
    Defect(
        "null players are given a value", "estimation.maps",
        "whole = np.zeros((*values.shape[:-1], self.count + 1))",
        "whole = np.full((*values.shape[:-1], self.count + 1), 0.25)",
        ("L16",), ("L5",),
    ),
    Defect(
        "what a game has without a player counts twice where the first is strong", "kernels.estimators.exact",
        'found.extend({"shapley": a - b, "with": a, "without": b}[part])',
        'found.extend({"shapley": a - b * (1 + (abs(a[:, :1]) > 1)), "with": a, "without": b}[part])',
        ("L16",), ("L5",),
    ),
    Defect(
        "baselines are added up instead of averaged", "planner.lower",
        "share.coefficient * Fraction(own, len(each))", "share.coefficient * Fraction(own)",
        ("L18",), ("L3", "L10", "L13"),
    ),
    Defect(
        "a collection under a join is its sum", "planner.lower",
        "share, each = Fraction(1, len(plan.inputs)), plan.baselines", "share, each = Fraction(1), plan.baselines",
        ("L18",), ("L3", "L10", "L13"),
    ),
    Defect(
        "dropout is left on", "kernels.forward",
        "module.training = train_mode", "module.training = True",
        ("L4",), ("L5",),
    ),
    Defect(
        "coalitions hang on who asks", "kernels.estimators.permutations",
        "coalitions, chains = _permutations(players, rows, seed)",
        "coalitions, chains = _permutations(players, rows, np.random.default_rng().integers(1 << 30))",
        ("L4",), ("L5",),
    ),
)  # fmt: skip


def windows_after_the_game(monkeypatch: pytest.MonkeyPatch) -> None:
    """Π_w as a mask on the finished map: the game is played on all features."""
    from ialgebra.answering import loop
    from ialgebra.planner import boards

    board, columns = boards.Boards.board, loop.columns

    def everywhere(self, leaf, *, prune, dual):
        return board(self, replace(leaf, window=EVERYTHING), prune=prune, dual=dual)

    def masked(maps, outcome, catalog):
        found = columns(maps, outcome, catalog)
        own = {}
        for row, each in enumerate(maps):
            inside = np.ones(found.map(row).shape, dtype=bool)
            for leaf in each.answer.shown:
                inside &= evaluate(leaf.window, columns_of(found.kind[row], found.content[row]))
            own[row] = np.where(inside, found.map(row), 0.0)
        return replace(found, own=own)

    monkeypatch.setattr(boards.Boards, "board", everywhere)
    monkeypatch.setattr(loop, "columns", masked)


def a_shortcut_that_forgets_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Additive games are told from their values, and given w_i x_i instead of w_i (x_i − x̄_i)."""
    from ialgebra.estimation import maps

    estimated = maps.estimated

    def shortened(name, interpreter, design, values):
        found = estimated(name, interpreter, design, values)
        for k, column in enumerate(values.T):
            additive = column[0] + design.coalitions @ found[k].values
            if design.players > 1 and np.allclose(additive, column, rtol=0, atol=1e-6 * np.ptp(column)):
                found[k] = replace(found[k], values=found[k].values + column[0] / design.players)
        return found

    monkeypatch.setattr(maps, "estimated", shortened)

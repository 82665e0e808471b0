"""Eqs. 1–6 of the paper written literally, by enumeration: slow, obvious, and free of ialgebra.

In: networks as lists of layers, inputs, windows as boolean arrays, and a plan as a tree. Out: the plan's maps. Every
coalition of every player is evaluated on its own, one row at a time, and nothing is shared. A tree also prints as the
query that says the same, so that tests can compare what the engine answers with what the paper defines.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Score = Callable[[Tensor], float]  # one input, without batch dimension, to the scalar that is explained
Map = NDArray[np.float64]
Labels = NDArray[np.int64]
Bits = NDArray[np.bool_]
Partition = Callable[[tuple[int, ...], Bits], Labels]  # an input's shape and a window to its players
Predicate = Callable[[Tensor], Bits]

# --- Eqs. 1, 2 and 3: one game


def hybrid(x: Tensor, baseline: Tensor, labels: Labels, coalition: frozenset[int]) -> Tensor:
    """Eq. 1: x_S takes x on the features of the players in S, and the baseline elsewhere."""
    present = np.isin(labels, list(coalition))
    return torch.where(torch.from_numpy(present), x, baseline)


def shapley(value: Callable[[frozenset[int]], float], other: Callable[[frozenset[int]], float], d: int) -> Map:
    """Eq. 2: the mean over coalition sizes of the mean of value(S ∪ i) − other(S) over the S of that size without i."""
    phi = np.zeros(d)
    for i in range(d):
        rest = [j for j in range(d) if j != i]
        of_size = []
        for size in range(d):
            subsets = [frozenset(each) for each in itertools.combinations(rest, size)]
            of_size.append(sum(value(S | {i}) - other(S) for S in subsets) / len(subsets))
        phi[i] = sum(of_size) / d
    return phi


def attribution(score: Score, x: Tensor, baseline: Tensor, labels: Labels, against: Score | None = None) -> Map:
    """The map of one game, input-shaped: a player's value spread evenly over its features, 0 outside all players.

    With `against`, the printed contrast of two models: E[score(x_{S∪i}) − against(x_S)].
    """
    d = int(labels.max(initial=-1)) + 1

    def tabulated(function: Score) -> Callable[[frozenset[int]], float]:
        table = {
            S: function(hybrid(x, baseline, labels, S))
            for size in range(d + 1)
            for S in map(frozenset, itertools.combinations(range(d), size))
        }
        return table.__getitem__

    value = tabulated(score)
    return spread(shapley(value, value if against is None else tabulated(against), d), labels)


def spread(phi: Map, labels: Labels) -> Map:
    result = np.zeros(labels.shape)
    for player, value in enumerate(phi):
        mine = labels == player
        result[mine] = value / mine.sum()
    return result


# --- players


def pixels(shape: tuple[int, ...], window: Bits) -> Labels:
    _, height, width = shape
    return renumbered(np.arange(height * width).reshape(1, height, width), window)


def features(shape: tuple[int, ...], window: Bits) -> Labels:
    return renumbered(np.arange(shape[0]), window)


def grid(rows: int, cols: int) -> Partition:
    """rows × cols cells over the bounding box of the window."""

    def partition(shape: tuple[int, ...], window: Bits) -> Labels:
        cell = np.zeros(shape, dtype=np.int64)
        _, inside_rows, inside_cols = np.nonzero(window)
        if inside_rows.size:
            top, left = inside_rows.min(), inside_cols.min()
            height, width = inside_rows.max() - top + 1, inside_cols.max() - left + 1
            for r, c in itertools.product(range(top, top + height), range(left, left + width)):
                cell[:, r, c] = ((r - top) * rows // height) * cols + (c - left) * cols // width
        return renumbered(cell, window)

    return partition


def tile(size: int) -> Partition:
    """Squares anchored at the origin, which a window cuts."""

    def partition(shape: tuple[int, ...], window: Bits) -> Labels:
        cell = np.zeros(shape, dtype=np.int64)
        for r, c in itertools.product(range(shape[1]), range(shape[2])):
            cell[:, r, c] = (r // size) * 1000 + c // size
        return renumbered(cell, window)

    return partition


def given(mask: NDArray[np.integer]) -> Partition:
    """A feature mask: equal numbers are one player, negative ones none."""
    return lambda shape, window: renumbered(np.broadcast_to(mask, shape), window & np.broadcast_to(mask >= 0, shape))


def renumbered(cell: NDArray[np.integer], window: Bits) -> Labels:
    cell = np.broadcast_to(cell, window.shape)
    result = np.full(window.shape, -1)
    for player, number in enumerate(sorted(set(cell[window].tolist()))):
        result[window & (cell == number)] = player
    return result


# --- Eq. 4: models


@dataclass(frozen=True, eq=False)
class Net:
    """A model and, for each layer that was given a head, that head's weight (K, F) and bias (K,)."""

    module: nn.Module
    heads: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def logits(self, x: Tensor, layer: int | None = None) -> Tensor:
        """f(x), or f_l(x) of a Sequential: run the first l modules, average over space or time, apply the head."""
        with torch.inference_mode():
            if layer is None:
                whole: Tensor = self.module(x.unsqueeze(0))
                return whole[0]
            assert isinstance(self.module, nn.Sequential)
            inside: Tensor = self.module[:layer](x.unsqueeze(0))
            space = {4: (2, 3), 3: (1,), 2: ()}[inside.dim()]  # of (B, C, H, W), (B, T, E) and (B, F)
            pooled = inside.mean(dim=space) if space else inside
            weight, bias = self.heads[layer]
            return weight @ pooled[0] + bias

    def predicted(self, x: Tensor) -> int:
        return int(self.logits(x).argmax())

    def score(self, target: int, output: str = "logit", layer: int | None = None) -> Score:
        def scalar(x: Tensor) -> float:
            raw = self.logits(x, layer).double()
            if output == "logit":
                return float(raw[target])
            p = float(torch.softmax(raw, 0)[target]) if len(raw) > 1 else float(torch.sigmoid(raw[0]))
            return p if output == "probability" else float(np.log(p / (1 - p)))

        return scalar


# --- Eqs. 3 to 6: plans


@dataclass(frozen=True)
class Edit:
    """name(x, argument, …): a window by its text, another input by its name."""

    name: str
    arguments: tuple[str | float, ...]

    def around(self, inner: str) -> str:
        return f"{self.name}({', '.join([inner, *map(str, self.arguments)])})"


@dataclass(frozen=True)
class Call:
    """f(x, option => value …): the options that are None are left to their defaults."""

    model: str
    input: str
    baseline: str | None = None
    target: int | None = None
    output: str = "logit"
    players: str | None = None
    edits: tuple[Edit, ...] = ()

    def text(self) -> str:
        said = {"baseline": self.baseline, "target": self.target, "players": self.players}
        options = [f"{name} => {value}" for name, value in said.items() if value is not None]
        options += [f"output => '{self.output}'"] if self.output != "logit" else []
        edited = self.input
        for edit in self.edits:
            edited = edit.around(edited)
        return f"{self.model}({', '.join([edited, *options])})"


@dataclass(frozen=True)
class Where:
    """Π_w, by the window's text."""

    window: str
    of: Plan

    def text(self) -> str:
        return f"(select * from {self.of.text()} where {self.window})"


@dataclass(frozen=True)
class Layer:
    """σ_l"""

    layer: int
    of: Plan

    def text(self) -> str:
        return f"(select {self.layer} from {self.of.text()})"


@dataclass(frozen=True)
class Join:
    """⋈ with a weight for each operand; None is the uniform mean."""

    of: tuple[Plan, ...]
    weight: str | None = None

    def text(self) -> str:
        tail = f" on weight = {self.weight}" if self.weight is not None else ""
        return f"(select * from {' join '.join(each.text() for each in self.of)}{tail})"

    @property
    def shares(self) -> list[float]:
        if self.weight is None:
            return [1 / len(self.of)] * len(self.of)
        return [float(Fraction(self.weight)), float(1 - Fraction(self.weight))]


@dataclass(frozen=True)
class Anti:
    """⋄"""

    of: tuple[Plan, ...]

    def text(self) -> str:
        return f"(select * from {' left join '.join(each.text() for each in self.of)})"


Plan = Call | Where | Layer | Join | Anti


def query(plan: Plan) -> str:
    """The plan as a query."""
    text = plan.text()
    return text[1:-1] if text.startswith("(") else f"select * from {text}"


@dataclass(frozen=True, eq=False)
class _Term:
    """A weighted φ with the window, the layer, the baseline and the other model in force."""

    weight: float
    call: Call
    x: Tensor
    window: Bits
    layer: int | None
    baseline: Tensor | None = None
    against: tuple[str, int | None] | None = None
    like: _Term | None = None  # whose class and output are explained, where they are not its own

    @property
    def model(self) -> tuple[str, int | None]:
        return self.call.model, self.layer


@dataclass(frozen=True, eq=False)
class World:
    """What names mean: networks, inputs (a list is a collection), windows and partitions by their text."""

    nets: dict[str, Net]
    inputs: dict[str, Tensor | list[Tensor]]
    windows: dict[str, Predicate]
    players: dict[str | None, Partition]  # None: the default
    depth: int | None = None  # the layer that is the model's own output
    literal: bool = False

    def elements(self, name: str) -> list[Tensor]:
        found = self.inputs[name]
        return found if isinstance(found, list) else [found]

    def edited(self, call: Call, x: Tensor) -> Tensor:
        """The input that a call explains, feature by feature."""
        for edit in call.edits:
            (absent,) = self._baselines(call, x)
            before, after = x.numpy(), x.numpy().copy()
            for place in np.ndindex(before.shape):
                match edit.name, edit.arguments:
                    case "nullify", (str(window),):
                        after[place] = absent.numpy()[place] if self.windows[window](x)[place] else before[place]
                    case "substitute", (str(window), str(other)):
                        (given,) = self.elements(other)
                        after[place] = given.numpy()[place] if self.windows[window](x)[place] else before[place]
                    case "clip", (low, high):
                        after[place] = min(max(before[place], low), high)
                    case "shift", steps:
                        first = len(place) - len(steps)
                        origin = (
                            *place[:first],
                            *(k - int(step) for k, step in zip(place[first:], steps, strict=True)),
                        )
                        inside = all(0 <= k < length for k, length in zip(origin, before.shape, strict=True))
                        after[place] = before[origin] if inside else absent.numpy()[place]
                    case "rotate", (90,):  # counter-clockwise: the right border becomes the top
                        channel, row, col = place
                        after[place] = before[channel, col, before.shape[2] - 1 - row]
                    case _:
                        raise AssertionError(edit)
            x = torch.from_numpy(after)
        return x

    def maps(self, plan: Plan) -> list[Map]:
        """The maps of a plan: one, or one for each operand of its anti-join."""
        return [np.sum([self._phi(term) for term in terms], axis=0) for terms in self._components(plan, (), None)]

    def labels(self, plan: Call | Where | Layer) -> Labels:
        """The players of a plan without joins."""
        (term,) = self._operand(plan, (), None)
        return self._labels(term)

    def _components(self, plan: Plan, windows: tuple[str, ...], layer: int | None) -> list[list[_Term]]:
        match plan:
            case Where(text, of):
                return self._components(of, (*windows, text), layer)
            case Layer(number, of):
                return self._components(of, windows, _outer(layer, number))
            case Anti(of):
                operands = [self._operand(each, windows, layer) for each in of]
                return [self._component(operands, i) for i in range(len(of))]
        return [self._operand(plan, windows, layer)]

    def _operand(self, plan: Plan, windows: tuple[str, ...], layer: int | None) -> list[_Term]:
        match plan:
            case Call():
                inputs = [self.edited(plan, x) for x in self.elements(plan.input)]
                cut = None if layer == self.depth else layer
                return [_Term(1 / len(inputs), plan, x, self._window(x, windows), cut) for x in inputs]
            case Where(text, of):
                return self._operand(of, (*windows, text), layer)
            case Layer(number, of):
                return self._operand(of, windows, _outer(layer, number))
            case Join(of):
                return [
                    replace(term, weight=share * term.weight)
                    for share, each in zip(plan.shares, of, strict=True)
                    for term in self._operand(each, windows, layer)
                ]
        raise AssertionError("an anti-join is no operand")

    def _component(self, operands: list[list[_Term]], i: int) -> list[_Term]:
        """Operand i against each of the others, in the mean (Eq. 6 where there are two)."""
        against = [self._against(operands[i], other) for j, other in enumerate(operands) if j != i]
        return [replace(term, weight=term.weight / len(against)) for terms in against for term in terms]

    def _against(self, mine: list[_Term], other: list[_Term]) -> list[_Term]:
        """One operand against one other; on one input the contrast of two (truncated) models, for the class of mine."""
        explained = [(terms[0].call.input, terms[0].call.edits) for terms in (mine, other)]
        if explained[0] != explained[1] or mine[0].model == other[0].model:
            return [replace(a, weight=a.weight * b.weight, baseline=b.x) for a in mine for b in other]
        if self.literal:
            return [replace(a, against=b.model) for a, b in zip(mine, other, strict=True)]
        return [*mine, *(replace(b, weight=-b.weight, like=a) for a, b in zip(mine, other, strict=True))]

    def _target(self, term: _Term) -> int:
        """The class asked for, or the one that the full model predicts for the operand's own input."""
        target = term.call.target
        return self.nets[term.call.model].predicted(term.x) if target is None else target

    def _window(self, x: Tensor, windows: tuple[str, ...]) -> Bits:
        """The features in all the windows (Eq. 3)."""
        return np.logical_and.reduce([np.ones(x.shape, dtype=bool), *(self.windows[text](x) for text in windows)])

    def _labels(self, term: _Term) -> Labels:
        return self.players[term.call.players](tuple(term.x.shape), term.window)

    def _score(self, model: tuple[str, int | None], term: _Term) -> Score:
        name, layer = model
        return self.nets[name].score(self._target(term), term.call.output, layer)

    def _phi(self, term: _Term) -> Map:
        score = self._score(term.model, term.like or term)
        against = None if term.against is None else self._score(term.against, term)
        baselines = self._baselines(term.call, term.x) if term.baseline is None else [term.baseline]
        maps = [attribution(score, term.x, each, self._labels(term), against) for each in baselines]
        return np.asarray(term.weight * sum(maps) / len(maps))

    def _baselines(self, call: Call, x: Tensor) -> list[Tensor]:
        match call.baseline:
            case None:
                return [torch.zeros_like(x)]
            case text if text in self.inputs:
                return self.elements(text)
            case text if text.startswith("mean("):
                return [torch.stack(self.elements(text[5:-1])).mean(0)]
            case text:
                return [torch.full_like(x, float(text))]


def _outer(outer: int | None, inner: int) -> int:
    assert outer is None or outer <= inner, "undefined (L2)"
    return inner if outer is None else outer

"""Eqs. 1–6 written literally, by enumeration: slow, obvious, and free of the engine.

In: a plan as a tree, and what its names mean (`Ground`). Out: `parts`, each of the plan's maps as a weighted sum of
games; and `enumerated`, the Shapley values of one game, with one call of the model per coalition. It shares no code
with the planner, the kernels or the language, so that it does not share their mistakes.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..models.adapters.results import logits as logits_of
from ..models.outputs import LOGITS, OutputReading
from ..system.arrays import Bools, Floats, Ints
from ..system.tensors import array_of
from .plans import Anti, DrawnCall, DrawnJoin, DrawnLayer, DrawnStar, DrawnWindow, FeatureColumns, Plan, Players, Where

_T = TypeVar("_T")
Calling = Callable[[Any], Callable[[Tensor], object]]
"""How a model is called with a batch."""

_MOST_KNOWN_ROWS = 4096  # whose logits a net caches: the next case often has the same coalitions


# --- Eq. 4: models


@dataclass(frozen=True, eq=False)
class Cut:
    """f_l: the output of the `call`-th call of `module`, averaged over `pool`, under a linear head."""

    module: nn.Module
    call: int
    pool: tuple[int, ...]
    weight: Tensor
    bias: Tensor

    def head(self, value: Tensor) -> Tensor:
        """Logits (B, K) from the layer's output (B, …)."""
        mean = value.mean(dim=self.pool) if self.pool else value
        return mean.reshape(len(value), -1).to(self.weight) @ self.weight.T + self.bias


class Truncated(nn.Module):
    """f_l as a network of its own: all of f runs, and the output of the cut's module goes through the cut's head."""

    def __init__(self, model: nn.Module, cut: Cut, called: Calling) -> None:
        super().__init__()
        self.model = model
        self.cut = cut
        self.call = called(model)

    def forward(self, batch: Tensor) -> Tensor:
        seen: list[Tensor] = []
        handle = self.cut.module.register_forward_hook(lambda module, arguments, out: seen.append(_tensor(out).clone()))
        try:
            self.call(batch)
        finally:
            handle.remove()
        return self.cut.head(seen[self.cut.call])


def _tensor(out: object) -> Tensor:
    """The tensor that a module returned, or the first of several."""
    while not isinstance(out, Tensor):
        out = next(iter(out.values() if isinstance(out, Mapping) else out))  # type: ignore[call-overload]
    return out


def _as_it_is(batch: _T) -> _T:
    return batch


@dataclass(frozen=True, eq=False)
class Net:
    """A model, its cuts by layer, `depth`, the layer that is its own output (None: no layer is), how its outputs are
    read, a function that gives a batch the number type that the model takes, and how a module is called."""

    model: Callable[[Tensor], object]
    cuts: Mapping[int, Cut]
    depth: int | None
    device: torch.device
    outputs: OutputReading = LOGITS
    ready: Callable[[Tensor], Tensor] = _as_it_is
    called: Calling = _as_it_is
    _known: OrderedDict[tuple[object, ...], Floats] = field(default_factory=OrderedDict)

    def at(self, layer: int | None) -> Callable[[Tensor], object]:
        """f, or f_l as a model of its own."""
        if layer is None or layer == self.depth:
            return self.model
        assert isinstance(self.model, nn.Module)
        return Truncated(self.model, self.cuts[layer], self.called)

    def reading(self, layer: int | None) -> OutputReading:
        """How the outputs of f or f_l are read."""
        return self.outputs if layer is None or layer == self.depth else self.outputs.head

    def predicted(self, x: Tensor) -> int:
        """The class of highest output."""
        numbers = self.logits(x)
        if self.outputs.classes != "pair":
            return int(numbers.argmax())
        return int(_log_odds(numbers, 1, self.outputs) > 0)

    def logits(self, x: Tensor, layer: int | None = None) -> Floats:
        """f_l of one input, (K,)."""
        key = (layer, x.dtype, hashlib.blake2b(array_of(x).tobytes(), digest_size=16).digest())
        if key not in self._known:
            model = self.at(layer)
            with predicting(model):
                call = model if isinstance(model, Truncated) else self.called(model)
                raw = call(self.ready(x.unsqueeze(0)).to(self.device))
                self._known[key] = logits_of(raw, 1)[0].double().cpu().numpy()
            if len(self._known) > _MOST_KNOWN_ROWS:
                self._known.popitem(last=False)
        return self._known[key]


@contextmanager
def predicting(model: Callable[[Tensor], object]) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module has its former mode again."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    modes = [each.training for each in modules]
    try:
        for each in modules:
            each.training = False
        with torch.no_grad():
            yield
    finally:
        for each, mode in zip(modules, modes, strict=True):
            each.training = mode


def scalar(numbers: Floats, target: int, output: str, reading: OutputReading) -> float:
    """The explained number from a model's outputs (K,): the number of class `target` itself, its probability, or its
    log-odds."""
    if output == "logit":
        return _own(numbers, target, reading)
    odds = _log_odds(numbers, target, reading)
    return odds if output == "log_odds" else _sigmoid(odds)


def _sigmoid(odds: float) -> float:
    return 1 / (1 + math.exp(min(-odds, 700.0)))


def _own(numbers: Floats, target: int, reading: OutputReading) -> float:
    """The number as the model returns it; a head's logits give what the model itself would return."""
    if reading.of_head and reading.meaning in ("probabilities", "log_probabilities"):
        p = _sigmoid(_log_odds(numbers, target, reading))
        return p if reading.meaning == "probabilities" else math.log(p)
    if reading.classes != "pair":
        return float(numbers[target])
    own = float(numbers[0])
    left_over = {"probabilities": lambda: 1 - own, "log_probabilities": lambda: math.log(1 - math.exp(own))}
    return own if target == 1 else left_over.get(reading.meaning, lambda: -own)()


def _log_odds(numbers: Floats, target: int, reading: OutputReading) -> float:
    """log p / (1 − p) of a class."""
    if reading.classes == "pair":
        odds = _log_odds(numbers, 0, replace(reading, classes="independent"))
        return odds if target == 1 else -odds
    logits = reading.of_head or reading.meaning in ("logits", "multilabel")
    own, others = float(numbers[target]), np.delete(numbers, target)
    if reading.classes == "alternatives":
        if logits or reading.meaning == "log_probabilities":
            return float(own - others.max() - math.log(np.exp(others - others.max()).sum()))
        return math.log(max(own, 1e-300)) - math.log(max(float(others.sum()), 1e-300))
    if logits:
        return own
    p = own if reading.meaning == "probabilities" else math.exp(own)
    return math.log(max(p, 1e-300)) - math.log(max(1 - p, 1e-300))


# --- Eqs. 1 to 3: games


def columns(x: Tensor) -> FeatureColumns:
    """The columns of an input's features that predicates read, each in the input's shape."""
    value = x.numpy()
    index = np.indices(value.shape)
    if x.dim() == 3:
        return {"channel": index[0], "row": index[1], "col": index[2], "value": value}
    return {"feature": index[0], "position": index[0], "token": value, "value": value}


def hybrid(x: Tensor, baseline: Tensor, present: Bools) -> Tensor:
    """Eq. 1: x where `present`, the baseline elsewhere."""
    return torch.where(torch.from_numpy(np.ascontiguousarray(present)), x, baseline)


def shapley(value: Callable[[frozenset[int]], float], d: int) -> Floats:
    """Eq. 2: the mean over coalition sizes of the mean of v(S ∪ i) − v(S) over the S of that size without i."""
    everyone = range(d)
    table = {S: value(S) for size in range(d + 1) for S in map(frozenset, itertools.combinations(everyone, size))}
    phi = np.zeros(d)
    for i in everyone:
        rest = [j for j in everyone if j != i]
        for size in range(d):
            subsets = [frozenset(each) for each in itertools.combinations(rest, size)]
            phi[i] += sum(table[S | {i}] - table[S] for S in subsets) / len(subsets) / d
    return phi


def spread(phi: Floats, labels: Ints) -> Floats:
    """The map of players' values: each spread evenly over its features, 0 outside all players."""
    sizes = np.bincount(labels[labels >= 0], minlength=len(phi))
    return np.append(phi / np.maximum(sizes, 1), 0.0)[labels]


@dataclass(frozen=True, eq=False)
class DefinedGame:
    """One weighted φ of a plan, after all its operators: the features of `x` inside `window` play against
    `baseline`."""

    weight: float
    call: DrawnCall
    x: Tensor
    window: Bools
    layer: int | None
    baseline: Tensor
    target: int

    @property
    def players(self) -> Ints:
        assert self.call.players is not None
        return self.call.players.divide(self.window)

    @property
    def count(self) -> int:
        return int(self.players.max(initial=-1)) + 1

    def features(self, player: int) -> Bools:
        """Which features belong to a player, in the shape of `x`."""
        return np.asarray(self.players == player)

    @property
    def full(self) -> Tensor:
        """x_w: x inside the window, the baseline outside."""
        return hybrid(self.x, self.baseline, self.window)


def enumerated(game: DefinedGame, net: Net) -> Floats:
    """The map of φ, with one call of the model for every coalition."""
    labels = game.players
    d = int(labels.max(initial=-1)) + 1

    def value(coalition: frozenset[int]) -> float:
        row = hybrid(game.x, game.baseline, np.isin(labels, list(coalition)))
        return scalar(net.logits(row, game.layer), game.target, game.call.output, net.reading(game.layer))

    return spread(shapley(value, d), labels)


def gain(game: DefinedGame, net: Net) -> float:
    """v(N) − v(∅) = f(x_w) − f(x̄), from two calls of the model."""
    full, empty = (
        scalar(net.logits(row, game.layer), game.target, game.call.output, net.reading(game.layer))
        for row in (game.full, game.baseline)
    )
    return full - empty


# --- Eqs. 3 to 6: plans


@dataclass(frozen=True, eq=False)
class Ground:
    """What names mean: the net, the inputs (several elements are a collection), and the baselines of each input."""

    net: Net
    inputs: Mapping[str, Sequence[Tensor]]
    baselines: Mapping[str, Sequence[Tensor]]


def parts(plan: Plan, ground: Ground) -> list[list[DefinedGame]]:
    """The maps of a plan: one, or one for each operand of its ⋄. Each map is the weighted sum of its games."""
    return [[game for each in component for game in _played(each, ground)] for component in _components(plan, ground)]


@dataclass(frozen=True, eq=False)
class _DefinedLeaf:
    weight: float
    call: DrawnCall
    x: Tensor
    windows: tuple[DrawnWindow, ...] = ()
    layer: int | None = None
    against: Tensor | None = None


def _components(plan: Plan, ground: Ground) -> list[list[_DefinedLeaf]]:
    match plan:
        case DrawnCall():
            return [[_DefinedLeaf(1.0, plan, _edited(plan, x, ground))] for x in ground.inputs[plan.input]]
        case DrawnStar(of):
            return _components(of, ground)
        case Where(window, of):
            return [
                [replace(leaf, windows=(*leaf.windows, window)) for leaf in component]
                for component in _components(of, ground)
            ]
        case DrawnLayer(layer, of):
            return [[replace(leaf, layer=layer) for leaf in component] for component in _components(of, ground)]
        case DrawnJoin(of):
            operands = [_operand(each, ground) for each in of]
            return [
                [
                    replace(leaf, weight=float(share) * leaf.weight)
                    for share, operand in zip(plan.shares, operands, strict=True)
                    for leaf in operand
                    if share
                ]
            ]
        case Anti(of):
            operands = [_operand(each, ground) for each in of]
            return [
                [
                    replace(mine, weight=mine.weight * theirs.weight / (len(of) - 1), against=theirs.x)
                    for j, other in enumerate(operands)
                    if j != i
                    for mine in operand
                    for theirs in other
                ]
                for i, operand in enumerate(operands)
            ]
        case _:
            assert_never(plan)


def _edited(call: DrawnCall, x: Tensor, ground: Ground) -> Tensor:
    """The input that a call explains, after its edits; they read the baseline in force."""
    for edit in call.edits:
        (baseline,) = ground.inputs[call.baseline] if call.baseline else ground.baselines[call.input]
        x = torch.from_numpy(np.ascontiguousarray(edit.of(x.numpy(), baseline.numpy())))
    return x


def _operand(plan: Plan, ground: Ground) -> list[_DefinedLeaf]:
    """A plan under a ⋈ or a ⋄, where a collection counts as its elements' mean."""
    components = _components(plan, ground)
    return [replace(leaf, weight=leaf.weight / len(components)) for component in components for leaf in component]


def _played(leaf: _DefinedLeaf, ground: Ground) -> Iterator[DefinedGame]:
    call, x = leaf.call, leaf.x
    if leaf.against is not None:
        baselines: Sequence[Tensor] = [leaf.against]
    elif call.baseline is not None:
        baselines = ground.inputs[call.baseline]
    else:
        baselines = ground.baselines[call.input]
    window = np.ones(tuple(x.shape), dtype=bool)
    for each in leaf.windows:
        window = window & each.holds(columns(x))
    target = ground.net.predicted(x) if call.target is None else call.target
    layer = None if leaf.layer == ground.net.depth else leaf.layer
    for baseline in baselines:
        yield DefinedGame(leaf.weight / len(baselines), call, x, window, layer, baseline, target)


# --- players


def renumbered(cell: NDArray[np.integer], window: Bools) -> Ints:
    """The players 0, 1, …: one for each cell that has features in the window; −1 outside the window."""
    cell = np.broadcast_to(cell, window.shape)
    result = np.full(window.shape, -1, dtype=np.int64)
    for player, number in enumerate(np.unique(cell[window])):
        result[window & (cell == number)] = player
    return result


def each_feature(window: Bools) -> Ints:
    """Every feature a player."""
    return renumbered(np.arange(window.size).reshape(window.shape), window)


def grid(rows: int, cols: int) -> Players:
    """rows × cols cells over the bounding box of the window."""

    def divide(window: Bools) -> Ints:
        _, down, across = np.nonzero(window)
        if not down.size:
            return renumbered(np.zeros(1, dtype=np.int64), window)
        top, left = down.min(), across.min()
        height, width = down.max() - top + 1, across.max() - left + 1
        _, row, col = np.indices(window.shape)
        cell = (row - top) * min(rows, height) // height * cols + (col - left) * min(cols, width) // width
        return renumbered(cell, window)

    return Players(f"grid({rows}, {cols})", divide)


def tile(size: int) -> Players:
    """Squares anchored at the origin; of a square, only the features in the window play."""

    def divide(window: Bools) -> Ints:
        _, row, col = np.indices(window.shape)
        return renumbered(row // size * window.shape[2] + col // size, window)

    return Players(f"tile({size})", divide)


def given(name: str, mask: NDArray[np.integer]) -> Players:
    """A feature mask: equal numbers are one player, negative ones none."""
    return Players(name, lambda window: renumbered(mask, window & np.broadcast_to(mask >= 0, window.shape)))

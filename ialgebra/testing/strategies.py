"""Hypothesis strategies, to be composed: models, inputs, windows, players, plans and queries.

    @given(strategies.models(kind="tabular"), strategies.inputs(kind="tabular"), strategies.windows(kind="tabular"))

Values shrink to simple ones: a linear map, few players, no operators, the whole input. Nothing here runs the engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import BindError
from ..system import checks
from ..system.arguments import checked
from ..system.arrays import Bools
from . import definition
from .plans import (
    Anti,
    DrawnCall,
    DrawnEdit,
    DrawnJoin,
    DrawnLayer,
    DrawnWindow,
    FeatureColumns,
    Plan,
    Players,
    Where,
    query,
)

Shape = tuple[int, ...]

SHAPES: dict[str, Shape] = {"image": (2, 6, 6), "tabular": (5,), "tokens": (5,)}
"""The default shape of an input of each kind."""

VOCABULARY = 8
"""The number of words in the vocabulary of token inputs and their models."""

_LONGEST = 1 << 20  # a length, or a number of classes
_DEEPEST = 8  # joins inside joins

WEIGHTS = ("0.5", "0.25", "0.1", "0.7", "0.95", "0", "1")
"""The weights that joins are drawn with, as text."""


# --- models and inputs


class _Recurrent(nn.Module):
    """The last step of a GRU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.gru(x)
        return cast("Tensor", steps[:, -1])


class _Residual(nn.Module):
    """x + g(x), with BatchNorm and dropout: in training mode every row depends on its batch and on chance."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.Tanh(), nn.Dropout(0.5)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + cast("Tensor", self.inner(x))


def _architectures(kind: str, shape: Shape, classes: int) -> list[Callable[[], nn.Module]]:
    size = math.prod(shape)
    match kind:
        case "image":
            pooled = (nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, classes))
            return [
                lambda: nn.Sequential(nn.Flatten(), nn.Linear(size, classes)),
                lambda: nn.Sequential(nn.Conv2d(shape[0], 4, 3, padding=1), nn.Tanh(), *pooled),
                lambda: nn.Sequential(nn.Conv2d(shape[0], 4, 1), _Residual(4), nn.ReLU(), *pooled),
            ]
        case "tabular":
            return [
                lambda: nn.Sequential(nn.Linear(size, classes)),
                lambda: nn.Sequential(nn.Linear(size, 6), nn.Tanh(), nn.Linear(6, classes)),
                lambda: nn.Sequential(nn.Linear(size, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, classes)),
            ]
        case "tokens":
            return [
                lambda: nn.Sequential(nn.Embedding(VOCABULARY, 4), nn.Flatten(), nn.Linear(4 * size, classes)),
                lambda: nn.Sequential(nn.Embedding(VOCABULARY, 4), _Recurrent(4), nn.Linear(4, classes)),
            ]
    raise AssertionError(kind)


def _shape(kind: str, shape: Shape | None) -> Shape:
    """The shape, or the default one; BindError for an unknown kind, and for a shape that is none of this kind."""
    usual = SHAPES[checks.text("kind", kind, SHAPES)]
    if shape is None:
        return usual
    for length in shape:
        checks.whole("a length in shape", length, 1, _LONGEST)
    if len(shape) != len(usual):
        raise BindError(f"shape {shape} has {len(shape)} lengths; inputs of kind '{kind}' have {len(usual)}")
    return tuple(shape)


def _some(what: str, names: Sequence[str]) -> list[str]:
    if not len(names):
        raise BindError(f"{what} is empty; one is drawn from it")
    return list(names)


def _floats(dtype: torch.dtype) -> torch.dtype:
    if not dtype.is_floating_point:
        raise BindError(f"dtype must be one of floating-point numbers, not {dtype}")
    return dtype


@checked
def models(
    kind: str = "image", shape: Shape | None = None, classes: int = 3, dtype: torch.dtype = torch.float32
) -> SearchStrategy[nn.Module]:
    """A small random network in evaluation mode, from batches of inputs of this kind and shape to (B, classes)."""
    return _models(kind, _shape(kind, shape), checks.whole("classes", classes, 1, _LONGEST), _floats(dtype))


@st.composite
def _models(draw: DrawFn, kind: str, shape: Shape, classes: int, dtype: torch.dtype) -> nn.Module:
    number, seed = draw(st.sampled_from(range(3 if kind != "tokens" else 2))), draw(st.integers(0, 2**16))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = _architectures(kind, shape, classes)[number]()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(std=1 / math.sqrt(max(1, parameter[0].numel())))
    return module.to(dtype).eval()


@checked
def inputs(
    kind: str = "image", shape: Shape | None = None, dtype: torch.dtype = torch.float32
) -> SearchStrategy[Tensor]:
    """An input without batch dimension: numbers of the standard normal distribution, or token ids from 1 on.

    Some features are zero, which makes them null players against the default baseline.
    """
    return _inputs(kind, _shape(kind, shape), _floats(dtype))


@st.composite
def _inputs(draw: DrawFn, kind: str, shape: Shape, dtype: torch.dtype) -> Tensor:
    seed = draw(st.integers(0, 2**16))
    generator = torch.Generator().manual_seed(seed)
    if kind == "tokens":
        return torch.randint(1, VOCABULARY, shape, generator=generator)
    kept = torch.rand(shape, generator=generator) < draw(st.sampled_from([2.0, 0.8]))
    return torch.where(kept, torch.randn(shape, generator=generator, dtype=dtype), torch.zeros((), dtype=dtype))


# --- windows and players


def _compared(column: str, sign: str, value: float) -> DrawnWindow:
    def holds(columns: FeatureColumns) -> Bools:
        read = columns[column].astype(np.float64)
        compared = {"<": read < value, ">=": read >= value, "=": read == value, "<>": read != value, ">": read > value}
        return np.asarray(compared[sign], dtype=bool)

    return DrawnWindow(f"{column} {sign} {value!r}", holds)


def _box(top: int, left: int, bottom: int, right: int) -> DrawnWindow:
    def holds(columns: FeatureColumns) -> Bools:
        row, col = columns["row"].astype(np.int64), columns["col"].astype(np.int64)
        return (row >= top) & (row < bottom) & (col >= left) & (col < right)

    return DrawnWindow(f"box({top}, {left}, {bottom}, {right})", holds)


def _circle(row: int, col: int, radius: int) -> DrawnWindow:
    def holds(columns: FeatureColumns) -> Bools:
        down, across = columns["row"].astype(np.int64) - row, columns["col"].astype(np.int64) - col
        return down**2 + across**2 <= radius**2

    return DrawnWindow(f"circle({row}, {col}, {radius})", holds)


def _among(column: str, values: frozenset[int]) -> DrawnWindow:
    chosen = sorted(values)
    return DrawnWindow(f"{column} in ({', '.join(map(str, chosen))})", lambda columns: np.isin(columns[column], chosen))


def _atoms(kind: str, shape: Shape, scale: float) -> SearchStrategy[DrawnWindow]:
    values = st.sampled_from([scale * part for part in (0.0, -0.5, 0.5, -1.0, 1.0)])
    by_value = st.builds(_compared, st.just("value"), st.sampled_from([">", "<"]), values)
    match kind:
        case "image":
            channels, height, width = shape
            row, col = st.integers(0, height), st.integers(0, width)
            return st.one_of(
                st.builds(_compared, st.just("row"), st.sampled_from(["<", ">="]), row),
                st.builds(_compared, st.just("col"), st.sampled_from(["<", ">="]), col),
                st.builds(_box, row, col, row, col),
                st.builds(_circle, row, col, st.integers(1, max(1, min(height, width)))),
                st.builds(_compared, st.just("channel"), st.just("="), st.integers(0, channels - 1)),
                by_value,
            )
        case "tabular":
            feature = st.integers(0, shape[0] - 1)
            return st.one_of(
                st.builds(_compared, st.just("feature"), st.sampled_from(["<", ">="]), feature),
                st.builds(_among, st.just("feature"), st.frozensets(feature, min_size=1, max_size=4)),
                by_value,
            )
        case "tokens":
            position = st.integers(0, shape[0] - 1)
            return st.one_of(
                st.builds(_compared, st.just("position"), st.sampled_from(["<", ">="]), position),
                st.builds(_among, st.just("position"), st.frozensets(position, min_size=1, max_size=4)),
                st.builds(_compared, st.just("token"), st.sampled_from(["<>", "="]), st.integers(0, VOCABULARY)),
            )
    raise AssertionError(kind)


@checked
def windows(kind: str = "image", shape: Shape | None = None, scale: float = 1.0) -> SearchStrategy[DrawnWindow]:
    """Predicates over the columns of an input's features; `str(window)` is their text.

    `scale` is about the size of the input's values. Some windows are empty, some hold everything.
    """
    return st.recursive(
        _atoms(kind, _shape(kind, shape), checks.number("scale", scale)),
        lambda inner: st.one_of(
            st.builds(DrawnWindow.__invert__, inner),
            st.builds(DrawnWindow.__and__, inner, inner),
            st.builds(DrawnWindow.__or__, inner, inner),
        ),
        max_leaves=3,
    )


def partitions(kind: str, shape: Shape, most: int) -> list[Players]:
    """The partitions of an input into at most `most` players that a query can write, coarse ones first."""
    if kind != "image":
        name = "features" if kind == "tabular" else "tokens"
        return [Players(name, definition.each_feature)] if shape[0] <= most else []
    sides = [(rows, cols) for rows in range(1, 5) for cols in range(1, 5) if 1 < rows * cols <= most]
    found = [definition.grid(*each) for each in sides if each[0] <= shape[1] and each[1] <= shape[2]]
    for parts in range(2, 5):
        size = math.ceil(max(shape[1:]) / parts)
        if math.ceil(shape[1] / size) * math.ceil(shape[2] / size) <= most:
            found.append(definition.tile(size))
    return found


@checked
def players(kind: str = "image", shape: Shape | None = None, most: int = 6) -> SearchStrategy[Players]:
    """Partitions of an input of this kind and shape into at most `most` players; `str(players)` is their text."""
    found = partitions(kind, _shape(kind, shape), most)
    if not found:
        raise BindError(f"most is {most}; no partition of this input into so few players can be written")
    return st.sampled_from(found)


# --- plans and queries


def nullify(window: DrawnWindow) -> DrawnEdit:
    """The edit that puts the baseline inside a window."""
    return DrawnEdit(
        "nullify", str(window), lambda x, baseline: np.where(_held(window, x), baseline, x).astype(x.dtype)
    )


def _held(window: DrawnWindow, x: NDArray[np.generic]) -> Bools:
    return window.holds(definition.columns(torch.from_numpy(x)))


def _clip(low: float, high: float) -> DrawnEdit:
    return DrawnEdit("clip", f"{low!r}, {high!r}", lambda x, _: np.clip(x, low, high).astype(x.dtype))


def _shift(*by: int) -> DrawnEdit:
    def moved(x: NDArray[np.generic], baseline: NDArray[np.generic]) -> NDArray[np.generic]:
        result = baseline.astype(x.dtype)
        for to in np.ndindex(x.shape[-len(by) :]):
            place = tuple(k - step for k, step in zip(to, by, strict=True))
            if all(0 <= k < length for k, length in zip(place, x.shape[-len(by) :], strict=True)):
                result[(..., *to)] = x[(..., *place)]
        return result

    return DrawnEdit("shift", ", ".join(map(str, by)), moved)


@checked
def edits(kind: str = "image", shape: Shape | None = None, scale: float = 1.0) -> SearchStrategy[DrawnEdit]:
    """Edits of an input: nullify, and clip and shift for kinds that have them."""
    shape, scale = _shape(kind, shape), checks.number("scale", scale)
    found = [windows(kind, shape, scale).map(nullify)]
    if kind != "tabular":
        found.append(st.tuples(*(st.integers(-2, 2) for _ in shape[-2:])).map(lambda by: _shift(*by)))
    if kind != "tokens":
        found.append(
            st.sampled_from([(-0.5, 0.5), (0.0, 2.0), (-1.0, 0.25)]).map(lambda b: _clip(*(scale * k for k in b)))
        )
    return st.one_of(found)


@checked
def calls(
    models: Sequence[str] = ("f",),
    inputs: Sequence[str] = ("x", "y"),
    players: SearchStrategy[Players] | None = None,
    baselines: Sequence[str] = (),
    targets: Sequence[int] = (),
    outputs: Sequence[str] = ("logit",),
    edits: SearchStrategy[DrawnEdit] | None = None,
) -> SearchStrategy[DrawnCall]:
    """f(x) with options: `baselines` are names of registered inputs, `targets` classes; up to two `edits` of x."""
    return st.builds(
        DrawnCall,
        st.sampled_from(_some("models", models)),
        st.sampled_from(_some("inputs", inputs)),
        st.none() if players is None else players,
        st.sampled_from([None, *baselines]),
        st.sampled_from([None, *targets]),
        st.sampled_from(_some("outputs", outputs)),
        st.just(()) if edits is None else st.lists(edits, max_size=2).map(tuple),
    )


@checked
def plans(
    operands: SearchStrategy[DrawnCall] | None = None,
    layers: Sequence[int] = (),
    windows: SearchStrategy[DrawnWindow] | None = None,
    *,
    least: int = 0,
    joins: bool = True,
    antijoins: bool = True,
    depth: int = 2,
) -> SearchStrategy[Plan]:
    """Plans that are defined: ⋈ and ⋄ are not mixed, and no inner layer is lower than an outer one, or than `least`.

    `operands` are what is joined (default: `calls()`), `layers` and `windows` are what σ and Π may use; without
    them, there are no σ and no Π. The operands of a ⋄ have different inputs.
    """
    depth = checks.whole("depth", depth, 0, _DEEPEST)
    return _drawn_plan(
        calls() if operands is None else operands, tuple(layers), windows, least, joins, antijoins, depth
    )


@st.composite
def _drawn_plan(
    draw: DrawFn,
    leaf: SearchStrategy[DrawnCall],
    layers: Sequence[int],
    windows: SearchStrategy[DrawnWindow] | None,
    least: int,
    joins: bool,
    antijoins: bool,
    depth: int,
) -> Plan:

    def wrapped(inner: Callable[[int], Plan], least: int) -> Plan:
        legal = [layer for layer in layers if layer >= least]
        kind = draw(st.sampled_from(["as it is", *(["Π"] if windows is not None else []), *(["σ"] if legal else [])]))
        if kind == "Π" and windows is not None:
            return Where(draw(windows), wrapped(inner, least))
        if kind == "σ":
            layer = draw(st.sampled_from(legal))
            return DrawnLayer(layer, wrapped(inner, layer))
        return inner(least)

    def joined(least: int, left: int) -> Plan:
        if left == 0 or draw(st.booleans()) is False:
            return draw(leaf)
        count = draw(st.sampled_from([2, 3]))
        parts = tuple(wrapped(lambda least: joined(least, left - 1), least) for _ in range(count))
        return DrawnJoin(parts, draw(st.sampled_from([None, *WEIGHTS])) if count == 2 else None)

    def contrasted(least: int) -> Plan:
        drawn = draw(st.lists(leaf, min_size=2, max_size=3, unique_by=lambda call: call.input))
        return Anti(tuple(wrapped(lambda _, call=call: call, least) for call in drawn))  # type: ignore[misc]

    kinds = ["plain"] + ["⋈"] * joins + ["⋄"] * antijoins
    match draw(st.sampled_from(kinds)):
        case "⋈":
            return wrapped(lambda least: joined(least, depth), least)
        case "⋄":
            return wrapped(contrasted, least)
        case _:
            return wrapped(lambda _: draw(leaf), least)


@checked
def queries(
    plans: SearchStrategy[Plan] | None = None, clauses: Sequence[str] = ("", "using exact()", "budget 20")
) -> SearchStrategy[str]:
    """Query texts: a plan, and one of `clauses` at its end."""
    return st.builds(query, _plans() if plans is None else plans, st.sampled_from(_some("clauses", clauses)))


_plans = plans  # because `queries` has an argument named `plans`

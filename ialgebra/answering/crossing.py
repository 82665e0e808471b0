"""Where decisions change along an axis: coarse steps from the input on, then bisection to a thousandth of a standard
deviation, for all inputs and models at once.

In: names of an axis, of models and of an input, the catalog and a store. Out: `Crossings`. Each round draws inputs
once, in blocks, and runs each model on those that are open for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..algebra.rankings import ModelScore
from ..algebra.sources import Source
from ..catalog.catalog import Catalog
from ..catalog.drawing import like, numbers_of
from ..catalog.inputs import Element, Entry
from ..errors import BindError
from ..execution.store import Store
from ..execution.tape import Tape
from ..generators.axes import Axis
from ..generators.registered import RegisteredGenerator
from ..planner.strategy import PRESETS
from ..results.assemble import class_name
from ..results.crossings import Crossings
from ..system.arrays import Bools, Floats, Ints
from .running import Running
from .scoring import scores_of

_UNIT = 1_000  # parts of a standard deviation
_MOST_STEPS = 10_000
_PICTURES = 8


@dataclass
class _Line:
    """Inputs on their lines along an axis, read by models."""

    catalog: Catalog
    store: Store
    entry: Entry
    generator: RegisteredGenerator
    axis: Axis
    residual: bool
    rows: int = 0
    sources: Sequence[Source] = field(init=False)
    codes: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.sources = self.entry.sources
        self.codes = self.catalog.drawings.codes(self.sources, self.generator)

    def at(self, numbers: Ints, parts: Ints) -> list[Tensor]:
        """Some inputs, each moved by so many parts of a standard deviation."""
        codes = self.codes[torch.from_numpy(numbers)]
        far = torch.from_numpy(parts / _UNIT)[:, None, None]
        made = self.generator.drawn(torch.where(far == 0, codes, codes + far * self.axis.direction.double()))
        plain = self.generator.drawn(codes) if self.residual else None
        bases = [self.catalog.element(self.sources[k]).tensor for k in numbers.tolist()]
        return like(bases, self.entry.name, made, plain)

    def predicted(self, model: str, tensors: Sequence[Tensor]) -> Ints:
        """The classes that a model predicts for such inputs (n,)."""
        draft, name = self.catalog.snapshot(), self.entry.name
        elements = tuple(map(Element, tensors))
        draft.inputs[name] = Entry(name, elements, True, self.entry.kind, self.entry.feature_names)
        running = Running(draft, self.store, Tape(None), now=self.store.begin())
        asked = [ModelScore(model, None, None, "logit")]
        said = scores_of(asked, [Source(name, k) for k in range(len(tensors))], PRESETS["BEST"], 0, running)
        self.rows += running.spending.rows
        return np.array(said, dtype=np.int64)


def crossings(
    catalog: Catalog,
    store: Store,
    axis: str,
    models: Sequence[str],
    inputs: str,
    to: float,
    step: float,
    keep: str | None,
) -> Crossings:
    """See `Session.crossings`."""
    line, models = _line(catalog, store, axis, inputs, keep), list(models)
    if not models:
        raise BindError("crossings takes one model at least")
    if not math.isfinite(to) or not round(abs(to) * _UNIT):
        raise BindError(f"crossings goes to a number of standard deviations other than 0, not {to:g}")
    if not math.isfinite(step) or step * _UNIT < 1 or abs(to) / step > _MOST_STEPS:
        raise BindError(
            f"a step is at least 0.001 standard deviations, and there are at most {_MOST_STEPS:,}; got {step:g}"
        )
    for model in models:
        network = catalog.model(model)
        if not network.probed:
            network.meet(catalog.element_for(model, line.sources[0]).tensor)
        if network.outputs.meaning == "values":
            raise BindError(f"model '{model}' returns values and decides nothing; crossings are those of classes")
    count, sign = len(line.sources), 1 if to > 0 else -1
    steps = max(1, math.ceil(abs(to) / step))
    grid = [round(abs(to) * _UNIT * k / steps) for k in range(steps + 1)]
    every = np.arange(count)
    start = line.at(every, np.zeros(count, dtype=np.int64))
    before = np.stack([line.predicted(model, start) for model in models])
    after, low, high = before.copy(), np.zeros_like(before), np.zeros_like(before)
    for last, there in pairwise(grid):
        open_ = every[(high == 0).any(axis=0)]
        if not len(open_):
            break
        drawn = line.at(open_, np.full(len(open_), sign * there))
        for row, model in enumerate(models):
            mine = np.flatnonzero(high[row, open_] == 0)
            if len(mine):
                said = line.predicted(model, [drawn[k] for k in mine.tolist()])
                changed = open_[mine][said != before[row, open_[mine]]]
                low[row, changed], high[row, changed] = last, there
                after[row, open_[mine]] = np.where(said != before[row, open_[mine]], said, after[row, open_[mine]])
    for row, model in enumerate(models):
        _bisected(line, model, sign, before[row], after[row], low[row], high[row])
    at = np.where(high > 0, sign * high / _UNIT, np.nan).T
    return Crossings(
        axis,
        to,
        tuple(map(str, line.sources)),
        tuple(models),
        at,
        _names(catalog, models, inputs, before, np.ones_like(before, dtype=bool)),
        _names(catalog, models, inputs, after, high > 0),
        _pictures(line, np.where(high > 0, sign * high, sign * grid[-1])),
        line.rows,
    )


def _line(catalog: Catalog, store: Store, axis: str, inputs: str, keep: str | None) -> _Line:
    if keep not in (None, "residual"):
        raise BindError(f"keep is 'residual' or None, not {keep!r}")
    along, entry = catalog.axis(axis), catalog.input(inputs)
    return _Line(catalog, store, entry, catalog.generator_for(entry, along.generator), along, keep == "residual")


def _bisected(line: _Line, model: str, sign: int, before: Ints, after: Ints, low: Ints, high: Ints) -> None:
    """Halve the interval of each input that has one, until it is one part long."""
    while len(wide := np.flatnonzero(high - low > 1)):
        middle = (low[wide] + high[wide]) // 2
        said = line.predicted(model, line.at(wide, sign * middle))
        changed = said != before[wide]
        high[wide[changed]], after[wide[changed]] = middle[changed], said[changed]
        low[wide[~changed]] = middle[~changed]


def _names(
    catalog: Catalog, models: Sequence[str], inputs: str, classes: Ints, told: Bools
) -> tuple[tuple[str, ...], ...]:
    """The names of classes (models, n), an entry for each input; '' where there is nothing to tell."""
    named = [
        [class_name(catalog, model, inputs, k) if there else "" for k, there in zip(row, mask, strict=True)]
        for model, row, mask in zip(models, classes.tolist(), told.tolist(), strict=True)
    ]
    return tuple(zip(*named, strict=True))


def _pictures(line: _Line, parts: Ints) -> Floats:
    """The first inputs at 0 and at each model's point, (k, 1 + models, *shape)."""
    some = np.arange(min(_PICTURES, parts.shape[1]))
    every = [line.at(some, np.zeros_like(some)), *(line.at(some, row[some]) for row in parts)]
    stacked = torch.stack([torch.stack([numbers_of(each, line.entry.name) for each in one]) for one in every], dim=1)
    return stacked.double().numpy()

"""Scores of whole inputs: what models answer for them, read while the rows come.

In: which scores of which models are wanted, and the inputs. Out: arrays of numbers. Rows are found again under the
names that v(N) of a map has. It may not know how a statement was written, or what a ranking makes of scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from ..algebra.edits import made_one
from ..algebra.rankings import ModelScore
from ..algebra.sources import Source
from ..catalog.catalog import Catalog
from ..execution.execution import Executor
from ..execution.tables import Outcome, ReadOtherwise
from ..execution.wholes import WholeInputs
from ..language.bind.predict import AskedModel
from ..models.network import Network
from ..models.outputs import OutputReading, column, several
from ..planner.strategy import Strategy
from ..planner.wholes import WholePlan, plan_wholes
from ..system.arrays import Floats, Ints
from .running import Running, Standing, Watch

TOP = 5
"""Classes of highest score that are kept of each input."""


@dataclass
class ScoreReader:
    """Reads scores of `count` inputs from logits as they come: `scores` has an array (n,) for each that is `wanted`,
    and `top` for each model in `asked` its classes of highest score (n, k) and the scores of these."""

    catalog: Catalog
    count: int
    wanted: Sequence[ModelScore]
    asked: Sequence[AskedModel] = ()
    scores: dict[ModelScore, Floats] = field(init=False)
    top: dict[AskedModel, tuple[Ints, Floats]] = field(init=False)
    _readings: dict[str, OutputReading] = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was read."""
        self.scores = {each: np.full(self.count, np.nan) for each in self.wanted}
        self.top, self._readings = {}, {}

    @property
    def layers(self) -> dict[str, tuple[int | None, ...]]:
        """For each model the layers at which it is read."""
        found: dict[str, dict[int | None, None]] = {}
        for model, layer in [(each.model, each.layer) for each in self.asked] + [
            (each.model, each.layer) for each in self.wanted
        ]:
            found.setdefault(model, {})[layer] = None
        return {model: tuple(layers) for model, layers in found.items()}

    def read(self, model: str, numbers: Ints, logits: Mapping[int | None, Tensor]) -> None:
        """Enter what is read of some inputs, given by their `numbers` (rows,), from logits (rows, K) at each layer.

        Raises ReadOtherwise where the outputs of the model were read otherwise before, ModelError for a probability
        outside [0, 1].
        """
        network = self.catalog.model(model)
        reading = self._readings.setdefault(model, network.outputs)
        if network.outputs != reading:
            raise ReadOtherwise(model, reading, network.outputs)
        for each, values in self.scores.items():
            if each.model == model:
                outputs, own = logits[each.layer], _reading_at(network, each.layer)
                found = (
                    own.predictions(outputs) if each.target is None else column(outputs, each.target, each.output, own)
                )
                values[numbers] = found.numpy()
        for asked in self.asked:
            if asked.model == model:
                outputs, own = logits[asked.layer], _reading_at(network, asked.layer)
                classes = own.highest(outputs, TOP)
                if asked not in self.top:
                    shape = self.count, classes.shape[1]
                    self.top[asked] = np.zeros(shape, dtype=np.int64), np.full(shape, np.nan)
                self.top[asked][0][numbers] = classes.numpy()
                self.top[asked][1][numbers] = several(outputs, classes, asked.output, own).numpy()


def _reading_at(network: Network, layer: int | None) -> OutputReading:
    return network.outputs if layer is None else network.outputs.head


def planned(
    reader: ScoreReader, sources: Sequence[Source], names: tuple[str, ...], query: str, strategy: Strategy, seed: int
) -> WholePlan:
    """The plan of what `reader` reads of `sources`, which come of registered inputs of these `names`."""
    elements = reader.catalog.element(sources[0]).tensor.numel() if sources else 0
    plan = plan_wholes(reader.layers, len(sources), elements, names, query, reader.catalog, strategy, seed)
    return replace(plan, collapsed=made_one(sources[0].collection) if sources else 0)


def run(
    reader: ScoreReader, sources: Sequence[Source], plan: WholePlan, running: Running, watch: Watch | None = None
) -> Outcome:
    """Read all inputs of a plan. Raises what `WholeInputs.run` raises."""

    catalog, last = running.catalog, dict[range, list[Tensor]]()

    def inputs(model: str, numbers: range) -> list[Tensor]:
        if numbers not in last or catalog.has_tokens(sources[0]):
            last.clear()  # its memory is given back first
            some = sources[numbers.start : numbers.stop]
            last[numbers] = [each.tensor for each in catalog.elements_for(model, some)]
        return last[numbers]

    def execution(executor: Executor) -> WholeInputs:
        reader.begin()
        return WholeInputs(executor, plan, inputs, reader.read)

    before = running.spending.rows

    def report(done: int, total: int) -> None:
        if watch is not None:
            watch(Standing(before + done, before + total, running.seconds, None, None))

    outcome = running.performed(execution, plan.names, report)
    assert outcome is not None, "a run without a deadline always finishes"
    for model, content in outcome.contents.items():
        catalog.readings.note(model, (*content, *outcome.heads[model].items()))
    return outcome


def scores_of(
    wanted: Sequence[ModelScore], sources: Sequence[Source], strategy: Strategy, seed: int, running: Running
) -> list[float]:
    """The scores of a query's inputs: those of the first score first."""
    reader = ScoreReader(running.catalog, len(sources), wanted)
    names = tuple(dict.fromkeys(source.name for source in sources))
    run(reader, sources, planned(reader, sources, names, "", strategy, seed), running)
    return [value for each in wanted for value in reader.scores[each].tolist()]

"""How much of what a model says is left when inputs are encoded and drawn again, and the warnings that follow.

In: a catalog, a generator with its collection, a model. Out: shares of variance, and sentences. Inputs are up to 200 of
the collection, evenly spaced; what was measured is kept until the generator, the model or the collection changes. The
rows are not those of a query: they are told as rows that were run to learn about the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..algebra.edits import Latent, LatentEdit, Reconstructed
from ..algebra.operators import OutputKind
from ..algebra.rankings import ModelScore
from ..algebra.sources import Source
from ..catalog.catalog import Catalog
from ..errors import IalgebraError
from ..execution.store import Store
from ..execution.tape import Tape
from ..generators.registered import RegisteredGenerator
from ..models.concepts import DerivedNetwork
from ..planner.spending import Spending
from ..planner.strategy import PRESETS
from ..results.assemble import say_once
from ..results.model_scores import ModelScores
from ..system.arrays import Floats
from .running import Running
from .scoring import scores_of

ENOUGH = 0.5
"""The share of the variance of scores below which edits of codes say little of a model."""

STILL = 0.25
"""How far a score may move along a sweep that is called silent, in standard deviations over the collection."""

_KINDS: tuple[OutputKind, ...] = ("logit", "probability", "log_odds")
_LOOKED_AT = 200  # inputs of a collection


@dataclass(frozen=True, eq=False)
class DrawnShare:
    """What is left of the scores of `model` for inputs that `generator` draws: `kept` is the share of their variance,
    NaN where they do not vary, and `agree` that of equal predictions (None for a regression). `spread` has, for each
    kind of output, the standard deviations (K,) of scores over the inputs themselves; `rows` were run."""

    generator: str
    model: str
    kept: float
    agree: float | None
    spread: Mapping[str, Floats]
    rows: int

    @property
    def is_little(self) -> bool:
        """Whether less is left than `ENOUGH`."""
        return self.kept < ENOUGH

    @property
    def share(self) -> str:
        """The share that is kept, in words."""
        return f"{max(self.kept, 0):.0%}"


def looked_at(catalog: Catalog, generator: RegisteredGenerator) -> list[Source]:
    """Evenly spaced elements of a generator's collection; none where it has no collection, or finds no codes."""
    if generator.collection is None or not generator.encodes or generator.collection not in catalog.inputs:
        return []
    count = len(catalog.input(generator.collection).elements)
    some = np.linspace(0, count - 1, min(count, _LOOKED_AT)).round().astype(int)
    return [Source(generator.collection, each) for each in some.tolist()] if count > 1 else []


def redrawn(sources: Iterable[Source], generator: RegisteredGenerator) -> list[Source]:
    """The same inputs as the generator draws them."""
    plain = Reconstructed(generator.name, "", 1.0)
    return [Source(each.name, each.index, (*each.edits, plain)) for each in sources]


def drawn_share(catalog: Catalog, generator: RegisteredGenerator, model: str) -> DrawnShare | None:
    """What is left of a model's scores; None where nothing can be measured. Raises what the models raise."""
    network = catalog.model(model)
    if generator.collection not in catalog.inputs or isinstance(network, DerivedNetwork):
        return None
    entry, readings = catalog.input(str(generator.collection)), catalog.readings
    key: tuple[object, ...] = ()
    for anew in (False, True):  # what is measured is kept under what is read before
        key = (
            generator.name,
            readings.generator(generator.name, anew=anew),
            model,
            readings.model(model, anew=anew),
            entry,
        )
        if isinstance(known := catalog.shares.get(key), DrawnShare):
            return known
    if not (sources := looked_at(catalog, generator)):
        return None
    if not network.probed:
        network.meet(catalog.element_for(model, sources[0]).tensor)
    if network.row_shape != generator.shape:
        return None
    values = network.outputs.meaning == "values"
    classes, kinds = range(network.class_count), _KINDS[:1] if values else _KINDS
    wanted = [ModelScore(model, None, k, kind) for kind in kinds for k in classes]
    running = Running(catalog, Store(), Tape(None))
    said = scores_of(wanted, [*sources, *redrawn(sources, generator)], PRESETS["BEST"], 0, running)
    scores = np.array(said).reshape(len(kinds), len(classes), 2, len(sources))
    one, other = scores[-1].transpose(1, 2, 0)  # log-odds, or values
    total = float(np.square(one - one.mean(axis=0)).sum())
    kept = 1 - float(np.square(other - one).sum()) / total if total else float("nan")
    agree = None if values else float((one.argmax(axis=1) == other.argmax(axis=1)).mean())
    spread = dict(zip(kinds, scores[:, :, 0].std(axis=2), strict=True))
    found = DrawnShare(generator.name, model, kept, agree, spread, running.spending.rows)
    catalog.shares[key] = found
    return found


def warn_of_shares(asked: Iterable[tuple[str, Source]], catalog: Catalog) -> Spending:
    """Warn, once a session, about each model whose edited inputs are drawn by a generator that keeps little of its
    scores. `asked` are models with inputs; what cannot be measured is not warned of."""
    pairs = dict.fromkeys((model, edit.generator) for model, source in asked for edit in _latent(source))
    examined = 0
    for model, name in pairs:
        network, generator = catalog.model(model), catalog.generator(name)
        told = f"drawn by {generator.name} {catalog.readings.generator(name)}"
        if told in network.told:
            continue
        try:
            share = drawn_share(catalog, generator, model)
        except IalgebraError:  # of other inputs than those that are asked about
            continue
        if share is None:
            continue
        examined += share.rows
        if not share.is_little:
            network.told.add(told)
            continue
        say_once(
            network,
            f"keeps {share.share} of the variance of its scores where generator '{name}' draws its inputs: most of "
            "what decides is not drawn, and edits of codes say little of it. See where that lies: select * from "
            f"{model}(x, baseline => reconstruct)",
            told=told,
        )
    return Spending(examined=examined)


def silent_sweeps(models: Iterable[ModelScores], sources: list[Source], catalog: Catalog) -> Iterator[str]:
    """A sentence for each model whose scores do not move along a sweep of codes, where its generator keeps little of
    them: such a sweep tells nothing."""
    last = sources[0].edits[-1] if sources and sources[0].edits else None
    swept = [edit for source in sources[:1] for edit in _latent(source) if edit.step is not None]
    if not swept or len({source.step for source in sources}) < 2 or last is None:
        return
    generator = catalog.generator(swept[0].generator)
    groups: dict[object, list[int]] = {}
    for row, source in enumerate(sources):
        groups.setdefault(source.index, []).append(row)
    for each in models:
        if each.layer is not None or not (share := _known_share(catalog, generator, each.model)):
            continue
        if not share.is_little:
            continue
        if _moved(each, list(groups.values()), share.spread[each.output]) < STILL:
            along = f" along '{swept[0].axis}'" if isinstance(swept[0], Latent) else ""
            yield (
                f"{each.model} does not move{along}, but generator '{generator.name}' keeps only {share.share} of the "
                "variance of its scores: this sweep does not tell that the model does not look there"
            )


def _known_share(catalog: Catalog, generator: RegisteredGenerator, model: str) -> DrawnShare | None:
    try:
        return drawn_share(catalog, generator, model)
    except IalgebraError:
        return None


def _moved(scores: ModelScores, groups: list[list[int]], spread: Floats) -> float:
    """The furthest that a score moves along the sweeps of some inputs, on average, in standard deviations; infinitely
    far where a prediction changes."""
    if any(len(set(scores.predicted[rows].tolist())) > 1 for rows in groups):
        return float("inf")
    shown = scores.top.shape[1] if scores.is_regression else 1
    columns = scores.target_scores if scores.targets else scores.top_scores[:, :shown]
    scale = spread[list(scores.targets) or scores.top[0, :shown]]
    ranges = np.mean([np.ptp(columns[rows], axis=0) for rows in groups], axis=0)
    return float((ranges / np.where(scale > 0, scale, 1)).max())


def _latent(source: Source) -> Iterator[LatentEdit]:
    yield from (edit for edit in source.edits if isinstance(edit, LatentEdit))

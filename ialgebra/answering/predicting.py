"""PREDICT: from its syntax tree to scores.

In: a parsed PREDICT, the session's catalog and store. Out: `Scores`, or for EXPLAIN the text of its plan. Each input is
read as a whole, once by each model; the inputs that HAVING keeps are the answer. It may not know the session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np

from ..algebra.edits import registered
from ..algebra.rankings import ranked
from ..algebra.sources import Source, texts
from ..catalog.catalog import Catalog
from ..errors import IalgebraError, ModelError
from ..execution.store import Store
from ..execution.tables import Outcome
from ..execution.tape import Tape
from ..language import tree
from ..language.bind.predict import AskedModel, BoundPredict, bind_predict
from ..language.bind.ranking import with_outputs
from ..planner.formats import PlanFormat
from ..planner.spending import Spending
from ..planner.strategy import Strategy
from ..planner.whole_details import WholeDetails, whole_details, whole_plan_as
from ..planner.wholes import WholePlan
from ..results.assemble import class_name, unit_of, warn_of_models
from ..results.model_scores import ModelScores
from ..results.provenance import provenance_of_scores
from ..results.relation import Relation, Stats
from ..results.scores import Scores
from ..system.arrays import Bools, Ints
from . import explaining
from .again import inputs_again
from .binding import told_by_models
from .drawn_shares import silent_sweeps, warn_of_shares
from .judging import agreeing, missed
from .running import Running, Watch
from .scoring import ScoreReader, planned, run


@dataclass(frozen=True)
class PredictRequest:
    """A PREDICT to answer: its tree, the text that contains it, the seed and the strategy."""

    predict: tree.Predict
    text: str
    seed: int
    strategy: Strategy

    @property
    def own_text(self) -> str:
        """The part of the text that is this statement."""
        return self.text[self.predict.span.start : self.predict.span.end]

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Within this, every error gets its position in the text: its own word, or the models."""
        try:
            yield
        except IalgebraError as error:
            span = self.predict.models[0].span if isinstance(error, ModelError) else self.predict.span
            raise error.at(self.text, span) from error.__cause__


@dataclass(frozen=True)
class _Prepared:
    """A bound PREDICT with its reader and its plan."""

    bound: BoundPredict
    reader: ScoreReader
    plan: WholePlan


def _prepared(request: PredictRequest, catalog: Catalog) -> _Prepared:
    bound = told_by_models(lambda known: bind_predict(request.predict, request.text, catalog, known), catalog)
    wanted = [each.score(target) for each in bound.asked for target in (None, *each.targets)]
    wanted += [each for each in bound.ranking.outputs.values() if each not in wanted]
    reader = ScoreReader(catalog, len(bound.sources), list(dict.fromkeys(wanted)), bound.asked)
    names = tuple(dict.fromkeys(registered(bound.sources)))
    plan = planned(reader, bound.sources, names, request.own_text, request.strategy, request.seed)
    return _Prepared(bound, reader, plan)


def predicted(request: PredictRequest, catalog: Catalog, store: Store, watch: Watch | None = None) -> Scores:
    """The answer to a PREDICT; its plan tells what was measured."""
    if request.strategy.reuse is False:  # its rows are not for others, whose batches may have another size
        store = Store()
    running = Running(catalog, store, Tape(request.strategy.batches), now=store.begin())
    with request.placing():
        prepared = _prepared(request, catalog)
        outcome = run(prepared.reader, prepared.bound.sources, prepared.plan, running, watch)
        warn_of_models([each.model for each in prepared.plan.passes], prepared.plan.names, catalog)
        asked = [(each.model, source) for each in prepared.bound.asked for source in prepared.bound.sources[:1]]
        agree = agreeing(prepared.bound.sources, request.strategy, request.seed, running)
        told = tuple(missed(prepared.bound.sources, request.strategy, request.seed, running))
        running.spending += warn_of_shares(asked, catalog) + Spending(rows=catalog.search_rows)
    return _scores(request, catalog, prepared, outcome, agree, told, running)


def drawn(answer: Scores, form: PlanFormat) -> Relation:
    """The answer to EXPLAIN ANALYZE PREDICT: the scores, with their plan in the format `form` as text."""
    return answer.told(whole_plan_as(cast("WholeDetails", answer.details), form), answer.query)


def explained(request: PredictRequest, catalog: Catalog, form: PlanFormat = "text") -> Relation:
    """EXPLAIN PREDICT: which models are given how many inputs, without running them."""
    with request.placing():
        prepared = _prepared(request, catalog)
        details = whole_details(prepared.plan, str(prepared.bound.ranking))
        return explaining.said(whole_plan_as(details, form), request.own_text, details)


def _scores(
    request: PredictRequest,
    catalog: Catalog,
    prepared: _Prepared,
    outcome: Outcome,
    agree: Mapping[str, Bools],
    told: tuple[str, ...],
    running: Running,
) -> Scores:
    bound, reader = prepared.bound, prepared.reader
    ranking, outputs = bound.ranking, bound.ranking.outputs
    count = len(bound.sources)
    answers = np.array([reader.scores[each] for each in outputs.values()]).reshape(len(outputs), count)
    elements = with_outputs(bound.elements, outputs, answers, catalog)
    rows = ranked(ranking, elements).astype(np.int64)
    sources = [bound.sources[row] for row in rows.tolist()]
    entry = catalog.input(sources[0].name) if sources else None
    labels = None
    if entry is not None and entry.labels is not None:
        labels = tuple(str(entry.labels[source.index or 0]) for source in sources)
    models = tuple(_of_model(each, reader, rows, catalog, sources) for each in bound.asked)
    shown = {each.score(target) for each in bound.asked for target in (None, *each.targets)}
    for each, model in zip(bound.asked, models, strict=True):
        if model.is_regression:  # all its outputs are shown, up to the first few
            shown |= {each.score(target) for target in model.top[0].tolist()}
    stats = Stats.of(running.spending, running.seconds, bound_met=True)
    details = whole_details(prepared.plan, str(ranking), running.spending, running.seconds)
    return Scores(
        models=models,
        inputs=tuple(texts(sources)),
        places=np.array([-1 if source.index is None else source.index for source in sources], dtype=np.int64),
        steps=np.array([np.nan if source.step is None else float(source.step) for source in sources]),
        labels=labels,
        ranked={name: reader.scores[each][rows] for name, each in outputs.items() if each not in shown},
        stats=stats,
        plan=whole_plan_as(details, "text"),
        details=cast("dict[str, object]", details),
        query=request.own_text,
        agreeing={name: each[rows] for name, each in agree.items()},
        notes=(*silent_sweeps(models, sources, catalog), *told),
        provenance=provenance_of_scores(request.predict, catalog, prepared.plan, outcome, running.tape.batches),
        contents=inputs_again(catalog, sources) if sources else None,
    )


def _of_model(
    asked: AskedModel, reader: ScoreReader, rows: Ints, catalog: Catalog, sources: list[Source]
) -> ModelScores:
    network = catalog.model(asked.model)
    top, top_scores = reader.top.get(asked, (np.zeros((0, 0), dtype=np.int64), np.zeros((0, 0))))
    top, top_scores = top[rows], top_scores[rows]
    regression = network.outputs.meaning == "values"
    predicted = reader.scores[asked.score(None)][rows].astype(np.int64)
    target_scores = [reader.scores[asked.score(target)][rows] for target in asked.targets]
    met = {*np.unique(top).tolist(), *asked.targets, *np.unique(predicted).tolist()}
    first = sources[0].name if sources else ""
    return ModelScores(
        model=asked.model,
        layer=asked.layer,
        output=asked.output,
        unit=unit_of(network, asked.output),
        predicted=np.full(len(rows), -1, dtype=np.int64) if regression else predicted,
        top=top,
        top_scores=top_scores,
        targets=asked.targets,
        target_scores=np.stack(target_scores, axis=1) if target_scores else np.zeros((len(rows), 0)),
        names={k: class_name(catalog, asked.model, first, k) for k in sorted(met)} if sources else {},
        words=network.behaviour.words,
    )

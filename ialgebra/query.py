"""One query from syntax tree to Relation: bind → compile → execute → maps. The only place where the rooms meet.

In: a parsed query, the session's catalog and store, a seed and a strategy. Out: a Relation.
"""

from __future__ import annotations

import hashlib
import platform
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from .catalog import Catalog
from .errors import BudgetError, IalgebraError, IalgebraWarning
from .execution.executor import Executor, Outcome, Progress
from .execution.maps import EstimatedMap, Estimates
from .execution.store import Store
from .language import syntax
from .language.binder import bind
from .planner.compiler import compile_plan
from .planner.explain import Details, Measured, explain, text
from .planner.games import Answer, Leaf, Predicted
from .planner.physical import Output, PhysicalPlan
from .planner.strategy import Strategy
from .results import Attribution, Relation, Stats
from .version import __version__


@dataclass(frozen=True)
class Request:
    """A query to answer: its tree, the text that it stands in, and how."""

    query: syntax.Query
    text: str
    seed: int
    strategy: Strategy

    @property
    def own_text(self) -> str:
        """The query's own words within a script."""
        return self.text[self.query.span.start : self.query.span.end]


def plan(request: Request, catalog: Catalog) -> PhysicalPlan:
    """The physical plan of a query; every error is placed in its text."""
    try:
        bound = bind(request.query, request.text, catalog)
        return compile_plan(
            bound.maps, catalog, request.strategy, request.seed, query=request.own_text, places=bound.places
        )
    except IalgebraError as error:
        clause = request.query.using or request.query.budget if isinstance(error, BudgetError) else None
        raise error.at(request.text, clause.span if clause else None) from error.__cause__


def explained(request: Request, catalog: Catalog) -> Relation:
    """EXPLAIN: the plan of a query, which is not run."""
    details = explain(plan(request, catalog), catalog)
    return said(text(details), request.own_text, details)


def said(words: str, query: str, details: Details | None = None) -> Relation:
    """A relation without maps: what a statement other than a query answers."""
    stats = Stats(rows=0, seconds=0.0, bound_met=True, batches=0, forward_seconds=0.0, reused_rows=0)
    plain = cast("dict[str, object]", details or {})
    return Relation(attributions=(), stats=stats, plan=words, details=plain, text=words, query=query, provenance={})


def answered(
    request: Request, catalog: Catalog, store: Store, progress: Progress | None = None, *, analyze: bool = False
) -> Relation:
    """The answer to a query; with `analyze` the relation's text is the plan with what was measured."""
    started = time.perf_counter()
    unknown = [network for network in catalog.models.values() if not network.probed]
    physical = plan(request, catalog)
    outcome = Executor(catalog, store, progress).run(physical)
    rows = outcome.rows + sum(network.probed for network in unknown)  # a model's first row tells its layers and classes
    estimates = Estimates(physical, outcome)
    maps = [
        _attribution(output, answer, estimates.map(answer, readings), outcome, catalog)
        for output in physical.outputs
        for answer, readings in zip(output.answers, output.readings, strict=True)
    ]
    for output in physical.outputs:
        _warn(output, outcome)
    seconds = time.perf_counter() - started
    measured = Measured(
        rows=rows,
        reused=outcome.reused,
        batches=outcome.batches,
        seconds=seconds,
        forward_seconds=outcome.forward_seconds,
        errors=[(each.label, each.relative_error) for each in maps],
    )
    details = explain(physical, catalog, measured)
    words = text(details)
    return Relation(
        attributions=maps,
        stats=Stats(
            rows=rows,
            seconds=seconds,
            bound_met=True,
            batches=outcome.batches,
            forward_seconds=outcome.forward_seconds,
            reused_rows=outcome.reused,
        ),
        plan=words,
        details=cast("dict[str, object]", details),
        text=words if analyze else None,
        query=request.own_text,
        provenance=_provenance(request, catalog, physical, outcome),
    )


def _attribution(
    output: Output, answer: Answer, found: EstimatedMap, outcome: Outcome, catalog: Catalog
) -> Attribution:
    leaf = answer.shown[0]
    entry = catalog.input(leaf.source.name)
    network = catalog.model(leaf.model)
    sizes = np.bincount(found.labels[found.labels >= 0], minlength=len(found.values))
    spread = np.append(found.values / np.maximum(sizes, 1), 0.0)
    targets = tuple(dict.fromkeys(_targets(answer.shown, outcome)))
    layers = {each.layer for each in answer.shown}
    return Attribution(
        map=spread[found.labels],
        values=found.values,
        stderr=found.stderr,
        players=np.array(found.labels),
        label=output.label or _label(answer),
        model=", ".join(dict.fromkeys(each.model for each in answer.shown)),
        layer=leaf.layer if len(layers) == 1 else None,
        input=", ".join(dict.fromkeys(str(each.source) for each in answer.shown)),
        baseline=answer.against,
        target=targets[0] if len(targets) == 1 else targets,
        target_name=", ".join(network.class_name(target) for target in targets),
        base_value=found.base,
        full_value=found.full,
        kind=entry.kind,
        content=np.array(catalog.element(leaf.source).array),
        feature_names=entry.feature_names,
        method=found.method,
        component=answer.component,
        item=output.item,
    )


def _targets(leaves: Sequence[Leaf], outcome: Outcome) -> list[int]:
    return [outcome.targets[each.target] if isinstance(each.target, Predicted) else each.target for each in leaves]


def _label(answer: Answer) -> str:
    """What a map is, in the words of a query: `f(x) layer 2 against x'`."""
    names = list(dict.fromkeys(f"{each.model}({each.source})" for each in answer.shown))
    shown = " join ".join(names[:3]) + (f" join … {len(names) - 3} more" if len(names) > 3 else "")
    layers = {each.layer for each in answer.shown} - {None}
    layer = f" layer {layers.pop()}" if len(layers) == 1 else ""
    against = f" against {answer.against}" if answer.component is not None else ""
    return f"{shown}{layer}{against}"


def _warn(output: Output, outcome: Outcome) -> None:
    """A join of different classes and an anti-join of equal classes are legal, and rarely what was meant."""
    classes = [set(_targets(answer.shown, outcome)) for answer in output.answers]
    models = [{leaf.model for leaf in answer.shown} for answer in output.answers]
    if any(len(each) > 1 for each in classes):
        shown = sorted(set().union(*classes))
        warnings.warn(IalgebraWarning(f"this join adds maps of different classes: {shown}"), stacklevel=5)
    if len(classes) > 1 and len(set().union(*classes)) == 1 and len(set().union(*models)) == 1:
        warnings.warn(
            IalgebraWarning(f"this anti-join compares inputs of one class ({classes[0].pop()}); set target => …"),
            stacklevel=5,
        )


def _provenance(request: Request, catalog: Catalog, physical: PhysicalPlan, outcome: Outcome) -> dict[str, object]:
    """Enough to repeat a query: versions, contents by digest, seed and strategy."""
    leaves = {leaf for output in physical.outputs for answer in output.answers for leaf in answer.shown}
    return {
        "ialgebra": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "seed": request.seed,
        "strategy": request.strategy.name,
        "inputs": {str(leaf.source): catalog.element(leaf.source).digest for leaf in leaves},
        "models": {
            name: hashlib.blake2b(repr(content).encode(), digest_size=12).hexdigest()
            for name, content in sorted(outcome.fingerprints.items())
        },
    }

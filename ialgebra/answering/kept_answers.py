"""Answers that are kept whole: an unchanged question is answered again without planning or estimating anything.

In: a request, the catalog, the store, and answers as they are given. Out: the kept answer, if all that it depends on is
as it was: its words, seed and strategy, what its names mean, the models' contents, the machine. Not kept are answers
that a clock may have stopped, that were warned of, of models that are no functions of their rows or cannot be read
whole, of a user's own interpreters, and of inputs that every query reads anew. It runs no model.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
import weakref
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ..catalog.catalog import Catalog
from ..catalog.inputs import Element, Entry
from ..execution.store import Store
from ..interpreters.shipped import SHIPPED
from ..models.network import Network
from ..planner.explain import Details, Measured, measured_of, text
from ..planner.spending import Spending
from ..results.columns import CodedColumn, MapColumns
from ..results.provenance import environment, model_contents, texts_in_force
from ..results.relation import Relation, Stats
from ..results.views import AttributionViews
from .question import Request

_T = TypeVar("_T")

SAME_QUESTION = "the same question"


@dataclass(frozen=True, eq=False)
class _Kept:
    """An answer, and what its session held. Of inputs and models all are compared, since a name of one input may be
    looked up in every other; settings, windows and views are in the answer's provenance."""

    columns: MapColumns
    answer: Relation  # without maps and measurements
    measured: Measured
    words: str | None  # its text, if it answers in words
    inputs: dict[str, weakref.ref[Entry | Element]]
    models: dict[str, weakref.ref[Network]]


def find(request: Request, catalog: Catalog, store: Store) -> Relation | None:
    """The answer to an equal request, if nothing that it depends on has changed; its cost is that of this time."""
    started = time.perf_counter()
    kept = store.answers.find(_key(request))
    if not isinstance(kept, _Kept) or not _as_it_was(kept, request, catalog):
        return None
    before = kept.answer.stats
    reused = before.rows + before.reused_rows
    spending = Spending(hits={SAME_QUESTION: reused} if reused else {})
    seconds = time.perf_counter() - started
    measured = measured_of(spending, seconds, peak=None, decisions=(), errors=kept.columns.bounds)
    measured["decisions"] = copy.deepcopy(kept.measured["decisions"])
    details = cast(Details, copy.deepcopy(kept.answer.details) | {"measured": measured})
    ahead = None if before.forecast_rows is None else before.forecast_rows - before.rows
    words = text(details)
    return Relation(
        attributions=AttributionViews(kept.columns),
        stats=Stats.of(spending, seconds, bound_met=before.bound_met, forecast_rows=ahead, given_up=before.given_up),
        plan=words,
        details=cast("dict[str, object]", details),
        text=kept.words,
        query=request.own_text,
        provenance=copy.deepcopy(kept.answer.provenance) | {"batches": []},
    )


def keep(request: Request, catalog: Catalog, store: Store, answer: Relation) -> None:
    """Keep an answer that was just given, if an equal one would be given again."""
    reads = [catalog.model(name) for name in _models(answer)]
    surely = all(each.known_whole and not each.behaviour.words for each in reads)
    own = not catalog.interpreters.items() <= SHIPPED.items()
    if request.strategy.reuse is False or not math.isinf(request.bounds.seconds) or not surely or own:
        return
    told = cast("Mapping[str, object]", answer.provenance["inputs"])
    if any(each.block is not None and name in told for name, each in catalog.inputs.items()):
        return
    columns = answer.columns
    details = {name: value for name, value in answer.details.items() if name != "measured"}
    bare = Relation(
        attributions=(),
        stats=answer.stats,
        plan="",
        details=copy.deepcopy(details),
        text=None,
        query=answer.query,
        provenance=copy.deepcopy(answer.provenance),
    )
    kept = _Kept(
        columns,
        bare,
        cast(Measured, answer.details["measured"]),
        answer.text if answer.is_text else None,
        _refs(_registered(catalog)),
        _refs(catalog.models),
    )
    for array in _arrays(columns):
        array.flags.writeable = False  # who changes an answer's arrays must not change the next answer
    store.answers.keep(_key(request), kept, sum(array.nbytes for array in _arrays(columns)))


def _key(request: Request) -> Hashable:
    return request.own_text, request.seed, request.strategy


def _models(answer: Relation) -> list[str]:
    return list(cast("Mapping[str, object]", answer.provenance["models"]))


def _as_it_was(kept: _Kept, request: Request, catalog: Catalog) -> bool:
    """Whether every name means what it meant, every model is what it was, and so is the machine."""
    told = kept.answer.provenance
    return (
        _are(kept.inputs, _registered(catalog))
        and _are(kept.models, catalog.models)
        and catalog.interpreters.items() <= SHIPPED.items()
        and all(told[what] == value for what, value in environment().items())
        and all(told[what] == value for what, value in texts_in_force(request.query, catalog).items())
        and model_contents(told, catalog) == told["models"]
    )


def _registered(catalog: Catalog) -> dict[str, Entry | Element]:
    """For each input an object that lives as long as its registration."""
    return {name: each if each.first is None else each.first for name, each in catalog.inputs.items()}


def _refs(named: Mapping[str, _T]) -> dict[str, weakref.ref[_T]]:
    return {name: weakref.ref(each) for name, each in named.items()}


def _are(before: Mapping[str, weakref.ref[_T]], named: Mapping[str, _T]) -> bool:
    """Whether the same objects have the same names."""
    return before.keys() == named.keys() and all(before[name]() is each for name, each in named.items())


def _arrays(columns: MapColumns) -> Iterator[NDArray[Any]]:
    """The arrays that an answer holds."""
    for each in dataclasses.fields(columns):
        held = getattr(columns, each.name)
        if isinstance(held, np.ndarray):
            yield held
        elif isinstance(held, CodedColumn):
            yield held.codes
            yield from (entry for entry in held.table if isinstance(entry, np.ndarray))
    yield from columns.own.values()

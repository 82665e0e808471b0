"""Codes: the attributes of a query's inputs, found before its games over attributes are planned.

In: which codes plans need, the catalog, and how whole inputs are run. Out: the codes in the catalog's book. All inputs
of one model of attributes are run together, each once, through the store. It may not know what games are made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..algebra.operators import Estimation
from ..algebra.players import OnePlayer
from ..algebra.windows import evaluate
from ..catalog.catalog import Catalog
from ..execution.execution import Executor
from ..execution.wholes import WholeInputs
from ..models.concepts.resuming import resumed_of
from ..planner.codes import Code, CodeUse, resumed_name
from ..planner.end_rows import EndRows
from ..planner.games import Leaf
from ..planner.strategy import Strategy
from ..planner.wholes import plan_wholes
from ..system.arrays import Ints
from .running import Running

Coding = Callable[[str, Mapping[Code, CodeUse]], Sequence[Tensor]]
"""Gives the codes (J,) of inputs by a model of attributes, and is told what each is needed for."""


def uncoded(catalog: Catalog) -> Coding:
    """Codes for a plan that is not run: no attribute is what it is at the baseline."""

    def coding(model: str, codes: Mapping[Code, CodeUse]) -> list[Tensor]:
        size = catalog.model(model).class_count
        return [
            torch.zeros(size) if use is CodeUse.BASELINE else torch.arange(1.0, size + 1) + place
            for place, use in enumerate(codes.values())
        ]

    return coding


def find_codes(needed: Mapping[str, Mapping[Code, CodeUse]], catalog: Catalog, coding: Coding) -> None:
    """Enter in the catalog's books the codes that are not there yet."""
    for model, codes in needed.items():
        book = catalog.code_book(model)
        missing = {each: use for each, use in codes.items() if each not in book.places}
        for each, code in zip(missing, coding(model, missing) if missing else (), strict=True):
            book.enter(each, code)
            if missing[each] is CodeUse.RUN_ON:
                _resume(model, each, catalog)


def _resume(model: str, code: Code, catalog: Catalog) -> None:
    """Enter the network of the codes of an input in the catalog."""
    dictionary = catalog.concepts[model]
    name = resumed_name(model, catalog.code_book(model).places[code])
    of = catalog.model(dictionary.models[0])
    if of.probed:
        catalog.heads[name] = resumed_of(name, of, dictionary, _given(model, code, EndRows(catalog)))


def codes_of_inputs(
    model: str, codes: Sequence[Code], strategy: Strategy, seed: int, running: Running
) -> Sequence[Tensor]:
    """The codes of inputs, from the store or from the model."""
    catalog = running.catalog
    if not catalog.model(model).probed:
        catalog.model(model).meet(_given(model, codes[0], EndRows(catalog)))
    found: list[Tensor] = [torch.empty(0)] * len(codes)
    names = tuple(dict.fromkeys(each.source.name for each in codes))
    size = catalog.element(codes[0].source).tensor.numel()
    plan = plan_wholes({model: (None,)}, len(codes), size, names, "", catalog, strategy, seed)
    ends = EndRows(catalog)

    def read(_: str, numbers: Ints, logits: Mapping[int | None, Tensor]) -> None:
        for number, row in zip(numbers.tolist(), logits[None], strict=True):
            found[number] = row.clone()

    def execution(executor: Executor) -> WholeInputs:
        return WholeInputs(executor, plan, lambda name, numbers: [_given(name, codes[k], ends) for k in numbers], read)

    running.performed(execution, names)
    return found


def _given(model: str, code: Code, ends: EndRows) -> Tensor:
    """What a model of attributes is given for a code."""
    if code.baseline is None:
        return ends.catalog.element_for(model, code.source).tensor
    leaf = Leaf(model, code.source, code.baseline, OnePlayer(), 0, "logit", Estimation(), None)
    x, background, _ = ends.of(leaf)
    inside = evaluate(code.window, ends.catalog.columns(code.source))
    return torch.where(torch.from_numpy(inside.copy()), x.tensor, background.tensor).contiguous()

"""The figures of a dictionary as plain values, and back again: what a file of concepts keeps of a report.

In: `ConceptFigures`. Out: numbers, lists and mappings that JSON can hold; a number that was not measured is null. What
the dictionary says itself (its name, its attributes, the names of models and classes) is not kept twice: it is given
when figures are read. Knows no tensors and no networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import numpy as np

from ...errors import ShapeError
from ...system import checks
from .figures import TAUS, ConceptFigures, ConceptFit

_MOST = 1 << 53
_ONE = 1 + 1e-6  # what a correlation or a mean of shares may be, as it is rounded

_share = partial(checks.optional, partial(checks.number, low=0, high=1))
_count = partial(checks.whole, low=0, high=_MOST)


def _at_most_one(what: str, value: object) -> object:
    """A share, or R², which may be below 0."""
    return checks.optional(partial(checks.number, high=1), what, value)


def _relevance(what: str, value: object) -> object:
    row = partial(checks.sequence, partial(checks.optional, partial(checks.number, low=-_ONE, high=_ONE)))
    return checks.sequence(row, what, value)


def _fits(what: str, value: object) -> object:
    return checks.sequence(lambda where, each: checks.fields_of(f"of {where}", each, _FIT), what, value)


_FIT: Final[Mapping[str, checks.Check]] = {
    "fidelity": _at_most_one,
    "majority": _share,
    "shuffled": _at_most_one,
    "accuracies": partial(checks.optional, partial(checks.sequence, _at_most_one)),
    "logits": _at_most_one,
    "conciseness": partial(checks.sequence, partial(checks.optional, partial(checks.number, low=0))),
    "counts": partial(checks.sequence, _count),
    "relevance": _relevance,
    "regression": checks.flag,
}
_FIGURES: Final[Mapping[str, checks.Check]] = {
    "fitted": _count,
    "held out": _count,
    "reconstruction": partial(checks.optional, partial(checks.sequence, _at_most_one)),
    "stability": partial(checks.optional, partial(checks.number, low=-_ONE, high=_ONE)),
    "seeds": _count,
    "seconds": partial(checks.optional, partial(checks.number, low=0)),
    "fits": _fits,
}


def told(figures: ConceptFigures) -> dict[str, object]:
    """Figures as plain values."""
    return {
        "fitted": figures.fitted,
        "held out": figures.held_out,
        "reconstruction": None if figures.reconstruction is None else [_known(figures.reconstruction)],
        "stability": figures.stability,
        "seeds": figures.seeds,
        "seconds": _known(figures.seconds),
        "fits": [_told_of(fit) for fit in figures.fits],
    }


def _told_of(fit: ConceptFit) -> dict[str, object]:
    accuracies = None if fit.accuracy is None or fit.own_accuracy is None else (fit.accuracy, fit.own_accuracy)
    return {
        "fidelity": _known(fit.fidelity),
        "majority": _known(fit.majority),
        "shuffled": _known(fit.shuffled),
        "accuracies": None if accuracies is None else [_known(each) for each in accuracies],
        "logits": _known(fit.logits),
        "conciseness": [_known(each) for each in fit.conciseness],
        "counts": [fit.live, fit.used, fit.shared],
        "relevance": [[_known(each) for each in row] for row in fit.relevance.tolist()],
        "regression": fit.regression,
    }


def figures_told(
    value: object, name: str, kind: str, read: str, names: tuple[str, ...], classes: Mapping[str, Sequence[str]]
) -> ConceptFigures:
    """The figures that `told` made plain, of a dictionary with these `names` of attributes and, by model, `classes`.
    Raises BindError for what are no figures, ShapeError for those of other sizes."""
    found = checks.fields_of("of its figures", value, _FIGURES)
    fits = cast("tuple[dict[str, Any], ...]", found["fits"])
    if len(fits) != len(classes):
        raise ShapeError(f"its figures are of {len(fits)} models; it reads {len(classes)}")
    return ConceptFigures(
        *(name, kind, read, names, found["fitted"], found["held out"]),
        tuple(
            _fit(fit, model, tuple(own), len(names)) for fit, (model, own) in zip(fits, classes.items(), strict=True)
        ),
        None if found["reconstruction"] is None else _numbers("reconstruction", found["reconstruction"], 1)[0],
        found["stability"],
        found["seeds"],
        _number(found["seconds"]),
    )


def _fit(fit: Mapping[str, Any], model: str, classes: tuple[str, ...], size: int) -> ConceptFit:
    rows = [_numbers(f"relevance to a class of '{model}'", row, size) for row in fit["relevance"]]
    if len(rows) != len(classes):
        raise ShapeError(f"its relevance is to {len(rows)} classes; '{model}' has {len(classes)}")
    if len(fit["counts"]) != 3 or max(fit["counts"]) > size:
        raise ShapeError(f"its counts of attributes are not three numbers of at most {size}")
    labelled = fit["accuracies"] is not None
    accuracies = _numbers("accuracies", fit["accuracies"], 2) if labelled else [None, None]
    return ConceptFit(
        *(model, classes),
        *(_number(fit["fidelity"]), _number(fit["majority"]), _number(fit["shuffled"])),
        accuracies[0],
        accuracies[1],
        _number(fit["logits"]),
        tuple(_numbers("conciseness", fit["conciseness"], len(TAUS))),
        *(int(fit["counts"][0]), int(fit["counts"][1]), int(fit["counts"][2])),
        np.array(rows, dtype=np.float64).reshape(len(rows), size),
        fit["regression"],
    )


def _numbers(what: str, values: Sequence[float | None], count: int) -> list[float]:
    if len(values) != count:
        raise ShapeError(f"its figures of {what} are {len(values)} numbers; {count} are needed")
    return [_number(each) for each in values]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _known(value: float) -> float | None:
    """None for a number that was not measured."""
    return None if math.isnan(value) else float(value)

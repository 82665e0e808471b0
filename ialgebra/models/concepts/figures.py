"""How good a dictionary is: numbers in; a text on them, and what a reader should be warned of, out.

Knows numbers and names: no tensors, no networks, no dictionary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...errors import in_lines
from ...system.arrays import Floats

TAUS = (1.5, 2.0, 5.0)
"""Of conciseness: an attribute counts for an input where its relevance is above 1/τ."""

_SHOWN_CLASSES, _SHOWN_ATTRIBUTES = 12, 4
_LOW_LOGITS, _LOW_GAIN, _UNSTABLE, _CONTROL = 0.5, 0.5, 0.8, 0.1


@dataclass(frozen=True, eq=False)
class ConceptFit:
    """How well the surrogate g of one model does on the held-out inputs.

    `fidelity` is the share of inputs for which g gives the class that f gives (R² of a regression), `majority` that of
    always giving f's most frequent class, `shuffled` that of g where attributes are those of other inputs: a control,
    which must fail. `accuracy` and `own_accuracy` are g's and f's against labels, if there are any. `logits` is R² of
    f's logits. `relevance` (C, J) is the mean relevance of an attribute for the inputs of a predicted class, −1 to 1;
    NaN where none was predicted.
    """

    model: str
    classes: tuple[str, ...]
    fidelity: float
    majority: float
    shuffled: float
    accuracy: float | None
    own_accuracy: float | None
    logits: float
    conciseness: tuple[float, ...]
    live: int
    used: int
    shared: int
    relevance: Floats
    regression: bool = False


@dataclass(frozen=True, eq=False)
class ConceptFigures:
    """What is known of a dictionary of J attributes: its `fits`, one for each model, and how it was found.

    `reconstruction` is R² of what the attributes were to tell of the input or the layer, `stability` the mean
    correlation of its attributes with those of `seeds` dictionaries from other seeds; None where not measured.
    """

    name: str
    kind: str
    read: str
    names: tuple[str, ...]
    fitted: int
    held_out: int
    fits: tuple[ConceptFit, ...]
    reconstruction: float | None = None
    stability: float | None = None
    seeds: int = 0
    seconds: float = math.nan

    def of(self, model: str) -> ConceptFit:
        """The figures of one model's surrogate."""
        return next(each for each in self.fits if each.model == model)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of explanations by these attributes should know, a sentence each."""
        found: list[str] = []
        if not self.held_out:
            return ()
        for fit in self.fits:
            where = f" for '{fit.model}'" if len(self.fits) > 1 else ""
            if dead := len(self.names) - fit.live:
                found.append(f"{dead} of {len(self.names)} attributes are dead: they are 0 for all held-out inputs")
            if not fit.regression and fit.used <= len(fit.classes) and not fit.shared:
                found.append(
                    f"the dictionary is a class detector{where}: {fit.used} attributes are used for "
                    f"{len(fit.classes)} classes, none by two classes; its names say no more than the classes do"
                )
            little = fit.logits < _LOW_LOGITS or fit.fidelity < fit.majority + _LOW_GAIN * (1 - fit.majority)
            if not math.isnan(fit.fidelity) and little:
                found.append(
                    f"it explains little{where}: fidelity {_share(fit.fidelity)}, R² of the logits {fit.logits:.2f}; "
                    "try more attributes, more inputs or other layers"
                )
            if fit.shuffled > fit.majority + _CONTROL:
                found.append(
                    f"the control does not fail{where}: with the attributes of other inputs the surrogate still agrees "
                    f"with the model for {_share(fit.shuffled)}"
                )
        if self.stability is not None and self.stability < _UNSTABLE:
            found.append(
                f"it is unstable: with other seeds attributes correlate with these by {self.stability:.2f} only"
            )
        return tuple(dict.fromkeys(found))

    def __str__(self) -> str:
        return in_lines(self.lines())

    def lines(self) -> list[str]:
        """The report, line by line."""
        took = "" if math.isnan(self.seconds) else f", {self.seconds:.0f} s"
        lines = [
            f"concepts '{self.name}': {len(self.names)} attributes ({self.kind}) of {self.read}",
            f"  fitted on {self.fitted:,} inputs, measured on {self.held_out:,} held out{took}",
        ]
        for fit in self.fits:
            lines += _fit_lines(fit, self.names, named=len(self.fits) > 1)
        if self.reconstruction is not None:
            lines.append(f"  reconstruction  R² {self.reconstruction:.2f}")
        if self.stability is not None:
            lines.append(
                f"  stability       {self.stability:.2f} (correlation of matched attributes, other seeds: {self.seeds})"
            )
        lines += [f"  warning: {each}" for each in self.warnings]
        return lines


def _fit_lines(fit: ConceptFit, names: Sequence[str], *, named: bool) -> list[str]:
    lines = [f"  model '{fit.model}'"] if named else []
    floor = f"always the most frequent class {_share(fit.majority)}, attributes shuffled {_share(fit.shuffled)}"
    shuffled = f"attributes shuffled {fit.shuffled:.2f}"
    lines.append(
        f"  fidelity        R² {fit.fidelity:.2f} ({shuffled})"
        if fit.regression
        else f"  fidelity        {_share(fit.fidelity)} ({floor})"
    )
    if fit.accuracy is not None and fit.own_accuracy is not None:
        shown = (lambda value: f"R² {value:.2f}") if fit.regression else _share
        lines.append(f"  accuracy        f {shown(fit.own_accuracy)}, g {shown(fit.accuracy)}")
    lines.append(f"  logits          R² {fit.logits:.2f}")
    concise = ", ".join(f"{each:.2f} (τ {tau:g})" for each, tau in zip(fit.conciseness, TAUS, strict=True))
    lines.append(f"  attributes used by one input  {concise}")
    lines.append(f"  attributes      {len(names)}: {fit.live} live, {fit.used} used, {fit.shared} shared by classes")
    lines.append("  relevance to classes")
    for index, label in list(enumerate(fit.classes))[:_SHOWN_CLASSES]:
        row = fit.relevance[index]
        if not len(row) or math.isnan(float(row[0])):
            lines.append(f"    {label:<14}  (predicted for no held-out input)")
            continue
        order = sorted(range(len(row)), key=lambda j: -abs(float(row[j])))[:_SHOWN_ATTRIBUTES]
        shown_row = "  ".join(f"{names[j]} {row[j]:+.2f}" for j in order if abs(float(row[j])) >= 0.005)
        lines.append(f"    {label:<14}  {shown_row}")
    if len(fit.classes) > _SHOWN_CLASSES:
        lines.append(f"    … {len(fit.classes) - _SHOWN_CLASSES} classes more")
    return lines


def _share(value: float) -> str:
    return "not measured" if math.isnan(value) else f"{value:.1%}"


def with_stability(figures: ConceptFigures, found: Sequence[float]) -> ConceptFigures:
    """The figures with the correlations with dictionaries from other seeds."""
    return replace(figures, stability=sum(found) / len(found), seeds=len(found))

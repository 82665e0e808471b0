"""What stands for a tensor in a query: inputs, as they were registered or edited, and baselines.

In: a value of the syntax tree. Out: references to inputs, baselines. Edits are tried at once, so that whatever does not
fit is an error at its own modifier. No model is run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ...algebra.baselines import Baseline, Blur, Constant, Given, Mean, check_baseline
from ...algebra.edits import MEANS, TAKES_BASELINE, Clip, Noise, Nullify, Rotate, Scale, Shift, Substitute
from ...algebra.sources import Edit, Source
from ...algebra.windows import Window, check_masks
from ...catalog.catalog import Catalog, Entry
from ...errors import BindError, IalgebraError, Span, did_you_mean
from .. import tree
from .options import call, own_word, whole
from .predicates import bind_window

MODIFIERS = MEANS["image"]
InForce = Callable[[Entry], tuple[Baseline, ...]]

_ARGUMENTS = {
    "nullify": "w",
    "substitute": "w, other",
    "scale": "factor",
    "rotate": "degrees",
    "shift": "rows, cols",
    "clip": "low, high",
    "noise": "sigma, seed",
}
_KINDS = {"image": "an image", "tabular": "a tabular input", "tokens": "a token sequence"}


def default_baselines(entry: Entry, catalog: Catalog) -> tuple[Baseline, ...]:
    """What is in force where a query names no baseline: the input's own, the session's, or zeros."""
    return entry.baselines or catalog.settings.baselines or (Constant(0.0),)


def bind_input(value: tree.Expression, catalog: Catalog, in_force: InForce | None = None) -> tuple[Source, ...]:
    """References to what `value` names: an input, or each element of a collection, edited as it says.

    `in_force` tells the baselines that edits take for absent features (None: each input's default).
    """
    match value:
        case tree.Name(name, span):
            with _at(span):
                return catalog.input(name).sources
        case tree.CallExpr() if value.name.value.lower() in MODIFIERS:
            return _edited(value, catalog, in_force)
        case tree.CallExpr(name):
            raise BindError(f"unknown modifier '{name.value}'{did_you_mean(name.value, MODIFIERS)}", name.span)
    raise BindError("an input is the name of a registered input, or a modifier such as nullify(x, w)", value.span)


def _edited(said: tree.CallExpr, catalog: Catalog, in_force: InForce | None) -> tuple[Source, ...]:
    """The inputs of a modifier under its edit."""
    name = said.name.value.lower()
    if not said.arguments:
        raise BindError(f"{name} takes an input: {_form(name, 'image')}", said.span)
    inner = bind_input(said.arguments[0], catalog, in_force)
    entry = catalog.input(inner[0].name)
    if name not in MEANS[entry.kind]:
        legal = ", ".join(MEANS[entry.kind])
        raise BindError(f"{name} means nothing for {_KINDS[entry.kind]}; it has {legal}", said.name.span)
    form = _form(name, entry.kind)
    if len(said.arguments) != (count := form.count(",") + 1):
        raise BindError(f"{name} takes {count} arguments, {form}; got {len(said.arguments)}", said.span)
    edit = _Modifier(said, name, form, entry, catalog, in_force).edit(*said.arguments[1:])
    sources = tuple(replace(source, edits=(*source.edits, edit)) for source in inner)
    with _at(said.span):
        for source in sources:
            catalog.element(source)
    return sources


def _form(name: str, kind: str) -> str:
    """How a modifier is written."""
    return f"{name}(x, {'positions' if (name, kind) == ('shift', 'tokens') else _ARGUMENTS[name]})"


@dataclass(frozen=True)
class _Modifier:
    """One modifier of an input, with what its arguments are read by."""

    said: tree.CallExpr
    name: str
    form: str
    entry: Entry
    catalog: Catalog
    in_force: InForce | None

    def edit(self, first: tree.Expression, *more: tree.Expression) -> Edit:
        if self.name in TAKES_BASELINE:
            return self.leaving(self.baseline(), first, *more)
        for option in self.said.options:
            raise BindError(f"{self.name} takes no options", option.name.span)
        if self.name == "substitute":
            other = bind_input(more[0], self.catalog, self.in_force)
            if len(other) > 1:
                raise BindError("substitute takes one other input, not a collection", more[0].span)
            return Substitute(self.window(first), other[0].collection)
        if self.name == "clip":
            low, high = (self.number(each, "a bound") for each in (first, *more))
            if low > high:
                raise BindError(f"clip needs low ≤ high, not {low:g} and {high:g}", more[0].span)
            return Clip(low, high)
        sigma = self.number(first, "the standard deviation")
        if sigma < 0:
            raise BindError(f"the standard deviation must be at least 0, not {sigma:g}", first.span)
        return Noise(sigma, whole(more[0], "the seed", 0))

    def leaving(self, baseline: Baseline, first: tree.Expression, *more: tree.Expression) -> Edit:
        """An edit that leaves something absent."""
        match self.name:
            case "nullify":
                return Nullify(self.window(first), baseline)
            case "rotate":
                return Rotate(self.number(first, "the angle in degrees"), baseline)
            case "scale":
                factor = self.number(first, "the factor")
                if factor <= 0:
                    raise BindError("the factor must be above 0: 2 is twice as large, 0.5 half", first.span)
                return Scale(factor, baseline)
        by = tuple(self.number(each, "a shift") for each in (first, *more))
        if self.entry.kind == "tokens" and by[0] != int(by[0]):
            raise BindError("tokens are shifted by whole positions", first.span)
        return Shift(by, baseline)

    def window(self, value: tree.Expression) -> Window:
        entry = self.entry
        with _at(value.span):
            window = bind_window(value, self.catalog.windows, entry.kind, entry.vocabulary, entry.feature_names)
            check_masks(window, entry.shape)
        return window

    def number(self, value: tree.Expression, what: str) -> float:
        if not isinstance(value, tree.Number):
            raise BindError(f"{what} must be a number: {self.form}", value.span)
        return float(value.value)

    def baseline(self) -> Baseline:
        """What an absent feature is replaced by: the modifier's own option, or the one baseline in force."""
        span = self.said.name.span
        baselines = self.in_force(self.entry) if self.in_force else default_baselines(self.entry, self.catalog)
        for option in self.said.options:
            if option.name.value.lower() != "baseline":
                raise BindError(f"{self.name} has one option, baseline", option.name.span)
            span = option.value.span
            with _at(span):
                baselines = bind_baselines(option.value, self.catalog)
        if len(baselines) > 1:
            named = f"{self.form[:-1]}, baseline => 0)"
            message = f"{self.name} takes one baseline, not the {len(baselines)} in force; name one: {named}"
            raise BindError(message, span)
        with _at(span):
            x = self.entry.elements[0].tensor
            check_baseline(baselines[0], x, lambda source: self.catalog.element(source).tensor)
        match baselines[0]:
            case Given(source):
                return Given(source.collection)
            case baseline:
                return baseline


def bind_baselines(value: tree.ValueExpr, catalog: Catalog) -> tuple[Baseline, ...]:
    """A baseline, or one for each element of a collection, from zeros, a number, mean(xs), blur(…) or an input, edited
    or not."""
    match value:
        case tree.Number(value=number):
            if not math.isfinite(number):
                raise BindError("a baseline must be a finite number", value.span)
            return (Constant(float(number)),)
        case tree.Name(value=name) if name in catalog.inputs:
            return tuple(Given(source) for source in catalog.input(name).sources)
        case tree.CallExpr() if value.name.value.lower() in MODIFIERS:
            return tuple(Given(source) for source in bind_input(value, catalog))
    name, arguments = call(value)
    match name:
        case "zeros" if not arguments:
            return (Constant(0.0),)
        case "constant" if len(arguments) == 1 and isinstance(arguments[0], tree.Number):
            return (Constant(float(arguments[0].value)),)
        case "mean":
            if len(arguments) != 1 or not isinstance(arguments[0], tree.Name):
                raise BindError("mean takes the name of a registered collection, as in mean(xs)", value.span)
            return (Mean(catalog.input(arguments[0].value).name),)
        case "blur":
            return (_blur(value, arguments, catalog),)
    known = ("zeros", "mean", "blur", *catalog.visible)
    raise BindError(f"unknown baseline '{name}'{did_you_mean(name, known)}", own_word(value))


def _blur(value: tree.ValueExpr, arguments: tuple[tree.Expression, ...], catalog: Catalog) -> Blur:
    source: Source | None = None
    sigma: float | None = None
    for argument in arguments:
        match argument:
            case tree.Number(value=number) if sigma is None and 0 < number < 1e4:
                sigma = float(number)
            case tree.Name(value=name) if source is None and sigma is None:
                source = Source(name)
                catalog.element(source)
            case _:
                raise BindError(
                    "blur takes an input's name and a sigma in pixels, both optional: blur(x, 8)", argument.span
                )
    return Blur(source, sigma)


@contextmanager
def _at(span: Span) -> Iterator[None]:
    """Errors raised within stand at `span`, unless they know their place better."""
    try:
        yield
    except IalgebraError as error:
        error.span = error.span or span
        raise

"""The parts of a query that stand for a tensor: inputs, as registered or edited, and baselines.

In: a value of the syntax tree. Out: references to inputs, and baselines. Edits are applied at once, so that an edit
that does not fit is an error at its own modifier. No model is run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ...algebra.baselines import (
    AbsentToken,
    Baseline,
    Blur,
    Constant,
    Given,
    Mean,
    Median,
    MostFrequent,
    check_baseline,
)
from ...algebra.edits import (
    EDITS,
    EditArgument,
    EditForm,
    InputArgument,
    NumberArgument,
    WholeArgument,
    WindowArgument,
    form_of,
    meaningful,
)
from ...algebra.kinds import KINDS
from ...algebra.packings import packing_of
from ...algebra.packings.frames import FramePacking
from ...algebra.sources import Edit, Source
from ...algebra.windows import Window, check_masks
from ...catalog.catalog import Catalog
from ...catalog.inputs import Entry
from ...catalog.texts import AbsentTokens
from ...errors import BindError, IalgebraError, Span, did_you_mean
from .. import tree
from .options import call, own_word, whole
from .predicates import bind_window

MODIFIERS = tuple(EDITS)
_MIDDLES: dict[str, Callable[[str], Baseline]] = {"mean": Mean, "median": Median, "mode": MostFrequent}
InForce = Callable[[Entry], tuple[Baseline, ...]]


def default_baselines(entry: Entry, catalog: Catalog) -> tuple[Baseline, ...]:
    """The baselines for a query that names none: those of the input, else of the session, else zeros; of a collection
    of rows of a frame its mean (the mode of columns without amounts), of a text its tokenizer's mask."""
    own = isinstance(packing_of(entry.example.tensor), FramePacking) and entry.collection
    usual: Baseline = Constant(0.0) if entry.absent is None else entry.absent.default
    return entry.baselines or catalog.settings.baselines or ((Mean(entry.name) if own else usual),)


def for_input(baselines: tuple[Baseline, ...], entry: Entry) -> tuple[Baseline, ...]:
    """The baselines as they are for one input: words such as 'mask' are tokens of its tokenizer. Raises BindError."""
    return tuple(_token_of(each, entry) if isinstance(each, AbsentToken) else each for each in baselines)


def _token_of(baseline: AbsentToken, entry: Entry) -> AbsentToken:
    absent = entry.absent or (AbsentTokens() if baseline.drops else None)
    if not KINDS[entry.kind].vocabulary:
        return baseline  # `check_baseline` says that it means nothing
    if absent is None:
        raise BindError(
            f"'{baseline.word}' is a token of a tokenizer, and '{entry.name}' was registered without one; register it "
            "with tokenizer=…, or give the token's number"
        )
    return absent.named(baseline.word)


def bind_input(value: tree.Expression, catalog: Catalog, in_force: InForce | None = None) -> tuple[Source, ...]:
    """References to the input that `value` names, or to each element of a collection, with the edits of `value`.

    `in_force` tells which baselines the edits put in place of absent features (None: the default of each input).
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
    form = EDITS[said.name.value.lower()]
    if not said.arguments:
        raise BindError(f"{form.name} takes an input: {form.written()}", said.span)
    inner = bind_input(said.arguments[0], catalog, in_force)
    entry = catalog.input(inner[0].name)
    kind = KINDS[entry.kind]
    written, arguments = form.written(kind), form.arguments(kind)
    if arguments is None:
        legal = ", ".join(meaningful(kind))
        raise BindError(f"{form.name} means nothing for {kind.article}; it has {legal}", said.name.span)
    if len(said.arguments) != (count := len(arguments) + 1):
        raise BindError(f"{form.name} takes {count} arguments, {written}; got {len(said.arguments)}", said.span)
    edit = _Modifier(said, form, written, entry, catalog, in_force).edit(arguments)
    sources = tuple(replace(source, edits=(*source.edits, edit)) for source in inner)
    with _at(said.span):
        for source in sources if entry.held else sources[:1]:  # the others are edited when they are read
            if all(form_of(each).tried for each in source.edits):
                catalog.element(source)
    return sources


@dataclass(frozen=True)
class _Modifier:
    """One modifier of an input, and the input and catalog that its arguments refer to."""

    said: tree.CallExpr
    form: EditForm
    written: str
    entry: Entry
    catalog: Catalog
    in_force: InForce | None

    def edit(self, arguments: tuple[EditArgument, ...]) -> Edit:
        """The edit of this modifier; `arguments` are the arguments of the modifier's form."""
        baselines = [self.baseline()] if self.form.takes_baseline else []
        for option in () if self.form.takes_baseline else self.said.options:
            raise BindError(f"{self.form.name} takes no options", option.name.span)
        given = self.said.arguments[1:]
        values = [self.value(*each) for each in zip(arguments, given, strict=True)]
        with _at(given[-1].span if given else self.said.span):
            return self.form.make(*values, *baselines)

    def value(self, argument: EditArgument, given: tree.Expression) -> Window | Source | float | int:
        match argument:
            case WindowArgument():
                return self.window(given)
            case InputArgument():
                other = bind_input(given, self.catalog, self.in_force)
                if len(other) > 1:
                    raise BindError(f"{self.form.name} takes one other input, not a collection", given.span)
                return other[0].collection
            case WholeArgument(_, what, least):
                return whole(given, what, least)
        assert isinstance(argument, NumberArgument)
        number = self.number(given, argument.what)
        if (wrong := argument.refuses(number)) is not None:
            raise BindError(wrong, given.span)
        return number

    def window(self, value: tree.Expression) -> Window:
        entry = self.entry
        with _at(value.span):
            window = bind_window(value, self.catalog.windows, entry.kind, *entry.known_words)
            check_masks(window, entry.shape)
        return window

    def number(self, value: tree.Expression, what: str) -> float:
        if not isinstance(value, tree.Number):
            raise BindError(f"{what} must be a number: {self.written}", value.span)
        return float(value.value)

    def baseline(self) -> Baseline:
        """What replaces an absent feature: the modifier's own option, or the one baseline in force."""
        span = self.said.name.span
        baselines = self.in_force(self.entry) if self.in_force else default_baselines(self.entry, self.catalog)
        baselines = for_input(baselines, self.entry)
        for option in self.said.options:
            if option.name.value.lower() != "baseline":
                raise BindError(f"{self.form.name} has one option, baseline", option.name.span)
            span = option.value.span
            with _at(span):
                baselines = for_input(bind_baselines(option.value, self.catalog), self.entry)
        if len(baselines) > 1:
            named = f"{self.written[:-1]}, baseline => 0)"
            message = f"{self.form.name} takes one baseline, not the {len(baselines)} in force; name one: {named}"
            raise BindError(message, span)
        with _at(span):
            x = self.entry.example.tensor
            check_baseline(baselines[0], self.entry.kind, x, lambda source: self.catalog.element(source).tensor)
        match baselines[0]:
            case AbsentToken(word="drop"):
                raise BindError(f"{self.form.name} puts tokens in place of others: name one, baseline => 'pad'", span)
            case Given(source):
                return Given(source.collection)
            case baseline:
                return baseline


def bind_baselines(value: tree.ValueExpr, catalog: Catalog) -> tuple[Baseline, ...]:
    """The baselines of `value`, which is zeros, a number, mean(xs), median(xs), mode(xs), blur(…), or an input, edited
    or not; one baseline, or one for each element of a collection."""
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
        case "mask" | "pad" | "unk" | "drop" if not arguments:
            return (AbsentToken(name, 0),)
        case "zeros" if not arguments:
            return (Constant(0.0),)
        case "constant" if len(arguments) == 1 and isinstance(arguments[0], tree.Number):
            return (Constant(float(arguments[0].value)),)
        case "mean" | "median" | "mode":
            if len(arguments) != 1 or not isinstance(arguments[0], tree.Name):
                raise BindError(f"{name} takes the name of a registered collection, as in {name}(xs)", value.span)
            return (_MIDDLES[name](catalog.input(arguments[0].value).name),)
        case "blur":
            return (_blur(value, arguments, catalog),)
    known = ("zeros", *_MIDDLES, "blur", *catalog.visible)
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
    """A frame: errors raised inside it get the place `span`, unless they have a place already."""
    try:
        yield
    except IalgebraError as error:
        error.span = error.span or span
        raise

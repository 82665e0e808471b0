"""The parts of a query that stand for a tensor: inputs, as registered or edited, and baselines.

In: a value of the syntax tree. Out: references to inputs, and baselines. Edits are applied at once, so that an edit
that does not fit is an error at its own modifier. No model is run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeGuard

from ...algebra.baselines import (
    AbsentToken,
    Baseline,
    Blur,
    Constant,
    Given,
    Mean,
    Median,
    MostFrequent,
    Redrawn,
    check_baseline,
)
from ...algebra.edits import (
    EDITS,
    LATENT_EDITS,
    AxisArgument,
    ClassArgument,
    EditArgument,
    EditForm,
    InputArgument,
    NumberArgument,
    NumbersArgument,
    ValueArgument,
    WholeArgument,
    WindowArgument,
    WordArgument,
    form_of,
    meaningful,
)
from ...algebra.kinds import KINDS
from ...algebra.packings import packing_of
from ...algebra.packings.frames import FramePacking
from ...algebra.sources import Edit, Source
from ...algebra.sweeps import Step, sweep
from ...algebra.windows import Window, check_masks
from ...catalog.catalog import Catalog
from ...catalog.drawing import class_of
from ...catalog.inputs import Entry
from ...catalog.texts import AbsentTokens, token_of
from ...errors import BindError, IalgebraError, Span, did_you_mean
from .. import tree
from .options import call, own_word, whole
from .predicates import bind_window

_FORMS = {**EDITS, **LATENT_EDITS}
MODIFIERS = tuple(_FORMS)
SWEEP = "steps"
EACH = "each"
_PLACES = {
    SWEEP: "in the place of an edit's number: rotate(x, steps(-30, 30, 7))",
    EACH: "directly in the call of a model: select * from f(each(rotate(x, steps(-30, 30, 7)))) anti join f(x)",
}
_ONE_SWEEP = "steps(…) stands in one place of an input"
_MOST_STEPS = 10_000  # of a sweep
_MOST_TRIED = 64  # edited inputs that are made at once, so that an error has its place; of more, the first
_Value = Window | Source | float | int | str | tuple[int, ...]
_REDRAWN = "reconstruct"  # as a baseline without an input: each input as a generator draws it
_MIDDLES: dict[str, Callable[[str], Baseline]] = {"mean": Mean, "median": Median, "mode": MostFrequent}
InForce = Callable[[Entry], tuple[Baseline, ...]]


def default_baselines(entry: Entry, catalog: Catalog) -> tuple[Baseline, ...]:
    """The baselines for a query that names none: those of the input, else of the session, else zeros; of a collection
    of rows of a frame its mean (the mode of columns without amounts), of a text its tokenizer's mask."""
    own = isinstance(packing_of(entry.example.tensor), FramePacking) and entry.collection
    usual: Baseline = Constant(0.0) if entry.absent is None else entry.absent.default
    return entry.baselines or catalog.settings.baselines or ((Mean(entry.name) if own else usual),)


def for_input(baselines: tuple[Baseline, ...], entry: Entry, catalog: Catalog) -> tuple[Baseline, ...]:
    """The baselines as they are for one input: words such as 'mask' are tokens of its tokenizer, and what is drawn is
    drawn by the generator of such inputs. Raises BindError, or ShapeError for a generator of others."""
    found = list[Baseline]()
    for each in baselines:
        match each:
            case AbsentToken():
                found.append(_token_of(each, entry))
            case Redrawn(named):
                found.append(Redrawn(catalog.generator_for(entry, named).name))
            case _:
                found.append(each)
    return tuple(found)


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
        case tree.CallExpr(name) if name.value.lower() in (EACH, SWEEP):
            raise BindError(f"{name.value.lower()} stands {_PLACES[name.value.lower()]}", name.span)
        case tree.CallExpr(name):
            raise BindError(f"unknown modifier '{name.value}'{did_you_mean(name.value, MODIFIERS)}", name.span)
    raise BindError("an input is the name of a registered input, or a modifier such as nullify(x, w)", value.span)


def _edited(said: tree.CallExpr, catalog: Catalog, in_force: InForce | None) -> tuple[Source, ...]:
    """The inputs of a modifier under its edit."""
    form = _FORMS[said.name.value.lower()]
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
    edits = _Modifier(said, form, written, entry, catalog, in_force).edits(arguments)
    if inner[0].step is not None and edits[0].step is not None:
        raise BindError(f"this input is a sweep already; {_ONE_SWEEP}", said.span)
    sources = tuple(Source(each.name, each.index, (*each.edits, edit)) for each in inner for edit in edits)
    with _at(said.span):
        few = entry.held and len(sources) <= _MOST_TRIED
        for source in sources if few else sources[:1]:  # the others are edited when they are read
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

    def edits(self, arguments: tuple[EditArgument, ...]) -> tuple[Edit, ...]:
        """The edit of this modifier, or one for each step of a sweep; `arguments` are those of the modifier's form."""
        baselines = [self.baseline()] if self.form.takes_baseline else []
        given: list[tree.Expression] = list(self.said.arguments[1:])
        values = [self.values(*each) for each in zip(arguments, given, strict=True)]
        if not self.form.takes_baseline:
            options = self.options()
            for option in self.form.options:
                said = options.get(option.name)
                values.append((option.default,) if said is None else self.values(option.argument, said))  # type: ignore[arg-type]
                given.append(self.said if said is None else said)
        if self.form.name in LATENT_EDITS:
            self.drawn_by(values)
        swept = [said for said, each in zip(given, values, strict=True) if _is_sweep(each[0])]
        if len(swept) > 1:
            raise BindError(f"two sweeps meet here; {_ONE_SWEEP}", swept[1].span)
        with _at(swept[0].span if swept else given[-1].span if given else self.said.span):
            return tuple(self.form.make(*each, *baselines) for each in itertools.product(*values))

    def options(self) -> dict[str, tree.ValueExpr]:
        """The values of the modifier's options by name."""
        legal = {option.name: option for option in self.form.options}
        found: dict[str, tree.ValueExpr] = {}
        for each in self.said.options:
            name = each.name.value.lower()
            if not legal:
                raise BindError(f"{self.form.name} takes no options", each.name.span)
            if name not in legal:
                raise BindError(f"{self.form.name} has no option '{name}'{did_you_mean(name, legal)}", each.name.span)
            found[name] = each.value
        return found

    def drawn_by(self, values: list[Sequence[_Value]]) -> None:
        """Fill in which generator draws: the one that is named, that of the axis, or the only one of such inputs."""
        place = self.arguments_before("generator")
        with _at(self.said.span):
            named = str(values[place][0])
            axis = self.catalog.axis(str(values[0][0])) if self.form.name == "latent" else None
            if axis is not None and named not in ("", axis.generator):
                raise BindError(f"axis '{axis.name}' is one of generator '{axis.generator}', not of '{named}'")
            generator = self.catalog.generator_for(self.entry, axis.generator if axis is not None else named)
            values[place] = (generator.name,)
            if self.form.name == "mix":
                self.mixed(values, generator.levels)
            if self.form.name == "counterfactual":
                self.led(values)

    def arguments_before(self, option: str) -> int:
        """The place of an option among the values of the edit."""
        names = [each.name for each in self.form.options]
        return len(self.form.arguments(KINDS[self.entry.kind]) or ()) + names.index(option)

    def led(self, values: list[Sequence[_Value]]) -> None:
        """Fill in the only model where a counterfactual names none; BindError for one without its class."""
        place, models = self.arguments_before("model"), self.catalog.models
        (named,) = values[place]
        if not named and len(models) != 1:
            raise BindError(f"say which model is to change its mind: model => {next(iter(models), 'f')}")
        model = self.catalog.model(str(named) if named else next(iter(models)))
        values[place] = (model.name,)
        (target,) = values[self.arguments_before("target")]
        if not target:
            raise BindError("say which class the counterfactual is to lead to: target => 'bag'")
        if model.probed:
            class_of(model, str(target))

    def mixed(self, values: list[Sequence[_Value]], levels: int) -> None:
        """Fill in all levels where a mix names none; BindError for a level that the generator does not have."""
        place = self.arguments_before("layers")
        (wanted,) = values[place]
        assert isinstance(wanted, tuple)
        if wrong := [each for each in wanted if each > levels]:
            raise BindError(f"the generator has levels 1 to {levels}, not {wrong[0]}")
        values[place] = (tuple(sorted(set(wanted))) or tuple(range(1, levels + 1)),)

    def values(self, argument: EditArgument, given: tree.Expression) -> Sequence[_Value]:
        """The value of an argument, or one for each step of a sweep."""
        match argument:
            case WindowArgument():
                return (self.window(given),)
            case InputArgument():
                other = bind_input(given, self.catalog, self.in_force)
                if len({each.index for each in other}) > 1:
                    raise BindError(f"{self.form.name} takes one other input, not a collection", given.span)
                return [Source(each.name, None, each.edits) for each in other]
            case ValueArgument() if isinstance(given, tree.Text | tree.Name):
                return (self.named(given),)
            case AxisArgument():
                if not isinstance(given, tree.Text | tree.Name):
                    raise BindError(f"an axis is named by a text in quotes: {self.written}", given.span)
                with _at(given.span):
                    return (self.catalog.axis(given.value).name,)
            case WordArgument(name, legal):
                if not isinstance(given, tree.Text | tree.Name) or (legal and given.value.lower() not in legal):
                    raise BindError(f"{self.form.name} needs {name} here", given.span)
                return (given.value.lower() if legal else given.value,)
            case ClassArgument():
                if not isinstance(given, tree.Text | tree.Name | tree.Number):
                    raise BindError("a class is named by a text in quotes, or by its number", given.span)
                return (given.value if isinstance(given, tree.Text | tree.Name) else str(whole(given, "a class", 0)),)
            case NumbersArgument(name):
                several = given.values if isinstance(given, tree.NumberTuple) else (given,)
                return (tuple(whole(each, f"a number of {name}", 1) for each in several),)
        numbers = self.numbers(given, argument)
        for number in numbers:
            if isinstance(argument, NumberArgument) and (wrong := argument.refuses(float(number))) is not None:
                raise BindError(wrong, given.span)
        return numbers

    def numbers(self, given: tree.Expression, argument: EditArgument) -> Sequence[float | int]:
        """A number, or those of a sweep."""
        what = argument.what if isinstance(argument, NumberArgument | WholeArgument) else "the value"
        if isinstance(given, tree.CallExpr) and given.name.value.lower() == SWEEP:
            numbers = _steps(given)
            if isinstance(argument, WholeArgument) and any(each % 1 or each < argument.least for each in numbers):
                raise BindError(f"{what} must be whole numbers of at least {argument.least}", given.span)
            return numbers
        if isinstance(argument, WholeArgument):
            return (whole(given, what, argument.least),)
        return (self.number(given, what),)

    def named(self, given: tree.Text | tree.Name) -> str | int:
        """A text of a table; of a text the token that a word stands for."""
        entry, word = self.entry, given.value
        if not KINDS[entry.kind].vocabulary:
            if isinstance(given, tree.Name):
                raise BindError(f"the value must be a number, or a text in quotes: {self.written}", given.span)
            return word
        names = entry.vocabulary or ()
        token = names.index(word) if word in names else None
        if token is None and entry.tokenizer is not None:
            token = token_of(entry.tokenizer, word)
        if token is None:
            near = did_you_mean(word, names) if names else "; give the token's number"
            raise BindError(f"'{word}' is no token of '{entry.name}'{near}", given.span)
        return token

    def window(self, value: tree.Expression) -> Window:
        entry = self.entry
        if self.names_a_feature(value):
            named = tree.Text(value.value, value.span)
            value = tree.CompareExpr("=", tree.Name("feature", value.span), named, value.span)
        with _at(value.span):
            window = bind_window(value, self.catalog.windows, entry.kind, *entry.known_words)
            check_masks(window, entry.shape)
        return window

    def names_a_feature(self, value: tree.Expression) -> TypeGuard[tree.Text | tree.Name]:
        """Whether a word alone is a column's name: a text, or a name that no window has."""
        if KINDS[self.entry.kind].named != "feature":
            return False
        if isinstance(value, tree.Name):
            return value.value in (self.entry.feature_names or ()) and value.value not in self.catalog.windows
        return isinstance(value, tree.Text)

    def number(self, value: tree.Expression, what: str) -> float:
        if not isinstance(value, tree.Number):
            raise BindError(f"{what} must be a number: {self.written}", value.span)
        return float(value.value)

    def baseline(self) -> Baseline:
        """What replaces an absent feature: the modifier's own option, or the one baseline in force."""
        span = self.said.name.span
        baselines = self.in_force(self.entry) if self.in_force else default_baselines(self.entry, self.catalog)
        baselines = for_input(baselines, self.entry, self.catalog)
        for option in self.said.options:
            if option.name.value.lower() != "baseline":
                raise BindError(f"{self.form.name} has one option, baseline", option.name.span)
            span = option.value.span
            with _at(span):
                baselines = for_input(bind_baselines(option.value, self.catalog), self.entry, self.catalog)
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
            case Redrawn():
                raise BindError(f"{baselines[0]} is no baseline of an edit: name one, baseline => 0", span)
            case Given(source):
                return Given(source.collection)
            case baseline:
                return baseline


def _is_sweep(value: _Value) -> bool:
    return isinstance(value, Step) or (isinstance(value, Source) and value.step is not None)


def _steps(call: tree.CallExpr) -> tuple[Step, ...]:
    """The numbers of `steps(low, high, n)`."""
    if call.options or len(call.arguments) != 3:
        raise BindError(f"{SWEEP} takes two numbers and how many steps: {SWEEP}(low, high, n)", call.span)
    low, high, count = call.arguments
    if not isinstance(low, tree.Number) or not isinstance(high, tree.Number):
        wrong = high if isinstance(low, tree.Number) else low
        raise BindError(f"the ends of a sweep are numbers: {SWEEP}(low, high, n)", wrong.span)
    steps = whole(count, "the number of steps", 1)
    if steps > _MOST_STEPS:
        raise BindError(f"a sweep has at most {_MOST_STEPS:,} steps, not {steps:,}", count.span)
    return sweep(float(low.value), float(high.value), steps)


def bind_baselines(value: tree.ValueExpr, catalog: Catalog) -> tuple[Baseline, ...]:
    """The baselines of `value`, which is zeros, a number, mean(xs), median(xs), mode(xs), blur(…), reconstruct, or an
    input, edited or not; one baseline, or one for each element of a collection."""
    match value:
        case tree.Number(value=number):
            if not math.isfinite(number):
                raise BindError("a baseline must be a finite number", value.span)
            return (Constant(float(number)),)
        case tree.Name(value=name) if name in catalog.inputs:
            return tuple(Given(source) for source in catalog.input(name).sources)
        case tree.Name(value=name) if name.lower() == _REDRAWN:
            return (Redrawn(""),)
        case tree.CallExpr(tree.Name(name), ()) if name.lower() == _REDRAWN:
            return (_redrawn(value),)
        case tree.CallExpr() if value.name.value.lower() in MODIFIERS and not _is_blur(value, catalog):
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


def _redrawn(said: tree.CallExpr) -> Redrawn:
    """`reconstruct()` as a baseline, perhaps with the name of a generator."""
    named = ""
    for option in said.options:
        if option.name.value.lower() != "generator" or not isinstance(option.value, tree.Text | tree.Name):
            raise BindError(f"as a baseline {_REDRAWN} has one option: {_REDRAWN}(generator => G)", option.name.span)
        named = option.value.value
    return Redrawn(named)


def _is_blur(value: tree.CallExpr, catalog: Catalog) -> bool:
    """Whether a call is the baseline `blur` of the input itself, or of a single one, and not the edit `blur`."""
    first = value.arguments[0] if value.arguments else None
    named = catalog.inputs.get(first.value) if isinstance(first, tree.Name) else None
    of_several = named is not None and len(named.elements) > 1
    return value.name.value.lower() == "blur" and not isinstance(first, tree.CallExpr) and not of_several


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

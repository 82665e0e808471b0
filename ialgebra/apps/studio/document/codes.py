"""Gestures that move an input in a generator's space of codes: along an axis, towards other inputs, to another class.

In: a gesture, the page's query. Out: drafts of another query. Whether the drawing keeps what the generator does not
draw, and how far it may be off, is said of all edits of codes of a query, since it counts for all of them. May not
know: windows, models' outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from ....algebra.edits import LATENT_EDITS
from ....algebra.edits.latent import MARGIN
from ....errors import BindError
from ....generators.registered import RegisteredGenerator
from ....language import tree
from ....language.bind.inputs import SWEEP
from ....system import checks
from ....system.checks import shown
from . import shapes
from .controls import Chosen, Controls, InputEdit, edited_input, plain_value
from .drafts import GestureDraft, GestureMessage, GesturePage, known_name
from .shapes import NOWHERE

_FURTHEST: Final = 100.0  # standard deviations that a slider may move
_DIGITS: Final = 3  # of a move: codes are moved by thousandths
_COMMON: Final = ("keep", "within")  # options that all edits of codes of a query have together
_SORTED: Final = 12  # inputs of a collection that are sorted


def axis(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    """{"axis": name, "t": number, or {"steps": [low, high, n]}}: so many standard deviations along an axis; 0 takes the
    move away."""
    name = known_name(gesture.get("axis"), page.catalog.axes, "axis")
    amount, edits = _amount(gesture.get("t")), page.known.edits
    places = [place for place, each in enumerate(edits) if _moves_along(each, name)]
    if amount is None:
        left = tuple(each for place, each in enumerate(edits) if place not in places[-1:])
        yield _with_edits(page, left)
        return
    if places:
        moved = replace(edits[places[-1]], arguments=(edits[places[-1]].arguments[0], amount))
        yield _with_edits(page, (*edits[: places[-1]], moved, *edits[places[-1] + 1 :]))
        return
    made = InputEdit("latent", (tree.Text(name, NOWHERE), amount), _common(edits))
    last = max((place for place, each in enumerate(edits) if each.name in LATENT_EDITS), default=len(edits) - 1)
    yield _with_edits(page, (*edits[: last + 1], made, *edits[last + 1 :]))


def mix(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    """{"level": k, "source": name or null}: level k of the code from another input, or the input's own again.
    {"source": name, "p": share}: how far all levels of that source go there."""
    controls = page.known
    if "level" not in gesture:
        yield _with_edits(page, _shared(gesture, page))
        return
    generator = _generator(gesture, page)
    level = checks.whole("a level", gesture["level"], 1, generator.levels)
    wanted = gesture.get("source")
    source = None if wanted is None else known_name(wanted, page.catalog.visible, "input")
    if source == controls.input.name:
        source = None
    found, there = list[InputEdit](), False
    for each in controls.edits:
        name = _mixes(each)
        if name is None:
            found.append(each)
            continue
        levels = set(_levels(each, generator.levels)) - {level}
        if name == source and not there:
            levels, there = levels | {level}, True
        if levels:
            found.append(_with_levels(each, levels, generator.levels))
    if source is not None and not there:
        options = (*_drawn_by(generator, page), *_common(controls.edits))
        made = InputEdit("mix", (tree.Name(source, NOWHERE),), options)
        place = next((k for k, each in enumerate(found) if each.name in LATENT_EDITS and not _mixes(each)), len(found))
        found.insert(place, _with_levels(made, {level}, generator.levels))
    yield _with_edits(page, tuple(found))


def _shared(gesture: GestureMessage, page: GesturePage) -> tuple[InputEdit, ...]:
    """The edits with another share of a source that is mixed in."""
    source, edits = known_name(gesture.get("source"), page.catalog.visible, "input"), page.known.edits
    share = checks.number("the share p", gesture.get("p"), 0, 1)
    if not any(_mixes(each) == source for each in edits):
        raise BindError(f"no level comes from '{source}' yet; choose one of its levels first")
    return tuple(_with_share(each, share) if _mixes(each) == source else each for each in edits)


def counterfactual(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    """{"class": name or null, "model": name, "margin": number}: after the least move at which a model puts the class
    ahead; null takes it away."""
    controls, target = page.known, gesture.get("class")
    others = [each for each in controls.edits if each.name != "counterfactual"]
    if target is None:
        yield _with_edits(page, tuple(others))
        return
    if not isinstance(target, str):
        raise BindError(f"a class is named by a text, not by {shown(target)}")
    model = known_name(gesture.get("model", controls.model), page.catalog.models, "model")
    margin = checks.number("the margin", gesture.get("margin", MARGIN), 0, 1e6)
    options = [_option("target", tree.Text(target, NOWHERE)), _option("model", tree.Name(model, NOWHERE))]
    if margin != MARGIN:
        options.append(_option("margin", shapes.number(margin, "a margin")))
    options += _drawn_by(_generator(gesture, page), page)
    made = InputEdit("counterfactual", (), (*options, *_common(controls.edits)))
    last = max((place for place, each in enumerate(others) if each.name in LATENT_EDITS), default=len(others) - 1)
    yield _with_edits(page, (*others[: last + 1], made, *others[last + 1 :]))


def keep(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    """{"residual": bool} or {"within": share or null}: whether an edit of codes changes the input itself, and how far
    the drawing of the input may be off."""
    controls, value = page.known, None
    if not any(each.name in LATENT_EDITS for each in controls.edits):
        raise BindError("the input is not moved yet; move a slider first")
    if "within" in gesture:
        name = "within"
        if gesture["within"] is not None:
            share = checks.number("within", gesture["within"], 0, 1)
            value = shapes.number(round(share, 4), "within")
        yield _with_edits(page, tuple(_with_option(each, name, value) for each in controls.edits))
        return
    word = tree.Name("residual", NOWHERE) if checks.flag("'residual'", gesture.get("residual")) else None
    yield _with_edits(page, tuple(_with_option(each, "keep", word) for each in controls.edits))


def end_point(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    """{"on": bool}: the input as it is edited now becomes the baseline, so that a map of a later position explains what
    differs between the two; or the baseline is taken away."""
    controls = page.known
    if not checks.flag("'on'", gesture.get("on")):
        yield page.with_controls(controls.with_option("baseline", None))
        return
    if controls.input.index is not None or page.entry.collection:
        raise BindError("an end point is one input; choose an input that was registered alone")
    if controls.sweeps:
        raise BindError("a sweep is several inputs, and an end point is one; move the slider to one place first")
    if controls.pin is not None or controls.before_after:
        raise BindError("an input is compared with one other; unpin the other input first")
    end = edited_input(controls.input.name, controls.edits)
    yield page.with_controls(controls.with_option("baseline", end))


def sort(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    """{"collection": name, "class": name, "descending": bool}: the inputs of a collection, edited as this one is, in
    the order of the model's score of a class."""
    controls, target = page.known, gesture.get("class")
    name = known_name(gesture.get("collection"), page.catalog.visible, "input")
    if not page.catalog.input(name).collection:
        raise BindError(f"'{name}' is one input; only those of a collection have an order")
    if not isinstance(target, str):
        raise BindError(f"a class is named by a text, not by {shown(target)}")
    descending = checks.flag("'descending'", gesture.get("descending", True))
    whole = replace(controls, input=Chosen(name), pin=None, before_after=False, compare=None)
    baseline = whole.option("baseline")
    if isinstance(baseline, tree.CallExpr) and baseline.name.value.lower() in LATENT_EDITS:
        whole = whole.with_option("baseline", None)  # the end point of one input
    score = tree.CallExpr(tree.Name("score", NOWHERE), (tree.Text(target, NOWHERE),), (), NOWHERE)
    query = page.with_controls(whole).query
    limit = tree.Number(min(_SORTED, len(page.catalog.input(name).elements)), "", NOWHERE)
    order = (tree.SortKey(score, descending, NOWHERE),)
    yield GestureDraft(replace(query, having=None, order=order, limit=limit))


def described(controls: Controls) -> dict[str, object] | None:
    """What a page shows of the edits of codes: `moves` by axis (a number, or the steps of a sweep), `mixes` with their
    source, levels (empty: all) and share, the `counterfactual`, whether the residual is kept, and `end`, the text of
    the end point that a map is drawn against. None where there is nothing of these."""
    moves: dict[str, object] = {}
    mixes: list[dict[str, object]] = []
    aim: dict[str, object] | None = None
    keeps, within = False, None
    for each in controls.edits:
        if each.name not in LATENT_EDITS:
            continue
        options = {option.name.value.lower(): plain_value(option.value) for option in each.options}
        keeps, within = keeps or "keep" in options, options.get("within", within)
        match each:
            case InputEdit("latent", (tree.Text(name) | tree.Name(name), amount)):
                moves[name] = plain_value(amount)
            case InputEdit("mix", (other,)):
                share = options.get("p", 1)
                mixes.append({"source": plain_value(other), "levels": list(_said_levels(each) or ()), "p": share})
            case InputEdit("counterfactual"):
                aim = {name: options.get(name) for name in ("target", "model", "margin")}
    baseline = controls.option("baseline")
    pinned = isinstance(baseline, tree.CallExpr) and baseline.name.value.lower() in LATENT_EDITS
    end = plain_value(baseline) if pinned or (controls.edits and _is(baseline, controls)) else None
    if end is None and not any(each.name in LATENT_EDITS for each in controls.edits):
        return None
    return {"moves": moves, "mixes": mixes, "counterfactual": aim, "keep": keeps, "within": within, "end": end}


def _is(baseline: tree.ValueExpr | None, controls: Controls) -> bool:
    """Whether a baseline is the input before its edits."""
    return isinstance(baseline, tree.Name) and baseline.value == controls.input.name


# --- edits of codes


def _with_edits(page: GesturePage, edits: tuple[InputEdit, ...]) -> GestureDraft:
    controls = page.known
    return page.with_controls(replace(controls, edits=edits, before_after=controls.before_after and bool(edits)))


def _moves_along(edit: InputEdit, name: str) -> bool:
    match edit:
        case InputEdit("latent", (tree.Text(axis) | tree.Name(axis), _)):
            return axis == name
    return False


def _amount(t: object) -> tree.Expression | None:
    """How far a slider is: a number of thousandths, or the steps of a sweep; None at its middle."""
    if isinstance(t, dict):
        match t.get("steps"):
            case [low, high, count]:
                ends = (_number(low), _number(high), shapes.number(checks.whole("the steps", count, 1, 1000), "steps"))
                return tree.CallExpr(tree.Name(SWEEP, NOWHERE), ends, (), NOWHERE)
        raise BindError(f'a sweep is said as {{"steps": [low, high, count]}}, not as {shown(t)}')
    found = _number(t)
    return found if found.value else None


def _number(t: object) -> tree.Number:
    said = checks.number("the move along an axis", t, -_FURTHEST, _FURTHEST)
    return shapes.number(round(said, _DIGITS) + 0.0, "the move along an axis")


def _generator(gesture: GestureMessage, page: GesturePage) -> RegisteredGenerator:
    """The generator that a gesture names, or the only one that draws such inputs."""
    named = gesture.get("generator")
    name = "" if named is None else known_name(named, page.catalog.generators, "generator")
    return page.catalog.generator_for(page.entry, name)


def _drawn_by(generator: RegisteredGenerator, page: GesturePage) -> tuple[tree.OptionExpr, ...]:
    """The option that names a generator, where several draw such inputs."""
    fitting = [each for each in page.catalog.generators.values() if each.shape == page.entry.shape]
    return () if len(fitting) < 2 else (_option("generator", tree.Name(generator.name, NOWHERE)),)


def _mixes(edit: InputEdit) -> str | None:
    """The input that a mix takes levels of, where it is one as registered."""
    match edit:
        case InputEdit("mix", (tree.Name(name),)):
            return name
    return None


def _said_levels(edit: InputEdit) -> tuple[int, ...] | None:
    """The levels that a mix names; None where it names none, which is all of them."""
    for each in edit.options:
        if each.name.value.lower() == "layers":
            values = each.value.values if isinstance(each.value, tree.NumberTuple) else (each.value,)
            return tuple(int(value.value) for value in values if isinstance(value, tree.Number))
    return None


def _levels(edit: InputEdit, count: int) -> tuple[int, ...]:
    said = _said_levels(edit)
    return tuple(range(1, count + 1)) if said is None else said


def _with_levels(edit: InputEdit, levels: Iterable[int], count: int) -> InputEdit:
    numbers = tuple(tree.Number(level, str(level), NOWHERE) for level in sorted(levels))
    if len(numbers) == count:
        return _with_option(edit, "layers", None)
    return _with_option(edit, "layers", numbers[0] if len(numbers) == 1 else tree.NumberTuple(numbers, NOWHERE))


def _with_share(edit: InputEdit, share: float) -> InputEdit:
    share = round(share, _DIGITS)
    return _with_option(edit, "p", None if share == 1 else shapes.number(share, "a share"))


def _common(edits: Iterable[InputEdit]) -> tuple[tree.OptionExpr, ...]:
    """The options that a new edit of codes shares with those that are there."""
    found: dict[str, tree.OptionExpr] = {}
    for each in edits:
        if each.name in LATENT_EDITS:
            found |= {option.name.value.lower(): option for option in each.options}
    return tuple(found[name] for name in _COMMON if name in found)


def _option(name: str, value: tree.ValueExpr) -> tree.OptionExpr:
    return tree.OptionExpr(tree.Name(name, NOWHERE), value, NOWHERE)


def _with_option(edit: InputEdit, name: str, value: tree.ValueExpr | None) -> InputEdit:
    """An edit of codes with another value of an option, or without it; any other edit as it is. Options stand in the
    order of the edit's form."""
    if edit.name not in LATENT_EDITS:
        return edit
    others = {each.name.value.lower(): each for each in edit.options if each.name.value.lower() != name}
    if value is not None:
        others[name] = _option(name, value)
    order = [each.name for each in LATENT_EDITS[edit.name].options]
    return replace(edit, options=tuple(sorted(others.values(), key=lambda each: _place(each, order))))


def _place(option: tree.OptionExpr, order: list[str]) -> int:
    name = option.name.value.lower()
    return order.index(name) if name in order else len(order)

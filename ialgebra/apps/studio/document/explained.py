"""Gestures that say what is explained: a model, an input, what they are compared with; classes, layers and players.

In: a gesture, the page's query. Out: drafts of another query, the one that keeps most first: what does not fit another
model or input is left out. May not know: windows, edits, rankings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Final, TypeAlias

from ....algebra.kinds import KINDS
from ....catalog.catalog import Catalog
from ....errors import BindError, IalgebraError
from ....language import tree
from ....language.reader import parse_value
from ....models.network import Network
from ....system import checks
from ....system.checks import shown
from . import attributes, shapes
from .controls import Chosen, Controls, from_controls
from .drafts import GestureDraft, GestureMessage, GesturePage, chosen_input, known_name, select_item, text_or_none
from .shapes import NOWHERE


def model(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    name = known_name(gesture.get("name"), page.catalog.models, "model")
    controls = page.controls or Controls(name, Chosen(next(iter(page.catalog.visible))))
    controls = replace(controls, model=name, compare=None if controls.compare == name else controls.compare)
    forgetting = (_no_target, _no_layers, no_comparison, partial(_no_attributes, page.catalog))
    yield from less_and_less(GestureDraft(page.query), controls, forgetting)


def compare(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    controls = page.known
    if gesture.get("model") is None:
        yield page.with_controls(replace(controls, compare=None))
        return
    name = known_name(gesture.get("model"), page.catalog.models, "model")
    if name == controls.model:
        raise BindError(f"'{name}' is the model that is shown already; compare it with another one")
    yield from less_and_less(GestureDraft(page.query), replace(controls, compare=name), (_no_target, _no_layers))


def input(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    chosen = chosen_input(gesture, "name", page.catalog)
    model = page.controls.model if page.controls else next(iter(page.catalog.models))
    controls = page.controls or Controls(model, chosen)
    pin = None if controls.pin == chosen else controls.pin
    model = _fitting(controls.model, chosen, page.catalog)
    compare = controls.compare if model == controls.model else None
    controls = replace(controls, model=model, compare=compare, input=chosen, pin=pin)
    no_attributes = partial(_no_attributes, page.catalog)
    forgetting = (_no_edits, no_attributes, no_window, _no_players, _no_pin, no_ranking, _no_target, _no_layers)
    yield from less_and_less(GestureDraft(page.query), controls, forgetting)


def _fitting(model: str, chosen: Chosen, catalog: Catalog) -> str:
    """The model; if it was run with inputs of another form, the first one that was run with such inputs."""
    known = [catalog.models[model], *catalog.models.values()] if model in catalog.models else []
    return next((network.name for network in known if _takes(network, chosen, catalog)), model)


def _takes(network: Network, chosen: Chosen, catalog: Catalog) -> bool:
    """Whether a model was run with inputs like this one: of as many axes, and as many features or channels. One that
    was not run yet may take it."""
    example, entry = network.example, catalog.input(chosen.name)
    if example is None:
        return True
    try:
        x = catalog.element_for(network.name, entry.sources[0]).tensor
    except IalgebraError:  # a model of texts, and a text of another tokenizer
        return False
    alike = example.dim() == x.dim() and example.is_floating_point() == x.is_floating_point()
    return alike and (KINDS[entry.kind].vocabulary or example.shape[0] == x.shape[0])


def pin(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    controls = page.known
    if gesture.get("input") is None:
        yield page.with_controls(replace(controls, pin=None))
        return
    chosen = chosen_input(gesture, "input", page.catalog)
    if chosen == controls.input:
        raise BindError(f"'{chosen.name}' is the input that is shown already; pin another one")
    yield page.with_controls(replace(controls, pin=chosen, before_after=False))


def before_after(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    controls, on = page.known, checks.flag("'on'", gesture.get("on"))
    if on and not controls.edits:
        raise BindError("there is no edit to compare with what was before it; edit the input first")
    yield page.with_controls(replace(controls, before_after=on, pin=None if on else controls.pin))


_Forgetting: TypeAlias = Callable[[tree.Query, Controls], tuple[tree.Query, Controls]]


def less_and_less(draft: GestureDraft, controls: Controls, forgetting: Sequence[_Forgetting]) -> Iterator[GestureDraft]:
    """The query with these controls; then without one of the parts that may not fit them; then without more and more
    of these parts."""
    singly = [forget(draft.query, controls) for forget in forgetting]
    together = accumulate(forgetting, lambda left, forget: forget(*left), initial=(draft.query, controls))
    fault: BindError | None = None
    for query, less in dict.fromkeys([(draft.query, controls), *singly, *together]):
        try:
            made = from_controls(query, less)
        except BindError as error:
            fault = fault or error
        else:
            yield replace(draft, query=made)
    if fault is not None:
        raise fault


def _no_target(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return query, controls.with_option("target", None)


def _no_layers(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return replace(query, items=(select_item("*", query),)), controls


def no_comparison(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return query, replace(controls, compare=None)


def _no_edits(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return query, replace(controls, edits=(), before_after=False)


def no_window(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return replace(query, where=None), controls


def _no_players(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return query, controls.with_option("players", None).with_option("baseline", None)


def _no_attributes(catalog: Catalog, query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    without = attributes.without_attributes(controls, catalog)
    return replace(query, where=attributes.where_of_input(query.where, catalog)), without


def _no_pin(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return query, replace(controls, pin=None)


def no_ranking(query: tree.Query, controls: Controls) -> tuple[tree.Query, Controls]:
    return replace(query, having=None, order=(), limit=None), controls


def target(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    match gesture.get("class"):
        case None:
            value: tree.ValueExpr | None = None
        case str(name):
            network = page.catalog.models.get(page.known.model)
            unnamed = _UNNAMED.fullmatch(name) if network is None or not network.classes else None
            value = shapes.number(int(unnamed[1]), "a class") if unnamed else tree.Text(name, NOWHERE)
        case other:
            value = shapes.number(checks.whole("a class", other, 0), "a class")
    yield page.with_controls(page.known.with_option("target", value))


_UNNAMED: Final = re.compile(r"(?:class|output) (\d{1,9})", re.ASCII)
"""What classes without names are called: `class 3`, or `output 3` of a regression."""


def players(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    if "rows" in gesture or "columns" in gesture:
        numbers = (checks.whole(f"the number of {key}", gesture.get(key), 1, 10_000) for key in ("rows", "columns"))
        text: str | None = "grid({}, {})".format(*numbers)
    else:
        text = text_or_none(gesture, "text", "players are said by a text such as 'grid(4, 4)'")
    value = None if text is None else parse_value(text)
    yield page.with_controls(page.known.with_option("players", value))


def baseline(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    text = text_or_none(gesture, "text", "a baseline is said by a text such as 'blur(9)'")
    value = None if text is None else parse_value(text)
    yield page.with_controls(page.known.with_option("baseline", value))


def layers(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    layers = gesture.get("layers")
    if not isinstance(layers, list | tuple):
        raise BindError(f'layers are a list such as [6, 12, "*"], not {shown(layers)}')
    items = dict.fromkeys(select_item(layer, page.query) for layer in layers or ["*"])
    yield GestureDraft(replace(page.query, items=tuple(items)))

"""The panel of concepts: what each attribute of a dictionary adds, which inputs activate it most, and where it is.

In: the query of a page, and what its panel asks. Out: the questions that the query means for attributes, and their
answers as frames. Every question is asked of the session, whose store has most of its rows. May not know: sockets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from ...algebra.kinds import KINDS
from ...algebra.windows import sql_name, sql_text
from ...catalog.catalog import Catalog
from ...catalog.inputs import Entry
from ...errors import BindError
from ...language import tree
from ...language.reader import parse
from ...language.writer import write
from ...models.concepts import Dictionary
from ...results.scores import Scores
from ...session.session import Session
from . import contents, frames
from .document import attributes
from .document.controls import Chosen, Controls, controls_of, fresh, from_controls
from .document.shapes import NOWHERE
from .frames import AnswerFrame
from .likely import shown_input
from .messages import Said
from .panels import PanelAnswer, SeenPage, StudioPanel

_MOST_ACTIVE: Final = 4  # inputs that are shown of an attribute
_MOST_INPUTS: Final = 2_000  # of a collection that are looked at for them
_BUDGET: Final = 128  # rows of the map of an attribute, which the maps of the others have in common


class _Shown(NamedTuple):
    """What a page shows, and the dictionary by which it is looked at."""

    controls: Controls
    model: str
    dictionary: Dictionary


def told(con: Session) -> Said:
    """The dictionaries of each model, by their names."""
    catalog = con.catalog()
    models = dict.fromkeys(model for each in catalog.concepts.values() for model in each.models)
    return {"models": {each: [own.name for own in attributes.dictionaries_of(each, catalog)] for each in models}}


def answer(page: SeenPage, message: Said) -> PanelAnswer:
    """The answer to {"do": "relevance"}, {"do": "most", "attribute": name} or {"do": "where", "attribute": name}, each
    with the name of a "dictionary". Raises IalgebraError where the query shows no input that has attributes."""
    catalog = page.con.catalog()
    shown = _shown(page.text, message.get("dictionary"), catalog)
    match message.get("do"):
        case "relevance":
            return _relevance(page, shown, catalog)
        case "most":
            return _most_active(page, shown, _attribute(message, shown), catalog)
        case "where":
            return _where(page, shown, _attribute(message, shown), catalog)
    raise BindError("the panel of concepts tells relevance, most and where")


PANEL: Final = StudioPanel("concepts", "Concepts", "beside", answer, told)


def _shown(text: str, dictionary: object, catalog: Catalog) -> _Shown:
    """What a query shows: of a collection the first input, of several edits the first."""
    *_, statement = parse(text)
    query = statement.query if isinstance(statement, tree.Explain) else statement
    controls = controls_of(query, catalog.visible) if isinstance(query, tree.Query) else None
    if controls is None:
        raise BindError("the query is written in a form of its own; choose a model or an input to see its concepts")
    if controls.input.index is None and catalog.input(controls.input.name).collection:
        controls = replace(controls, input=Chosen(controls.input.name, 0))
    model = attributes.explained_model(controls.model, catalog)
    own = {each.name: each for each in attributes.dictionaries_of(model, catalog)}
    found = own.get(dictionary) if isinstance(dictionary, str) else next(iter(own.values()), None)
    alone = replace(controls, pin=None, compare=None, before_after=False)
    return _Shown(alone, model, found or catalog.dictionary(model, str(dictionary or "concepts")))


def _attribute(message: Said, shown: _Shown) -> str:
    name = message.get("attribute")
    return shown.dictionary.names[shown.dictionary.index(name if isinstance(name, str) else "")]


def _query_of(controls: Controls) -> tree.Query:
    return from_controls(fresh(controls.model, controls.input.name), controls)


# --- what each attribute adds


def _relevance(page: SeenPage, shown: _Shown, catalog: Catalog) -> AnswerFrame:
    controls = attributes.over_attributes(shown.controls, catalog, shown.dictionary)
    text, names = write(_query_of(controls)), shown.dictionary.names
    (a, *_) = page.ask(text)
    predicted, decided = _decisions(page, shown, text, catalog)
    header: Said = {
        "do": "relevance",
        "text": text,
        "model": a.model,
        "input": str(a.input),
        "names": names,
        "target": a.target_name,
        "prediction": predicted,
        "decision": decided,
        "surrogate": catalog.concept_game(shown.model, shown.dictionary.name).surrogate,
        "conflict": predicted != decided,
        "unexplained": a.unexplained,
        "v_empty": a.base_value,
        "v_full": a.full_value,
    }
    code = a.content.reshape(-1)
    return AnswerFrame(header, (("values", a.values), ("stderr", a.stderr), ("activation", code)))


def _decisions(page: SeenPage, shown: _Shown, text: str, catalog: Catalog) -> tuple[str, str]:
    """The class that the model predicts for the input, and the one that its attributes decide for; empty of a
    regression."""
    seen = shown_input(text, catalog)
    assert seen is not None
    surrogate = catalog.concept_game(shown.model, shown.dictionary.name).surrogate
    which = "" if shown.controls.input.index is None else f" having index = {shown.controls.input.index}"
    scores = page.ask(f"predict {sql_name(shown.model)}, {sql_name(surrogate)} from {seen.text}{which}")
    assert isinstance(scores, Scores)
    predicted, decided = (each.predicted_names()[0] for each in scores.models)
    return predicted, decided


# --- which inputs activate an attribute most


def _most_active(page: SeenPage, shown: _Shown, attribute: str, catalog: Catalog) -> PanelAnswer:
    entry = _collection(shown, catalog)
    said: Said = {"do": "most", "attribute": attribute}
    if entry is None:
        return {**said, "collection": None, "items": []}
    activations, named = sql_name(f"{shown.model}.{shown.dictionary.name}"), sql_text(attribute)
    some = f" having index < {_MOST_INPUTS}" if len(entry.elements) > _MOST_INPUTS else ""
    asked = f"predict {activations}(target => {named}) from {sql_name(entry.name)}{some}"
    scores = page.ask(f"{asked} order by activation({named}) desc limit {_MOST_ACTIVE}")
    assert isinstance(scores, Scores)
    (codes,), kind = scores.models, contents.shown_kind(entry.kind)
    items = [
        {
            "index": place,
            "activation": float(activation),
            "label": None if entry.labels is None else str(entry.labels[place]),
            "text": None if kind == "image" else contents.line(entry, entry.elements[place]),
        }
        for place, activation in zip(scores.places.tolist(), codes.target_scores[:, 0], strict=True)
    ]
    sheets = [contents.thumbnails(catalog, entry.name, place, place + 1)[1] for place in scores.places.tolist()]
    rgb = np.concatenate(sheets)
    shape = {"kind": kind, "width": rgb.shape[2], "height": rgb.shape[1]}
    looked = min(len(entry.elements), _MOST_INPUTS)
    return AnswerFrame({**said, "collection": entry.name, "items": items, "of": looked, **shape}, (("rgb", rgb),))


def _collection(shown: _Shown, catalog: Catalog) -> Entry | None:
    """The collection that is shown, or else the first one of such inputs."""
    own = catalog.input(shown.controls.input.name)
    if own.collection:
        return own
    fits = KINDS[own.kind].vocabulary
    alike = (each for each in catalog.visible.values() if each.collection and each.kind == own.kind)
    return next((each for each in alike if fits or each.shape == own.shape), None)


# --- where an attribute is


def _where(page: SeenPage, shown: _Shown, attribute: str, catalog: Catalog) -> AnswerFrame:
    controls = attributes.of_attribute(shown.controls, catalog, shown.dictionary, attribute)
    budget = tree.Number(_BUDGET, str(_BUDGET), NOWHERE)
    text = write(replace(_query_of(controls), budget=budget))
    made = frames.map_frame(page.ask(text)[:1], 0, catalog, text)
    return AnswerFrame({**made.header, "do": "where", "attribute": attribute}, made.arrays, made.parts)

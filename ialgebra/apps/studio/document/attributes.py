"""What a query says of the attributes of a dictionary: which is explained, and which are looked at.

    f(x, players => concepts)                                 what each attribute adds
    f(x, players => concepts) where concept in ('a3', 'a7')   of some attributes
    f.concepts(x, target => 'a7')                             where an attribute is

In: a query with its controls, a catalog. Out: `ShownAttributes`; the parts of a WHERE; a game over attributes of what a
query shows. Also of queries that were written by hand. May not know: gestures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from ....algebra.attributes import COLUMNS, CONCEPT
from ....algebra.players import OfConcepts
from ....algebra.windows import Window, reads
from ....catalog.catalog import CONCEPTS, Catalog
from ....errors import IalgebraError
from ....language import tree
from ....language.bind.options import bind_players
from ....language.bind.predicates import bind_window
from ....models.concepts import DerivedNetwork, Dictionary
from .controls import Controls
from .shapes import NOWHERE


class AttributesWhere(NamedTuple):
    """A WHERE in parts that are joined by AND: conditions on the input, other conditions on attributes, and the
    attributes that it takes by their names (None: all of them)."""

    of_input: tuple[tree.Expression, ...]
    of_attributes: tuple[tree.Expression, ...]
    names: tuple[str, ...] | None


@dataclass(frozen=True)
class ShownAttributes:
    """What a query says of attributes: the model that they are of, the dictionary that it names or the model's only one
    (None: it has none), whether the game is over them (`playing`), the attribute that is explained, and those that
    WHERE takes."""

    model: str
    dictionary: Dictionary | None
    playing: bool
    target: str | None
    chosen: tuple[str, ...]


def explained_model(model: str, catalog: Catalog) -> str:
    """The model itself, of one that a dictionary gives, such as f.concepts or f.g."""
    network = catalog.models.get(model)
    return network.of.name if isinstance(network, DerivedNetwork) else model


def dictionaries_of(model: str, catalog: Catalog) -> list[Dictionary]:
    """The dictionaries that a model has; 'concepts' comes first."""
    found = [each for key, each in catalog.concepts.items() if key == f"{model}.{each.name}"]
    return sorted(found, key=lambda each: each.name != CONCEPTS)


def shown_attributes(query: tree.Query, controls: Controls, catalog: Catalog) -> ShownAttributes:
    """What a query says of attributes."""
    model = explained_model(controls.model, catalog)
    players, target = _players(controls, catalog), None
    dictionary = _dictionary(controls, players, model, catalog)
    if dictionary is not None and controls.model == f"{model}.{dictionary.name}":
        target = _named(controls.option("target"), dictionary)
    names = parts_of_where(query.where, catalog.windows, dictionary).names
    return ShownAttributes(model, dictionary, players is not None, target, names or ())


def _players(controls: Controls, catalog: Catalog) -> OfConcepts | None:
    value = controls.option("players")
    try:
        players = None if value is None else bind_players(value, catalog)
    except IalgebraError:  # a text that means nothing
        return None
    return players if isinstance(players, OfConcepts) else None


def _dictionary(controls: Controls, players: OfConcepts | None, model: str, catalog: Catalog) -> Dictionary | None:
    own = dictionaries_of(model, catalog)
    network = catalog.models.get(controls.model)
    if players is not None and (len(own) > 1 or players.dictionary != CONCEPTS):
        return next((each for each in own if each.name == players.dictionary), None)
    if isinstance(network, DerivedNetwork):
        return next((each for each in own if each in network.made_of), None)
    return own[0] if own else None


def _named(value: tree.ValueExpr | tree.Expression | None, dictionary: Dictionary) -> str | None:
    """The attribute that a text, a name or a number means; None where it means none."""
    match value:
        case tree.Text(name) | tree.Name(name) if name in dictionary.names:
            return name
        case tree.Number(int(index)) if 0 <= index < dictionary.size:
            return dictionary.names[index]
    return None


# --- WHERE


def parts_of_where(
    where: tree.Expression | None, windows: Mapping[str, Window], dictionary: Dictionary | None
) -> AttributesWhere:
    """The parts of a WHERE. Attributes that are taken twice are those of both."""
    of_input, of_attributes = list[tree.Expression](), list[tree.Expression]()
    names: tuple[str, ...] | None = None
    parts = () if where is None else where.parts if isinstance(where, tree.AndExpr) else (where,)
    for each in parts:
        taken = None if dictionary is None else _taken(each, dictionary)
        if taken is not None:
            names = taken if names is None else tuple(name for name in names if name in taken)
        elif _reads_attributes(each, windows):
            of_attributes.append(each)
        else:
            of_input.append(each)
    return AttributesWhere(tuple(of_input), tuple(of_attributes), names)


def _taken(part: tree.Expression, dictionary: Dictionary) -> tuple[str, ...] | None:
    """The attributes of `concept in ('a3', 'a7')` or `concept = 'a3'`; None for another condition."""
    match part:
        case tree.InExpr(tree.Name(column), values) if column.lower() == CONCEPT:
            found = [_named(each, dictionary) for each in values]
        case tree.CompareExpr("=", tree.Name(column), value) if column.lower() == CONCEPT:
            found = [_named(value, dictionary)]
        case _:
            return None
    known = [each for each in found if each is not None]
    return tuple(dict.fromkeys(known)) if len(known) == len(found) else None


def _reads_attributes(part: tree.Expression, windows: Mapping[str, Window]) -> bool:
    try:
        return bool(reads(bind_window(part, windows, None)) & set(COLUMNS))
    except IalgebraError:  # its fault is shown beside the text
        return False


def where_of_input(where: tree.Expression | None, catalog: Catalog) -> tree.Expression | None:
    """A WHERE without its conditions on attributes."""
    parts = parts_of_where(where, catalog.windows, None)
    return where if not parts.of_attributes else where_of(parts._replace(of_attributes=()))


def where_of(parts: AttributesWhere) -> tree.Expression | None:
    """The WHERE of its parts."""
    conditions = [*parts.of_input, *parts.of_attributes]
    if parts.names:
        column, values = tree.Name(CONCEPT, NOWHERE), tuple(tree.Text(each, NOWHERE) for each in parts.names)
        conditions.append(tree.InExpr(column, values, NOWHERE))
    if len(conditions) < 2:
        return conditions[0] if conditions else None
    return tree.AndExpr(tuple(conditions), NOWHERE)


# --- FROM


def over_attributes(controls: Controls, catalog: Catalog, dictionary: Dictionary) -> Controls:
    """The controls of a game over attributes of what these show: of the model, or of its surrogate."""
    model = explained_model(controls.model, catalog)
    if controls.model == f"{model}.{dictionary.name}":
        controls = without_target(replace(controls, model=model))
    name = tree.Name(CONCEPTS, NOWHERE)
    value: tree.ValueExpr = name
    if dictionary.name != CONCEPTS:
        value = tree.CallExpr(name, (tree.Text(dictionary.name, NOWHERE),), (), NOWHERE)
    return controls.with_option("players", value)


def of_attribute(controls: Controls, catalog: Catalog, dictionary: Dictionary, attribute: str) -> Controls:
    """The controls of the map of an attribute over what these show. What is compared with a class is left out: a class
    is none of an attribute's outputs."""
    model, controls = explained_model(controls.model, catalog), without_attributes(controls, catalog)
    for each in ("output", "contrast"):
        controls = controls.with_option(each, None)
    controls = replace(controls, model=f"{model}.{dictionary.name}", pin=None, compare=None)
    return controls.with_option("target", tree.Text(attribute, NOWHERE))


def of_model(controls: Controls, catalog: Catalog) -> Controls:
    """The controls of the model itself, over the input's own players."""
    model = explained_model(controls.model, catalog)
    if controls.model != model:
        controls = without_target(replace(controls, model=model))
    return without_attributes(controls, catalog)


def without_attributes(controls: Controls, catalog: Catalog) -> Controls:
    """The controls of a game over the input's own players."""
    return controls.with_option("players", None) if _players(controls, catalog) is not None else controls


def without_target(controls: Controls) -> Controls:
    """The controls that explain the class that a model predicts."""
    return controls.with_option("target", None)


def described(shown: ShownAttributes) -> dict[str, object]:
    """What a page shows of it."""
    dictionary = shown.dictionary
    return {
        "model": shown.model,
        "dictionary": None if dictionary is None else dictionary.name,
        "playing": shown.playing,
        "target": shown.target,
        "chosen": list(shown.chosen),
    }

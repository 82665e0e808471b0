"""Gestures on the attributes of a dictionary: one becomes what is explained, or one of those that are looked at.

In: a gesture, the page's query. Out: drafts of another query. May not know: activations, relevances.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ....models.concepts import Dictionary
from ....system import checks
from . import attributes
from .attributes import ShownAttributes, where_of, where_of_input
from .drafts import GestureDraft, GestureMessage, GesturePage, known_name, select_item
from .explained import less_and_less, no_comparison, no_ranking, no_window


def concept_target(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    """{"attribute": name, "on": bool}: where an attribute is in the input; off: what the model itself says again."""
    shown, dictionary = _meant(gesture, page)
    name, query = known_name(gesture.get("attribute"), dictionary.names, "attribute"), page.query
    if checks.flag("'on'", gesture.get("on")):
        controls = attributes.of_attribute(page.known, page.catalog, dictionary, name)
    elif shown.target == name and shown.dictionary is dictionary:
        controls = attributes.of_model(page.known, page.catalog)
    else:
        yield GestureDraft(query)
        return
    query = replace(query, where=where_of_input(query.where, page.catalog), items=(select_item("*", query),))
    yield from less_and_less(GestureDraft(query), controls, (no_ranking, no_window))


def concept_window(gesture: GestureMessage, page: GesturePage) -> Iterator[GestureDraft]:
    """{"attribute": name, "on": bool}: an attribute is one of those that are looked at, or is none of them. Without an
    attribute, all are looked at; off: the features of the input again."""
    shown, dictionary = _meant(gesture, page)
    said, query, on = gesture.get("attribute"), page.query, checks.flag("'on'", gesture.get("on"))
    name = None if said is None else known_name(said, dictionary.names, "attribute")
    playing = shown.playing and shown.dictionary is dictionary
    if not on and not playing:
        yield GestureDraft(query)
        return
    of_these = playing and (on or name is not None)  # whose conditions on attributes stay
    where = query.where if of_these else where_of_input(query.where, page.catalog)
    if not on and name is None:
        controls = attributes.of_model(page.known, page.catalog)
    else:
        controls = attributes.over_attributes(page.known, page.catalog, dictionary)
        parts = attributes.parts_of_where(where, page.catalog.windows, dictionary)
        names = _names(parts.names or (), name, on)
        where = where if names == (parts.names or ()) else where_of(parts._replace(names=names))
    query = replace(query, where=where, items=(select_item("*", query),))
    yield from less_and_less(GestureDraft(query), controls, (no_comparison, no_ranking))


def _names(now: tuple[str, ...], name: str | None, on: bool) -> tuple[str, ...]:
    """The attributes that are looked at after one is added or taken away; none, which is all, without a name."""
    if name is None:
        return ()
    return (*now, *((name,) if name not in now else ())) if on else tuple(each for each in now if each != name)


def _meant(gesture: GestureMessage, page: GesturePage) -> tuple[ShownAttributes, Dictionary]:
    """What the query says of attributes, and the dictionary that a gesture names, or that of the query."""
    shown = attributes.shown_attributes(page.query, page.known, page.catalog)
    named = gesture.get("dictionary")
    if named is None and shown.dictionary is not None:
        return shown, shown.dictionary
    own = {each.name: each for each in attributes.dictionaries_of(shown.model, page.catalog)}
    if named is None or not own:
        return shown, page.catalog.dictionary(shown.model)  # which says how to make one
    return shown, own[known_name(named, own, f"dictionary of '{shown.model}'")]

"""The panel of axes: what models say while an input is moved in a generator's space of codes.

In: gestures that a hand is in the middle of, and the page's query. Out: ratings of all models that take such inputs
with the picture as it is drawn, and what each axis does to each score. A gesture is written by `document.codes` once
the hand lets go; here its query is only asked beside the page. May not know: sockets, or how the page draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ...algebra.windows import sql_name, sql_text
from ...catalog.catalog import Catalog
from ...errors import BindError, IalgebraError
from ...generators.axes import Axis
from ...generators.registered import RegisteredGenerator
from ...language import tree
from ...language.reader import parse_value
from ...language.writer import write
from ...results.scores import Scores
from ...session.session import Session
from . import scoring
from .document import gestures, view
from .frames import AnswerFrame
from .likely import ShownInput, shown_input
from .messages import Said
from .panels import PanelAnswer, SeenPage, StudioPanel

_SIDE: Final = 112  # pixels of the picture's longer side
_FIRST: Final = 1  # priority of ratings: a hand waits for them
_MOST_AXES: Final = 24  # of the table of cross-effects
_MOST_SHOWN: Final = 256  # axes, or inputs of a mix, that a page is told of
_FURTHEST, _STEPS = 3, 13  # standard deviations to each side, and steps, of an exploration that is exported


def _answer(page: SeenPage, message: Said) -> PanelAnswer:
    """What the panel asks: {"do": "rate", "gesture": …, "without": [model, …]}, {"do": "rate end"}, {"do":
    "effects"}."""
    match message.get("do"):
        case "rate":
            gesture = message.get("gesture")
            catalog = page.con.catalog()
            text = gestures.changed(gesture, page.text, catalog).text if isinstance(gesture, Mapping) else page.text
            return _rated(page.con, text, message)
        case "rate end":
            return _rated(page.con, _of_the_end(page), message)
        case "effects":
            return _effects(page, message)
    raise BindError("the panel of axes is asked to 'rate', to 'rate end', or for 'effects'")


def _rated(con: Session, text: str, message: Said) -> AnswerFrame:
    """What all models that take the query's input say of it, and its picture."""
    catalog, without = con.catalog(), message.get("without")
    refused = {str(each) for each in without} if isinstance(without, list) else set[str]()
    shown = _one_input(text, catalog)
    models = [each for each in _rating(catalog, shown) if each not in refused]
    answer, failed = _scores(con, shown, models)
    head: dict[str, object] = {"failed": failed, "rows": [], "input": shown.text, "width": 0, "height": 0}
    if answer is None or not answer.size:
        return AnswerFrame(head, ())
    wanted = message.get("classes")
    classes = [each for each in wanted if isinstance(each, str)] if isinstance(wanted, list) else []
    head |= {**scoring.scores_message(answer, classes), "swept": answer.size}
    if answer.contents is None or not answer.contents.pictured:
        return AnswerFrame(head, ())
    (rgb,) = answer.contents.pictures([0], _SIDE)
    return AnswerFrame(head | {"width": rgb.shape[1], "height": rgb.shape[0]}, (("rgb", rgb),))


def _one_input(text: str, catalog: Catalog) -> ShownInput:
    """The input that a query shows; BindError where it shows none, or all of a collection."""
    shown = shown_input(text, catalog)
    if shown is None or shown.registered is None:
        raise BindError("the query names no input that could be moved")
    if shown.index is None and catalog.input(shown.registered).collection:
        raise BindError(f"'{shown.registered}' is a collection; choose one of its inputs to see its ratings")
    return shown


def _rating(catalog: Catalog, shown: ShownInput) -> list[str]:
    """The models that rate an input: those of the query, and all that were run with inputs of its shape, or not yet."""
    shape = catalog.input(str(shown.registered)).shape
    others = (name for name, each in catalog.models.items() if not each.probed or each.row_shape == shape)
    return list(dict.fromkeys([*(each for each in shown.models if each in catalog.models), *others]))


def _scores(con: Session, shown: ShownInput, models: Sequence[str]) -> tuple[Scores | None, dict[str, str]]:
    """What models say of an input, in one statement; where one of them fails, of those that do not, and why."""
    if not models:
        return None, {}
    try:
        return _predicted(con, shown, models), {}
    except IalgebraError as error:
        if len(models) < 2:
            raise
        first = error
    failed: dict[str, str] = {}
    for each in models:
        try:
            _predicted(con, shown, [each])
        except IalgebraError as error:
            failed[each] = error.message
    rest = [each for each in models if each not in failed]
    if not rest or not failed:
        raise first
    return _predicted(con, shown, rest), failed


def _predicted(con: Session, shown: ShownInput, models: Sequence[str]) -> Scores:
    text = scoring.prediction_of(shown, models, con.catalog())
    answer = con.submit(text, _FIRST, interactive=True).result()
    assert isinstance(answer, Scores)
    return answer


def _of_the_end(page: SeenPage) -> str:
    """A query of the end point that the page's query is drawn against."""
    catalog = page.con.catalog()
    seen = view.viewed(page.text, catalog) or {}
    codes = seen.get("codes")
    end = codes.get("end") if isinstance(codes, Mapping) else None
    if not isinstance(end, str) or not isinstance(seen.get("model"), str):
        raise BindError("no end point is pinned")
    value = parse_value(end)
    assert isinstance(value, tree.CallExpr | tree.Name)
    return f"select * from {sql_name(str(seen['model']))}({write(value)})"


def _effects(page: SeenPage, message: Said) -> AnswerFrame:
    """The table of cross-effects of a generator's axes, on its collection."""
    catalog, named = page.con.catalog(), message.get("generator")
    generator = catalog.generator(str(named))
    axes = [each.name for each in catalog.axes.values() if each.generator == generator.name]
    if generator.collection is None or not axes:
        raise BindError("cross-effects are those of axes, on the collection of their generator; this one has none")
    probed = [each.name for each in catalog.models.values() if each.probed and each.row_shape == generator.shape]
    if not probed:
        raise BindError("no model has rated such an input yet; move a slider first")
    found = page.con.cross_effects(axes[:_MOST_AXES], probed, generator.collection)
    head = {
        "axes": list(found.axes),
        "scores": list(found.scores),
        "count": found.count,
        "left": len(axes[_MOST_AXES:]),
    }
    return AnswerFrame(head, (("effects", np.asarray(found.effects)), ("errors", np.asarray(found.errors))))


def _told(con: Session) -> Said:
    """The generators with their axes, and the inputs that levels of a code may come from."""
    catalog = con.catalog()
    return {"generators": [_generator(each, catalog) for each in catalog.generators.values()]}


def _generator(generator: RegisteredGenerator, catalog: Catalog) -> Said:
    axes = [_axis(each) for each in catalog.axes.values() if each.generator == generator.name]
    alike = [name for name, each in catalog.visible.items() if each.shape == generator.shape]
    single = [name for name in alike if not catalog.input(name).collection]
    return {
        "name": generator.name,
        "levels": generator.levels,
        "encodes": generator.encodes,
        "collection": generator.collection,
        "axes": axes[:_MOST_SHOWN],
        "inputs": alike[:_MOST_SHOWN],
        "sources": single[:_MOST_SHOWN],
    }


def _axis(axis: Axis) -> Said:
    return {"name": axis.name, "of": axis.of, "r2": axis.r2, "held": list(axis.held)}


def exploration(con: Session, text: str) -> list[Scores]:
    """Sweeps of a query's input along each axis, rated by all models: an answer an axis, so that they add up."""
    catalog = con.catalog()
    shown = _one_input(text, catalog)
    entry = catalog.input(str(shown.registered))
    axes = [each for each in catalog.axes.values() if catalog.generator(each.generator).shape == entry.shape]
    if not axes:
        raise BindError(f"no axis moves inputs such as '{entry.name}'; make one with create axis")
    models = [each for each in _rating(catalog, shown) if catalog.models[each].probed]
    found = []
    for axis in axes[:_MOST_AXES]:
        moved = f"latent({shown.text}, {sql_text(axis.name)}, steps({-_FURTHEST}, {_FURTHEST}, {_STEPS}))"
        found.append(_predicted(con, replace(shown, text=moved), models))
    return found


PANEL: Final = StudioPanel("axes", "Axes", "below", _answer, _told)
"""The panel, as the page knows it."""

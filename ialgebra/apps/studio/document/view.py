"""What the controls of a page show for a text: also for one that was typed by hand.

In: a text, a catalog. Out: a mapping of plain values, as the page's `document` message carries it. What a text says in
a form that no control knows is left out here and stays in the text. Raises nothing. May not know: gestures, steps.
"""

from __future__ import annotations

from ....algebra.edits import WindowArgument
from ....algebra.kinds import KINDS
from ....catalog.catalog import Catalog
from ....errors import IalgebraError
from ....language import tree
from ....language.reader import parse
from ....language.writer import write
from .attributes import described as described_attributes
from .attributes import shown_attributes
from .codes import described as described_codes
from .controls import FORMS, Chosen, Controls, InputEdit, controls_of, plain_value
from .shapes import described, shapes_of


def viewed(text: str, catalog: Catalog) -> dict[str, object] | None:
    """What the last query of a text says; None where there is none.

    models, model, input, index, pin, compare, before_after, target, layers, shapes, window_text, edits, rank,
    precision, players, baseline, kind, by_hand; codes, what generators do to the input; and concepts, what is said of
    attributes.
    """
    try:
        *_, statement = parse(text)
    except IalgebraError:
        return None
    query = statement.query if isinstance(statement, tree.Explain) else statement
    if not isinstance(query, tree.Query):
        return None
    controls = controls_of(query, catalog.visible)
    return {
        "layers": [_layer(item) for item in query.items],
        "shapes": [described(each) for each in shapes_of(query.where)],
        "window_text": None if query.where is None else write(query.where),
        "rank": _rank(query, controls),
        "precision": {
            "error": _value(query.error),
            "confidence": _value(query.confidence),
            "seconds": _value(query.within),
            "budget": _value(query.budget),
        },
        "by_hand": controls is None,
        **(_by_hand(query) if controls is None else _controlled(query, controls, catalog)),
    }


def _controlled(query: tree.Query, controls: Controls, catalog: Catalog) -> dict[str, object]:
    entry = catalog.visible.get(controls.input.name)
    return {
        "models": [each for each in (controls.model, controls.compare) if each is not None],
        "model": controls.model,
        "input": controls.input.name,
        "index": controls.input.index,
        "pin": None if controls.pin is None else _chosen(controls.pin),
        "compare": controls.compare,
        "before_after": controls.before_after,
        "target": _class(controls, catalog),
        "edits": [_edit(each, catalog, entry.kind if entry else None) for each in controls.edits],
        "players": _written(controls.option("players")),
        "baseline": _written(controls.option("baseline")),
        "kind": entry.kind if entry else None,
        "codes": described_codes(controls),
        "concepts": described_attributes(shown_attributes(query, controls, catalog)),
    }


def _class(controls: Controls, catalog: Catalog) -> object:
    """The class that is explained, by its name; None where each model explains the class that it predicts."""
    said, network = plain_value(controls.option("target")), catalog.models.get(controls.model)
    return network.class_name(said) if isinstance(said, int) and said >= 0 and network is not None else said


def _by_hand(query: tree.Query) -> dict[str, object]:
    operands = [query.operand, *(joined.operand for joined in query.joins)]
    models = dict.fromkeys(each.name.value for each in operands if isinstance(each, tree.CallExpr))
    nothing = dict.fromkeys(("model", "input", "index", "pin", "compare", "target", "players", "baseline", "kind"))
    return {"models": list(models), "before_after": False, "edits": [], **nothing, "codes": None, "concepts": None}


def _chosen(chosen: Chosen) -> dict[str, object]:
    return {"input": chosen.name, "index": chosen.index}


def _layer(item: tree.Item) -> object:
    match item.what:
        case tree.StarItem():
            return "*"
        case tree.Number(value) | tree.Name(value) | tree.Text(value):
            return value


def _edit(edit: InputEdit, catalog: Catalog, kind: str | None) -> dict[str, object]:
    """An edit with its window as shapes, and its other arguments as plain values, or as text."""
    wanted = FORMS[edit.name].arguments(KINDS[kind]) if kind is not None else None
    said: dict[str, object] = {"edit": edit.name, "window": None}
    others: list[object] = []
    for place, argument in enumerate(edit.arguments):
        if wanted is not None and place < len(wanted) and isinstance(wanted[place], WindowArgument):
            said["window"] = [described(each) for each in shapes_of(argument)]
        else:
            others.append(plain_value(argument))
    return {**said, "arguments": others}


def _written(value: tree.ValueExpr | None) -> str | None:
    return None if value is None else write(value)


def _value(number: tree.Number | None) -> int | float | None:
    return None if number is None else number.value


def _rank(query: tree.Query, controls: Controls | None) -> dict[str, object] | None:
    """How elements are filtered and sorted: by the first key of ORDER BY, and of what."""
    if controls is not None and controls.input.index is not None:
        return None  # HAVING takes one element
    if query.having is None and not query.order and query.limit is None:
        return None
    by: object = None
    of: object = None
    match query.order:
        case (tree.SortKey(tree.Name(name)), *_):
            by = name.lower()
        case (tree.SortKey(tree.CallExpr(tree.Name(name), arguments)), *_):
            by = name.lower()
            match by, arguments:
                case "mass", (window,):
                    of = [described(each) for each in shapes_of(window)]
                case "distance", (tree.Subquery(inner),):
                    of = write(inner)
                case _, (argument,):
                    of = plain_value(argument)
        case (tree.SortKey(term), *_):
            by = write(term)
    return {
        "by": by,
        "of": of,
        "descending": bool(query.order) and query.order[0].descending,
        "limit": _value(query.limit),
        "having": None if query.having is None else write(query.having),
    }

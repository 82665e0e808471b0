"""The plan of a query for the page's plan view: operators, laws that fired, rows saved, forecast.

In: what EXPLAIN (FORMAT JSON) says. Out: the message `plan`. It plans nothing itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .messages import Said

_LAW = re.compile(r"\((L\d+)\)$")
_KINDS = {"φ": "identity", "Π": "projection", "σ": "selection", "⋈": "join", "⋄": "anti-join"}


def planned(text: str, details_text: str) -> dict[str, object]:
    """The message for a query, from the JSON of its EXPLAIN."""
    details: dict[str, Any] = json.loads(details_text)
    graph: Mapping[str, Any] = (details.get("graph") or {}).get("normal") or {"nodes": [], "edges": [], "maps": []}
    return {
        "type": "plan",
        "text": text,
        "nodes": [_node(number, each, graph["maps"]) for number, each in enumerate(graph["nodes"])],
        "edges": [[each["operand"], each["reader"]] for each in graph["edges"]],
        "laws": [_law(words, count) for words, count in details.get("laws", ())],
        "written": details.get("written"),
        "normal": details.get("normal"),
        "saved": [{"by": words, "rows": rows} for words, rows, *_ in details.get("shared", ())],
        "batches": details.get("batches"),
        "decisions": details.get("decisions"),
        "notes": details.get("notes"),
        "rows": details.get("rows"),
        "rows_as_written": details.get("rows_as_written"),
        "seconds": details.get("seconds"),
        "seconds_as_written": details.get("seconds_as_written"),
    }


def _node(number: int, node: Mapping[str, Any], answers: list[int]) -> Said:
    label = str(node["operator"])
    kind = next((kind for sign, kind in _KINDS.items() if label.startswith(sign)), "other")
    return {"id": number, "label": label, "kind": kind, "shared": node["shared"], "answer": number in answers}


def _law(words: str, count: int) -> Said:
    found = _LAW.search(words)
    formula = words if found is None else words[: found.start()].rstrip()
    before, equals, after = formula.partition(" = ")
    law = {"law": found[1] if found else "", "formula": formula, "times": count}
    return {**law, "before": before if equals else "", "after": after}

"""EXPLAIN of a PREDICT: its plan as plain values, and these as text, as JSON or as a drawing in DOT.

In: a plan of whole inputs, its ranking in words, and what was measured. Out: a dictionary, and texts of it. It runs
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..algebra.edits import ONE_DRAWING
from .explain import law_line, measured_line, short_time
from .formats import PlanFormat, as_json, quoted
from .spending import Spending
from .wholes import WholePlan


class WholePassLine(TypedDict):
    """All inputs through one model. `layers` are read (None: the model itself); seconds are None if not known."""

    model: str
    layers: list[int | None]
    rows: int
    batch_size: int
    seconds: float | None


class WholeMeasured(TypedDict):
    """What a run took; `saved` are rows found in the store, by what they were run for."""

    rows: int
    seconds: float
    forward_seconds: float
    batches: int
    reused: int
    saved: list[tuple[str, int]]
    canaries: list[tuple[str, int]]


class WholeDetails(TypedDict):
    """What EXPLAIN tells of a PREDICT."""

    query: str
    inputs: int
    ranking: str | None
    laws: list[tuple[str, int]]
    passes: list[WholePassLine]
    measured: WholeMeasured | None


def whole_details(
    plan: WholePlan, ranking: str, spending: Spending | None = None, seconds: float = 0.0
) -> WholeDetails:
    """The plan as plain values, with what was spent if it has run."""
    passes: list[WholePassLine] = [
        {
            "model": each.model,
            "layers": list(each.layers),
            "rows": plan.inputs,
            "batch_size": each.run.batch_size,
            "seconds": each.cost.seconds,
        }
        for each in plan.passes
    ]
    measured: WholeMeasured | None = None
    if spending is not None:
        measured = {
            "rows": spending.rows,
            "seconds": seconds,
            "forward_seconds": spending.forward_seconds,
            "batches": spending.batches,
            "reused": spending.reused,
            "saved": sorted((what, rows) for what, rows in spending.hits.items() if rows),
            "canaries": sorted(spending.checks.items()),
        }
    return {
        "query": plan.query,
        "inputs": plan.inputs,
        "ranking": ranking or None,
        "laws": [(ONE_DRAWING, plan.collapsed)] if plan.collapsed else [],
        "passes": passes,
        "measured": measured,
    }


def whole_plan_as(details: WholeDetails, form: PlanFormat) -> str:
    """The details in a format of EXPLAIN."""
    match form:
        case "text":
            return "\n".join(_lines(details))
        case "json":
            return as_json(details)
        case "dot":
            return "\n".join(_drawing(details))


def _lines(details: WholeDetails) -> Iterator[str]:
    yield measured_line("whole inputs, each once through each model", details["inputs"] * len(details["passes"]))
    for each in details["passes"]:
        yield measured_line(f"├─ {_about(each)}", each["rows"], each["seconds"])
    if details["ranking"] is not None:
        yield details["ranking"]
    if details["laws"]:
        yield from ("", "laws", *(law_line(law, count) for law, count in details["laws"]))
    if (measured := details["measured"]) is not None:
        yield ""
        yield measured_line("measured", measured["rows"], measured["seconds"], sure=True)
        for what, rows in measured["saved"]:
            yield measured_line(f"found in the store: {what}", rows, sure=True)
        for what, rows in measured["canaries"]:
            yield measured_line(f"canaries: {what}", rows, sure=True)
        reused = f", {measured['reused']:,} rows reused" if measured["reused"] else ""
        yield ""
        yield (
            f"{short_time(measured['seconds'])} for {measured['rows']:,} rows in {measured['batches']} batches{reused}"
        )


def _about(line: WholePassLine) -> str:
    read = ", ".join("*" if layer is None else str(layer) for layer in line["layers"])
    return f"{line['model']}: {read}, batches of {line['batch_size']}"


def _drawing(details: WholeDetails) -> Iterator[str]:
    yield "digraph plan {"
    if details["ranking"] is not None:
        yield f"  label={quoted(details['ranking'])};"
    yield '  node [shape=box, fontname="sans-serif"];'
    inputs = quoted(f"{details['inputs']:,} inputs")
    yield f"  inputs [label={inputs}, shape=component];"
    for number, each in enumerate(details["passes"]):
        yield f"  model{number} [label={quoted(_about(each))}];"
        yield f"  inputs -> model{number};"
    yield "}"

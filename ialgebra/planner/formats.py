"""A plan in the formats of EXPLAIN: as people read it, as JSON, or as a drawing in Graphviz's DOT.

In: the details of a plan, which are plain values. Out: text. All three say what the details hold, and nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Final, Literal

from ..errors import visible
from .explain import Details, GraphLines, PlanLines, text

PlanFormat = Literal["text", "json", "dot"]
FORMATS: Final[tuple[PlanFormat, ...]] = ("text", "json", "dot")

_MOST_LETTERS: Final = 80  # letters of a label in a drawing


def written_as(details: Details, form: PlanFormat) -> str:
    """The details of a plan in a format. JSON and DOT need details that hold the plan's graph."""
    match form:
        case "text":
            return text(details)
        case "json":
            return as_json(details)
        case "dot":
            assert details["graph"] is not None
            return "\n".join(_drawing(details["graph"], details["ranking"]))


def as_json(details: object) -> str:
    """Plain values as JSON."""
    return _ascii_controls(json.dumps(_plain(details), ensure_ascii=False, indent=1))


def _ascii_controls(text: str) -> str:
    """JSON with JSON's own escapes for characters that cannot be seen."""
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def _plain(value: object) -> object:
    """A value for JSON, which has no infinite numbers: an unknown error, which is infinite, becomes null."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() if not math.isfinite(value):
            return None
    return value


def _drawing(graph: GraphLines, ranking: str | None) -> Iterator[str]:
    """Operators as written, in normal form, and the games that they become, each in a box; batches below."""
    yield "digraph plan {"
    if ranking is not None:
        yield f"  label={quoted(ranking)};"
    yield '  node [shape=box, fontname="sans-serif"];'
    yield from _operators("written", "plan as written", graph["written"])
    yield from _operators("normal", "normal form", graph["normal"])
    yield "  subgraph cluster_batches {"
    yield '    label="batches";'
    for number in sorted({job["batch"] for job in graph["jobs"]}):
        yield f'    batch{number} [label="b{number}", shape=cylinder];'
    for number, job in enumerate(graph["jobs"]):
        yield f"    job{number} [label={quoted(job['job'])}, shape=component];"
        yield f"    job{number} -> batch{job['batch']};"
    yield "  }"
    both = dict.fromkeys(zip(graph["written"]["maps"], graph["normal"]["maps"], strict=True))
    yield from (f"  written{written} -> normal{normal} [style=dashed];" for written, normal in both)
    last, jobs = graph["normal"]["maps"], graph["jobs"]
    read = dict.fromkeys((last[each], number) for number, job in enumerate(jobs) for each in job["maps"])
    yield from (f"  normal{normal} -> job{number};" for normal, number in read)
    yield "}"


def _operators(side: str, title: str, plan: PlanLines) -> Iterator[str]:
    yield f"  subgraph cluster_{side} {{"
    yield f"    label={quoted(title)};"
    for number, node in enumerate(plan["nodes"]):
        style = ", peripheries=2" if node["shared"] else ""
        yield f"    {side}{number} [label={quoted(node['operator'])}{style}];"
    several = {edge["reader"] for edge in plan["edges"] if edge["positions"] != [0]}
    for edge in plan["edges"]:
        positions = ", ".join(str(1 + position) for position in edge["positions"])
        label = f" [label={quoted(positions)}]" if edge["reader"] in several else ""
        yield f"    {side}{edge['reader']} -> {side}{edge['operand']}{label};"
    yield "  }"


def quoted(words: str) -> str:
    """A text as DOT quotes it, shortened if it is long."""
    shown = visible(words if len(words) <= _MOST_LETTERS else words[:_MOST_LETTERS] + "…")
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""EXPLAIN: a physical plan, and what its execution measured, as one dictionary and the text drawn from it.

In: a plan, and for ANALYZE what was measured. Out: `details` (plain values) and `text(details)`; README tables,
benchmarks and EXPLAIN read the same dictionary. No addresses, ids or clock times outside ANALYZE.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..algebra.operators import Operator
from ..catalog import Catalog
from .games import Game, Predicted
from .physical import Job, PhysicalPlan


class Measured(TypedDict):
    """What EXPLAIN ANALYZE adds: rows and seconds of the query and of its forward passes, and each map's error."""

    rows: int
    reused: int
    batches: int
    seconds: float
    forward_seconds: float
    errors: list[tuple[str, float]]


class BatchLine(TypedDict):
    """One pass: what goes through which models, and in what batches."""

    models: list[str]
    games: list[str]
    rows: int
    batch_size: int


class Details(TypedDict):
    """A plan in plain values, ready for JSON."""

    strategy: str
    seed: int
    written: list[list[str]]
    normal: list[list[str]]
    laws: list[tuple[str, int]]
    batches: list[BatchLine]
    ends: int
    rows: int
    rows_as_written: int
    measured: Measured | None


def explain(plan: PhysicalPlan, catalog: Catalog, measured: Measured | None = None) -> Details:
    """The plan as written, its normal form, the laws that fired, its batches, and what was measured."""
    counts: dict[str, int] = {}
    for step in plan.trace:
        counts[step.law] = counts.get(step.law, 0) + 1
    counts.update(dict.fromkeys(plan.game_laws, 1))
    batches = [
        BatchLine(
            models=list(each.models),
            games=[line for number in each.jobs for line in _job_lines(plan.jobs[number], catalog)],
            rows=sum(max(0, plan.jobs[number].spec.rows - 2) for number in each.jobs) * len(each.models),
            batch_size=each.batch_size,
        )
        for each in plan.passes
    ]
    return Details(
        strategy=plan.strategy.name,
        seed=plan.seed,
        written=[list(_tree(output.written)) for output in plan.outputs],
        normal=[list(_tree(output.normal)) for output in plan.outputs],
        laws=list(counts.items()),
        batches=batches,
        ends=plan.rows - sum(line["rows"] for line in batches),
        rows=plan.rows,
        rows_as_written=plan.rows_as_written,
        measured=measured,
    )


def text(details: Details) -> str:
    """The details as people read them."""
    return "\n".join(_lines(details))


def _lines(details: Details) -> Iterator[str]:
    yield _columns("plan as written", details["rows_as_written"])
    for tree in _distinct(details["written"]):
        yield from tree
    if details["normal"] != details["written"]:
        yield from ("", "normal form")
        for tree in _distinct(details["normal"]):
            yield from tree
    if details["laws"]:
        yield from ("", "laws")
        for law, count in details["laws"]:
            yield f"{law}{f'  × {count}' if count > 1 else ''}"
    yield from ("", _columns(f"batches ({details['strategy']}, seed {details['seed']})", details["rows"]))
    if details["ends"]:
        yield _columns("ends: x_∅ and x_N of every game", details["ends"])
    for number, line in enumerate(details["batches"]):
        yield _columns(f"b{number}  {', '.join(line['models'])}: batches of {line['batch_size']}", line["rows"])
        yield from _first([f"    {game}" for game in line["games"]], 12)
    measured = details["measured"]
    if measured is not None:
        yield from ("", "answers, with their relative error (one standard error)")
        errors = [f"{label}: {'exact' if error == 0 else f'± {error:.1%}'}" for label, error in measured["errors"]]
        yield from _first(errors, 24)
        share = measured["forward_seconds"] / measured["seconds"] if measured["seconds"] else 0.0
        reused = f", {measured['reused']:,} rows reused" if measured["reused"] else ""
        yield ""
        yield (
            f"{measured['rows']:,} rows in {measured['batches']} batches{reused}: {measured['seconds']:.3f} s, "
            f"of which forward passes {measured['forward_seconds']:.3f} s ({share:.0%})"
        )


def _columns(head: str, rows: int) -> str:
    """A heading, and an estimate of rows at the right margin; `~` marks an estimate."""
    return f"{head:<60}{f'~{rows:,} rows':>15}"


def _first(lines: list[str], count: int) -> list[str]:
    return lines if len(lines) <= count else [*lines[:count], f"    … and {len(lines) - count} more"]


def _distinct(trees: list[list[str]]) -> list[list[str]]:
    """Each tree once: a collection's elements differ in their leaf only, so the first few show the plan."""
    shown = list({tuple(tree): tree for tree in trees}.values())
    return shown if len(shown) <= 6 else [*shown[:6], [f"… and {len(shown) - 6} more"]]


def _tree(plan: Operator, first: str = "", rest: str = "") -> Iterator[str]:
    stack = [(plan, first, rest)]
    while stack:
        each, head, indent = stack.pop()
        words = [str(each)]
        while len(each.operands) == 1:  # a chain of Π and σ reads on one line
            (each,) = each.operands
            words.append(str(each))
        yield head + "  ".join(words)
        below = each.operands
        stack.extend(
            (
                operand,
                indent + ("└─ " if k == len(below) - 1 else "├─ "),
                indent + ("   " if k == len(below) - 1 else "│  "),
            )
            for k, operand in reversed(list(enumerate(below)))
        )


def _job_lines(job: Job, catalog: Catalog) -> Iterator[str]:
    method, players, rows, _ = job.spec
    columns = ", ".join(_read(game, catalog) for game in job.games[:8])
    more = f", … {len(job.games) - 8} more" if len(job.games) > 8 else ""
    yield f"{players} players, {rows:,} coalitions, {method}: {columns}{more}"


def _read(game: Game, catalog: Catalog) -> str:
    network = catalog.model(game.model)
    layer = "" if game.layer is None else f" layer {game.layer}"
    target = game.target
    shown = f"class of {target.source}" if isinstance(target, Predicted) else network.class_name(target)
    kind = "" if game.output == "logit" else f" {game.output}"
    return f"{game.model}{layer} [{shown}]{kind}"

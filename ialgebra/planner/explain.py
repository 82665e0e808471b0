"""EXPLAIN: a physical plan, and what its execution measured, as one dictionary and the text drawn from it.

In: a plan, and for ANALYZE what was measured. Out: `details` (plain values) and `text(details)`; README tables,
benchmarks and EXPLAIN read the same dictionary. No addresses, ids or clock times outside ANALYZE.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple, NotRequired, TypedDict

from ..algebra.edits import ONE_DRAWING, made_one
from ..algebra.operators import Operator, leaves
from ..catalog.catalog import Catalog
from ..errors import in_lines
from ..interpreters.shipped import SHAPLEY
from .decisions import Decision
from .games import Game, Predicted, Target
from .graph import PlanGraph
from .physical import Job, PhysicalPlan, PlanOutput
from .sampling import ENDS
from .spending import Spending

_MOST_LINES = 60  # lines of one plan's tree that are shown


class DecisionLine(TypedDict):
    """One decision, and what was turned down: (alternative, rows, seconds)."""

    id: str
    about: str
    chosen: str
    rejected: list[tuple[str, float | None, float | None]]


class Measured(TypedDict):
    """What EXPLAIN ANALYZE adds: the time of the query and of its forward passes, and the errors of its maps."""

    rows: int
    reused: int
    batches: int
    seconds: float
    forward_seconds: float
    peak: int | None  # bytes
    saved: list[tuple[str, int]]  # rows found in the store, by the purpose that they were first run for
    canaries: list[tuple[str, int]]  # rows run to check remembered ones, by what was found
    read_back: int  # estimates that were kept from an earlier query
    tables: NotRequired[
        tuple[int, int, float]
    ]  # rows begun from pattern tables; rows and seconds to make and check these
    decisions: list[DecisionLine]  # decisions that were taken while the query ran
    errors: list[tuple[str, float]]  # the relative error of each map, at 95 %


def measured_of(
    spending: Spending,
    seconds: float,
    *,
    peak: int | None,
    decisions: Sequence[Decision],
    errors: Sequence[tuple[str, float]],
) -> Measured:
    """What a query took in `seconds` of wall time, in plain values; `peak` is in bytes, `errors` are relative."""
    found = Measured(
        rows=spending.rows,
        reused=spending.reused,
        batches=spending.batches,
        seconds=seconds,
        forward_seconds=spending.forward_seconds,
        peak=peak,
        saved=sorted(spending.hits.items()),
        canaries=sorted(spending.checks.items()),
        read_back=spending.read_back,
        decisions=decision_lines(decisions),
        errors=list(errors),
    )
    if spending.table_rows or spending.tabled:
        found["tables"] = spending.tabled, spending.table_rows, spending.table_seconds
    return found


class BatchLine(TypedDict):
    """One pass: what goes through which models, and in what batches; seconds where the models were measured."""

    models: list[str]
    asked: str | None  # the interpreter, if it runs the models itself
    games: list[str]
    rows: int
    batch_size: int
    mode: str
    seconds: float | None
    peak: int


class NodeLine(TypedDict):
    """An operator, in the words of the paper, and whether more than one operator or map reads it."""

    operator: str
    shared: bool


class EdgeLine(TypedDict):
    """An operator and one of its operands, by number, and the positions at which the operand stands."""

    reader: int
    operand: int
    positions: list[int]


class PlanLines(TypedDict):
    """The plans of all maps as one graph: operators by number, each after its operands; for each map, or for all maps
    of a collection together, the number of the outermost operator."""

    nodes: list[NodeLine]
    edges: list[EdgeLine]
    maps: list[int]


class JobLine(TypedDict):
    """The games over one set of hybrids, or several such that are alike; by number, the batch that holds them and the
    maps that read them, as `PlanLines` numbers maps."""

    job: str
    batch: int
    maps: list[int]


class GraphLines(TypedDict):
    """Operators as written and in normal form, and the jobs that they become."""

    written: PlanLines
    normal: PlanLines
    jobs: list[JobLine]


class Details(TypedDict):
    """A plan in plain values, ready for JSON."""

    strategy: str
    seed: int
    written: list[list[str]]
    normal: list[list[str]]
    laws: list[tuple[str, int]]
    shared: list[tuple[str, int, float | None]]  # rows and seconds as written, then after each kind of sharing
    batches: list[BatchLine]
    ends: int
    rows: int
    seconds: float | None
    rows_as_written: int
    seconds_as_written: float | None
    decisions: list[DecisionLine]
    notes: NotRequired[list[str]]  # what is known of models that are no functions of their rows
    ranking: str | None  # HAVING, ORDER BY and LIMIT as text, and the number of elements
    measured: Measured | None
    graph: GraphLines | None  # what EXPLAIN draws; None for a query without EXPLAIN


def explain(
    plan: PhysicalPlan,
    catalog: Catalog,
    measured: Measured | None = None,
    *,
    ranking: str | None = None,
    graph: bool = False,
) -> Details:
    """The plan as written, its normal form, the laws that fired, its batches and decisions, and what was measured; with
    `graph`, also its single operators."""
    counts: dict[str, int] = {}
    for step in plan.trace:
        counts[step.law] = counts.get(step.law, 0) + 1
    counts.update(dict.fromkeys(plan.game_laws, 1))
    drawn = {leaf.inputs[0].collection for output in plan.outputs for leaf in leaves(output.written)}
    if collapsed := sum(map(made_one, drawn)):
        counts[ONE_DRAWING] = collapsed
    batches = [
        BatchLine(
            models=list(each.models),
            asked=each.asked,
            games=[family.line for family in _families(each.jobs, plan, catalog)],
            rows=each.cost.rows,
            batch_size=each.run.batch_size,
            mode=each.run.mode,
            seconds=each.cost.seconds,
            peak=each.cost.peak,
        )
        for each in plan.passes
    ]
    as_written, maps = plan.stages[0][1], _maps(plan)
    return Details(
        strategy=plan.strategy.name,
        seed=plan.seed,
        written=[_tree(plan.graph, written, count) for (_, written, _), count in maps.items()],
        normal=[_tree(plan.graph, normal, count) for (_, _, normal), count in maps.items()],
        laws=list(counts.items()),
        shared=[(what, cost.rows, cost.seconds) for what, cost in plan.stages],
        batches=batches,
        ends=plan.rows - sum(line["rows"] for line in batches),
        rows=plan.rows,
        seconds=_with(plan.overhead, plan.cost.seconds),
        rows_as_written=as_written.rows,
        seconds_as_written=_with(plan.overhead, as_written.seconds),
        decisions=decision_lines(plan.decisions),
        notes=[note for name in plan.models for note in _notes(name, catalog)],
        ranking=ranking,
        measured=measured,
        graph=_graph(plan, catalog) if graph else None,
    )


_PlanOfMaps = tuple[int, Operator, Operator]
"""What the maps of one collection have in common: the select item, the plan as written, and its normal form."""


def _map(output: PlanOutput) -> _PlanOfMaps:
    return output.item, output.written, output.normal


def _maps(plan: PhysicalPlan) -> dict[_PlanOfMaps, int]:
    """The plans of all maps, and how many maps each has."""
    return dict(Counter(map(_map, plan.outputs)))


def _graph(plan: PhysicalPlan, catalog: Catalog) -> GraphLines:
    maps = {each: number for number, each in enumerate(_maps(plan))}
    readers: dict[int, dict[int, None]] = {number: {} for number in range(len(plan.jobs))}
    for output in plan.outputs:
        for reading in (reading for readings in output.readings for reading in readings):
            readers[reading.job][maps[_map(output)]] = None
    families = [(batch, each) for batch, one in enumerate(plan.passes) for each in _families(one.jobs, plan, catalog)]
    return GraphLines(
        written=_operators(plan.graph, [written for _, written, _ in maps]),
        normal=_operators(plan.graph, [normal for _, _, normal in maps]),
        jobs=[
            JobLine(job=each.line, batch=batch, maps=sorted({k for number in each.jobs for k in readers[number]}))
            for batch, each in families
        ],
    )


def _operators(graph: PlanGraph, plans: Sequence[Operator]) -> PlanLines:
    order, shared = graph.order(plans), graph.shared(plans)
    numbers = {each: number for number, each in enumerate(order)}
    return PlanLines(
        nodes=[NodeLine(operator=str(each), shared=each in shared) for each in order],
        edges=[
            EdgeLine(reader=numbers[edge.reader], operand=numbers[edge.operand], positions=list(edge.positions))
            for edge in graph.edges(plans)
        ],
        maps=[numbers[plan] for plan in plans],
    )


def _notes(name: str, catalog: Catalog) -> Iterator[str]:
    words = catalog.model(name).behaviour.words
    if words:
        yield f"model {name} is {' and '.join(words)}; no answer of it is exact"
    yield from (f"model {name} {cast.words}" for cast in catalog.model(name).lossy_casts)
    for mode, why in catalog.model(name).refused_modes.items():
        yield f"model {name} is not run in mode {mode}: {why}"


def _with(overhead: float, seconds: float | None) -> float | None:
    return None if seconds is None else overhead + seconds


def decision_lines(decisions: Sequence[Decision]) -> list[DecisionLine]:
    """Decisions in plain values."""
    return [
        DecisionLine(
            id=each.id,
            about=each.about,
            chosen=each.chosen,
            rejected=[(what, rows, seconds) for what, rows, seconds in each.costs if what != each.chosen],
        )
        for each in decisions
    ]


def text(details: Details) -> str:
    """The details as people read them."""
    return in_lines(_lines(details))


def _lines(details: Details) -> Iterator[str]:
    yield measured_line("plan as written", details["rows_as_written"], details["seconds_as_written"])
    for tree in _distinct(details["written"]):
        yield from tree
    if details["ranking"] is not None:
        yield details["ranking"]
    if details["normal"] != details["written"]:
        yield from ("", "normal form")
        for tree in _distinct(details["normal"]):
            yield from tree
    if details["laws"]:
        yield from ("", "laws")
        for law, count in details["laws"]:
            yield law_line(law, count)
    saved = [
        f"{what:<60}{before:>9,} → {rows:,} rows"
        for (_, before, _), (what, rows, _) in pairwise(details["shared"])
        if rows < before
    ]
    if saved:
        yield from ("", "saved", *saved)
    yield from (
        "",
        measured_line(f"batches ({details['strategy']}, seed {details['seed']})", details["rows"], details["seconds"]),
    )
    if details["ends"]:
        yield measured_line("ends: x_∅ and x_N of every game", details["ends"])
    for number, line in enumerate(details["batches"]):
        mode = "" if line["mode"] == "eager" else f", {line['mode']}"
        how = f"asked by {line['asked']}" if line["asked"] else f"batches of {line['batch_size']}{mode}"
        head = f"b{number}  {', '.join(line['models'])}: {how}"
        yield measured_line(head, line["rows"], line["seconds"], line["peak"])
        yield from _first([f"    {game}" for game in line["games"]], 12)
    if details["decisions"]:
        yield from ("", "decisions, and what was rejected")
        yield from _first([_decision(each) for each in details["decisions"]], 12)
    if notes := details.get("notes"):
        yield from ("", *notes)
    if details["measured"] is not None:
        yield from _measurements(details, details["measured"])


def law_line(law: str, count: int) -> str:
    """A law that fired, and how often."""
    return f"{law}{f'  × {count}' if count > 1 else ''}"


def _decision(line: DecisionLine) -> str:
    costs = []
    for what, rows, seconds in line["rejected"]:
        known = [] if rows is None else [f"~{rows:,.0f} rows"]
        known += [] if seconds is None else [f"~{short_time(seconds)}"]
        costs.append(f"{what} ({', '.join(known)})" if known else what)
    return f"{line['id']:<4}{line['about']}: {line['chosen']}{' · not ' if costs else ''}{', '.join(costs)}"


def _measurements(details: Details, measured: Measured) -> Iterator[str]:
    ratio = measured["seconds"] / details["seconds"] if details["seconds"] else None
    yield ""
    yield measured_line("measured", measured["rows"], measured["seconds"], measured["peak"], sure=True)
    for what, rows in measured["saved"]:
        yield measured_line(f"found in the store: {what}", rows, sure=True)
    for what, rows in measured.get("canaries", ()):
        yield measured_line(f"canaries: {what}", rows, sure=True)
    if "tables" in measured:
        begun, made, seconds = measured["tables"]
        yield measured_line("rows begun from pattern tables", begun, sure=True)
        yield measured_line("rows to make and check these tables, beside", made, seconds, sure=True)
    yield from _first([_decision(each) for each in measured["decisions"]], 12)
    if ratio and measured["rows"] >= 0.9 * details["rows"]:  # rows found in the store took no time
        yield f"{'':60}{f'{ratio:.2f}× the time estimated':>15}"
    yield from ("", f"{'answers':<60}{'error at 95 %':>15}")
    certain = "± 0 %" if details.get("notes") else "exact"
    errors = [f"{label:<60}{_error(error) if error else certain:>15}" for label, error in measured["errors"]]
    yield from _first(errors, 24)
    share = measured["forward_seconds"] / measured["seconds"] if measured["seconds"] else 0.0
    reused = f", {measured['reused']:,} rows reused" if measured["reused"] else ""
    if measured["peak"] is not None and (read_back := measured.get("read_back")):  # of EXPLAIN ANALYZE
        reused += f", {read_back:,} {'estimate' if read_back == 1 else 'estimates'} read back"
    written = details["seconds_as_written"]
    yield ""
    yield (
        f"{short_time(measured['seconds'])} for {measured['rows']:,} rows in {measured['batches']} batches{reused}"
        + (f"; efficiency {share:.2f} of bare forward passes" if measured["rows"] else "")
        + (f"; as written an estimated ~{short_time(written)}" if written else "")
    )


def measured_line(
    head: str, rows: int, seconds: float | None = None, peak: int | None = None, sure: bool = False
) -> str:
    """A heading, and at the right margin rows, time and peak memory; `~` marks an estimate."""
    about = "" if sure else "~"
    cells = [
        f"{about}{rows:,} rows",
        f"{about}{short_time(seconds)}" if seconds else "",
        f"{about}{_size(peak)}" if peak else "",
    ]
    return f"{head:<60}{cells[0]:>15}{cells[1]:>11}{cells[2]:>11}".rstrip()


def _error(error: float) -> str:
    return f"{error:.1%}" if math.isfinite(error) else "unknown"


def short_time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _first(lines: list[str], count: int) -> list[str]:
    return lines if len(lines) <= count else [*lines[:count], f"    … and {len(lines) - count} more"]


def _distinct(trees: list[list[str]]) -> list[list[str]]:
    """Each tree once. The plans of a collection's elements differ only in their leaf, so the first few are enough."""
    shown = list({tuple(tree): tree for tree in trees}.values())
    return shown if len(shown) <= 6 else [*shown[:6], [f"… and {len(shown) - 6} more"]]


def _tree(graph: PlanGraph, plan: Operator, maps: int) -> list[str]:
    """A plan as lines, each one operator or a chain of operators; that of a collection is one line. Only the first
    lines of a large plan: its tree can be as long as the square of its text."""
    drawn = (head + "  ".join(map(str, chain)) for head, chain in graph.branches(plan))
    lines = list(islice(drawn, _MOST_LINES + 1))
    if maps > 1:
        lines[-1] += f"  × {maps:,}"
    return lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], "…"]


class _Family(NamedTuple):
    """Jobs by number that are alike but for their inputs, and a line that shows them."""

    line: str
    jobs: list[int]


def _families(jobs: Iterable[int], plan: PhysicalPlan, catalog: Catalog) -> list[_Family]:
    """Some jobs of a plan, those together that are alike but for foreground, background and seed."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for number in jobs:
        job = plan.jobs[number]
        columns = [(game.model, game.layer, _of_any(game.target), game.output) for game in job.games]
        alike.setdefault((job.spec._replace(seed=0), job.hybrids.copies, *columns), []).append(number)
    return [_Family(_job_line(plan.jobs[each[0]], len(each), catalog), each) for each in alike.values()]


def _of_any(target: Target) -> object:
    """A target, for all elements of a collection the same."""
    if not isinstance(target, Predicted):
        return target
    return target.model, target.source.name, target.source.edits


def _job_line(job: Job, count: int, catalog: Catalog) -> str:
    """The line of `count` jobs that are alike, of which `job` is one."""
    method, players, rows, _, interpreter = job.spec
    columns = ", ".join(_read(game, catalog, alone=count == 1) for game in job.games[:8])
    more = f", … {len(job.games) - 8} more" if len(job.games) > 8 else ""
    times = f"  × {count:,}" if count > 1 else ""
    if method == ENDS:
        return f"{players} players: {columns}{more}{times}"
    named = method if interpreter == SHAPLEY else f"{interpreter} {method}"
    copies = job.hybrids.copies
    mean = f", mean over {copies:,} backgrounds" if copies else ""
    return f"{players} players, {rows:,} coalitions{mean}, {named}: {columns}{more}{times}"


def _read(game: Game, catalog: Catalog, *, alone: bool) -> str:
    """What a game reads; unless `alone`, of any element of a collection."""
    network = catalog.model(game.model)
    layer = "" if game.layer is None else f" layer {game.layer}"
    target = game.target
    if isinstance(target, Predicted):
        source = target.source if alone else target.source.collection
        shown = f"class of {source}" if target.model == game.model else f"class of {target.model}({source})"
    else:
        shown = network.class_name(target)
    reading = network.outputs if game.layer is None else network.outputs.head
    kind = "" if game.output == "logit" else f" {game.output} ({reading.words})"
    return f"{game.model}{layer} [{shown}]{kind}"

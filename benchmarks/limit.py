"""How near a query comes to bare forward passes, and what planning and estimation cost beside them.

    python -m benchmarks.limit [--quick] [--compile] [--rows 192] [--pairs 5]

Bare passes push the same hybrids, composed beforehand, through a copy of the module under `inference_mode`: as it is,
with inputs and weights laid out channels-last, folded, and (`--compile`, which takes a minute) compiled; in batches of
every size. Where a query begins from pattern tables, the bare passes do too: they gather from tables that are made, and
run on. A query and bare passes in its own mode and batches are timed side by side; the median ratio of the pairs
counts. Overhead is measured with a model that costs nothing. Of the engine this knows the design of coalitions and the
estimate from their values, whose time is the question, and how passes are folded and begun.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast
from unittest import mock

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import ialgebra
from ialgebra import Session, Strategy
from ialgebra.kernels.compose import compose
from ialgebra.kernels.estimators.registry import choose, design, estimate
from ialgebra.models.folds.passes import Folded
from ialgebra.models.network import Network
from ialgebra.models.profile import Mode

from .report import Data, goal, machine, median_seconds, number, parser, publish, said, table, timed
from .workloads import World, digits, photos

Bare = Callable[[Tensor], object]

BATCHES = (4, 8, 16, 32, 64)
EFFICIENCY = (0.92, 0.93)  # of bare passes in the query's own mode; of the fastest ones, for what is left open
ESTIMATION = 0.03  # of the query's time, at most
ESTIMATED = (49, 4000, 4)  # players, rows and columns of the estimate that this is asked of
SIDES = (4, 7, 10, 14, 20)  # players: their squares


# --- Forward passes


def bare_modes(module: nn.Module, compiled: bool) -> dict[str, Bare]:
    """The module in every mode of running it that keeps its answers."""
    last = copy.deepcopy(module).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    folded = Folded(module, None)
    modes: dict[str, Bare] = {
        "eager": module,
        "channels-last": last,
        "folded": lambda batch: folded.tapped(batch, (), True, ())[1],
    }
    if compiled:
        modes["compiled"] = torch.compile(copy.deepcopy(last))
    return modes


def laid_out(batch: Tensor, mode: str) -> Tensor:
    return batch if mode == "eager" else batch.contiguous(memory_format=torch.channels_last)


def hybrids(world: World, rows: int, seed: int) -> Tensor:
    """Hybrids of x and black in 4 × 4 tiles, (rows, *shape)."""
    high, wide = world.x.shape[-2:]
    segments = torch.arange(16).reshape(4, 4).repeat_interleave(high // 4, 0).repeat_interleave(wide // 4, 1)[None]
    masks = torch.from_numpy(design("regression", 16, rows, seed).coalitions)
    return compose(world.x, torch.zeros_like(world.x), segments, masks)


def curves(world: World, modes: dict[str, Bare], sizes: Sequence[int]) -> dict[str, dict[int, float]]:
    """Rows a second by mode and batch size: the best of three passes, after one that warms up."""
    found: dict[str, dict[int, float]] = {mode: {} for mode in modes}
    for mode, run in modes.items():
        for size in sizes:
            batch = laid_out(hybrids(world, size, 0), mode)
            run(batch)
            found[mode][size] = size / min(timed(partial(run, batch))[0] for _ in range(3))
    return found


class Begun(NamedTuple):
    """Batches of a query that began from tables: what they were begun with, and how many rows they had."""

    network: Network
    batches: list[tuple[Any, ...]]
    rows: int

    def run(self) -> None:
        """Gather their rows once more, and run them on."""
        with self.network.running():
            for games, layers, mode, size in self.batches:
                begun = self.network.tabling.begun(games, layers, mode, size)
                assert begun is not None
                self.network.resume(begun, layers, mode)


def begun(con: Session, text: str, seed: int, strategy: Strategy) -> Begun | None:
    """The batches of a query that begin from tables, if any do."""
    network, kept = con._catalog.model("f"), []
    with mock.patch.object(network.tabling, "begun", wraps=network.tabling.begun) as watched:
        con.sql(text, seed=seed, strategy=strategy)
        kept = [call.args for call in watched.call_args_list]
    rows = sum(len(game[-1]) for games, *_ in kept for game in games)
    return Begun(network, kept, rows) if kept else None


def tabled(world: World, rows: int, sizes: Sequence[int]) -> dict[str, dict[int, float]]:
    """Rows a second from tables that are made, by mode and batch size: the best of three passes."""
    found: dict[str, dict[int, float]] = {}
    for mode in cast("tuple[Mode, ...]", ("channels-last", "folded")):
        for size in sizes:
            way = dataclasses.replace(Strategy.BEST, mode=mode, table=True, batch_size=size, reuse=False)
            with world.session() as con:
                made = begun(con, question(rows), 0, way)
                if made is not None:
                    found.setdefault(mode, {})[size] = made.rows / min(timed(made.run)[0] for _ in range(3))
    return found


def question(rows: int) -> str:
    return f"select * from f(x, players => grid(4, 4)) budget {rows}"


def efficiency(world: World, modes: dict[str, Bare], rows: int, pairs: int, strategy: Strategy) -> Data:
    """Bare seconds ÷ query seconds, pair by pair, in the batches and the mode that the query's plan says."""
    text = question(rows)
    ratios, speeds = [], []
    with world.session() as con:
        con.sql(text, seed=pairs, strategy=strategy)  # the first pass through a model tells its layers
        batches: Any = con.sql(f"explain {text}", strategy=strategy).details["batches"]
        size, mode = int(batches[0]["batch_size"]), str(batches[0]["mode"])
        made = begun(con, text, pairs + 1, strategy)
        for seed in range(pairs):
            inputs = [laid_out(each, mode) for each in torch.split(hybrids(world, rows, seed), size)]
            bare = timed(made.run if made else partial(push, modes[mode], inputs))[0] / (made.rows if made else rows)
            query, answer = timed(partial(con.sql, text, seed=seed, strategy=strategy))
            ratios.append(bare * answer.stats.rows / query)
            speeds.append(answer.stats.rows / query)
    told = {"strategy": strategy.name, "mode": mode, "batch_size": size, "table": made is not None}
    return {**told, "ratios": ratios, "rows_a_second": speeds}


def push(run: Bare, batches: Sequence[Tensor]) -> None:
    for batch in batches:
        run(batch)


def efficiencies(world: World, modes: dict[str, Bare], rows: int, pairs: int) -> list[Data]:
    """BEST, which chooses its mode and its tables, BEST without tables, and that forced into each of the others."""
    whole = dataclasses.replace(Strategy.BEST, name="BEST, whole", table=False)
    found = [efficiency(world, modes, rows, pairs, each) for each in (Strategy.BEST, whole)]
    for mode in modes:
        if mode != found[1]["mode"]:
            forced = dataclasses.replace(whole, name=f"BEST, whole, {mode}", mode=cast("Mode", mode))
            found.append(efficiency(world, modes, rows, pairs, forced))
    return found


# --- Overhead


def free_session(side: int) -> Session:
    """A session whose model is a sum of pixels: what its queries take is overhead."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", lambda batch: batch.sum(dim=(2, 3)), batch_size=64)
    rng = np.random.default_rng(0)
    con.register_input("x", torch.from_numpy(rng.random((3, side, side), dtype=np.float32)))
    con.sql("select * from f(x, players => grid(2, 2)) budget 4")  # tells the model's layers
    return con


def overhead(texts: dict[str, str], side: int, repeats: int) -> list[Data]:
    """Milliseconds of planning, and of a whole query whose model costs nothing, for each text."""
    found = []
    for name, text in texts.items():
        with free_session(side) as con:
            planning = median_seconds(partial(con.explain, text), repeats)
            query = statistics.median(timed(partial(con.sql, text, seed=seed))[0] for seed in range(repeats))
        found.append({"name": name, "planning_ms": 1e3 * planning, "query_ms": 1e3 * query})
    return found


def chain(operators: int) -> str:
    """A join of so many operands, each with a window of its own: two operators and a join for each but the first."""
    operands = [f"(select * from f(x) where row >= {k % 50})" for k in range(operators)]
    return "select * from " + " join ".join(operands) + " budget 64"


def overheads(quick: bool) -> dict[str, list[Data]]:
    side, repeats, sides = (40, 1, SIDES[:2]) if quick else (224, 5, SIDES)
    by_players = {
        f"{n * n} players": f"select * from f(x, players => grid({n}, {n})) budget {8 * n * n}" for n in sides
    }
    counts = (128, 512) if quick else (128, 512, 2048, 4096)
    by_rows = {f"{rows:,} rows": f"select * from f(x, players => grid(7, 7)) budget {rows}" for rows in counts}
    by_operators = {f"{count} operands": chain(count) for count in ((2, 4) if quick else (1, 4, 16, 64))}
    return {
        "players, 8 rows each": overhead(by_players, side, repeats),
        "rows, 49 players": overhead(by_rows, side, repeats),
        "operands of a join, 64 rows each": overhead(by_operators, side, repeats),
    }


def estimation(columns: int, repeats: int, players: int, rows: int) -> Data:
    """Seconds for a design and for its estimates, on values like a network's: saturating, with interactions."""
    method, rows = choose(players, rows)
    rng = np.random.default_rng(0)
    hidden, read = rng.normal(size=(players, 64)) / 2, rng.normal(size=(64, columns))
    designs, estimates = [], []
    for seed in range(1000, 1000 + repeats):  # nothing is kept of seeds that are new, nor of designs that are
        seconds, made = timed(partial(design, method, players, rows, seed))
        designs.append(seconds)
        values = np.tanh(made.coalitions @ hidden) @ read
        estimates.append(timed(partial(estimate, made, values))[0])
    return {
        "players": players,
        "rows": rows,
        "columns": columns,
        "design_seconds": statistics.median(designs),
        "estimate_seconds": statistics.median(estimates),
    }


def collect(world: World, given: Any) -> Data:
    began = machine()
    modes = bare_modes(world.network, given.compile)
    rows, pairs = (64, 1) if given.quick else (given.rows, given.pairs)
    with world.session() as con:
        con.calibrate("f", "x", compile=given.compile)
    players, many, columns = (16, 400, 4) if given.quick else ESTIMATED
    return {
        "machine": began,
        "world": world.name,
        "rows": rows,
        "bare": curves(world, modes, BATCHES[1:3] if given.quick else BATCHES),
        "tabled": tabled(world, rows, BATCHES[2:3] if given.quick else BATCHES[2:]),
        "efficiency": efficiencies(world, modes, rows, pairs),
        "overhead": overheads(given.quick),
        "estimation": estimation(columns, 1 if given.quick else 3, players, many),
    }


# --- Report


def fastest(data: Data, part: str = "bare") -> tuple[str, int, float]:
    """The mode, the batch size and the rows a second of the fastest bare passes, whole or from tables ('tabled')."""
    every = [(mode, int(size), float(speed)) for mode, speeds in data[part].items() for size, speed in speeds.items()]
    return max(every, key=lambda each: each[2], default=("whole", 0, math.nan))


def markdown(data: Data) -> str:
    """Efficiency and the share of estimation, as docs/benchmarks.md has them."""
    mode, size, speed = fastest(data)
    begun = fastest(data, "tabled")
    lines = []
    for each in data["efficiency"]:
        own, best = statistics.median(each["rows_a_second"]), begun[2] if each["table"] else speed
        forced = each["strategy"].count(",") > 1
        lines.append(
            [
                each["strategy"],
                f"{each['mode']}, {each['batch_size']}{', table' if each['table'] else ''}",
                number(own, 3),
                goal(statistics.median(each["ratios"]), EFFICIENCY[0], at_most=False),
                number(own / best, 3) if forced else goal(own / best, EFFICIENCY[1], at_most=False),
            ]
        )
    found = data["estimation"]
    share = found["estimate_seconds"] / (found["rows"] / speed + found["estimate_seconds"])
    same = "÷ bare passes, same mode"
    return f"""A query of {data["rows"]} rows on {data["world"]} beside bare forward passes over the same hybrids. The
fastest bare passes are {mode} ones in batches of {size}: {number(speed, 3)} rows a second; from tables that are made,
{begun[0]} ones in batches of {begun[1]}: {number(begun[2], 3)}.

{table(["strategy", "mode, batch", "rows a second", same, "÷ the fastest, at equal tables"], lines)}

The estimate of {found["columns"]} columns from {found["rows"]:,} rows of {found["players"]} players takes
{number(found["estimate_seconds"])} s, a share of {goal(share, ESTIMATION)} of the query at the fastest passes.
"""


def report(data: Data) -> str:
    sizes = list(next(iter(data["bare"].values())))
    bare = [[mode, *(number(speed, 3) for speed in speeds.values())] for mode, speeds in data["bare"].items()]
    over = "\n\n".join(
        table(
            [title, "planning, ms", "whole query, ms"],
            [[each["name"], number(each["planning_ms"]), number(each["query_ms"])] for each in found],
        )
        for title, found in data["overhead"].items()
    )
    return f"""# The limit: bare forward passes

{markdown(data)}
{said(data["machine"])}

## Bare passes: rows a second by rows a batch

{table(["mode", *map(str, sizes)], bare)}

## Overhead: queries whose model costs nothing

{over}

A design of {data["estimation"]["rows"]:,} rows takes {number(data["estimation"]["design_seconds"])} s, once a seed.
"""


def plot(data: Data) -> Figure:
    """Rows a second of bare passes by batch size, and of the queries."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for mode, speeds in data["bare"].items():
        axes.plot([int(size) for size in speeds], list(speeds.values()), marker=".", label=f"bare, {mode}")
    for each in data["efficiency"]:
        axes.plot(each["batch_size"], statistics.median(each["rows_a_second"]), "x", label=f"query, {each['strategy']}")
    axes.set(xscale="log", xlabel="rows a batch", ylabel="rows a second", title=data["world"])
    axes.legend(fontsize=8)
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--compile", action="store_true", help="compile the network, too: about a minute")
    arguments.add_argument("--rows", type=int, default=192)
    arguments.add_argument("--pairs", type=int, default=5)
    given = arguments.parse_args(argv)
    ialgebra.tune_process()
    warnings.simplefilter("ignore", ialgebra.errors.IalgebraWarning)
    world = digits(given.out, steps=20) if given.quick else photos(given.out)
    with torch.inference_mode():
        data = collect(world, given)
    publish("limit", data, report(data), plot(data), given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How good the optimizer's predictions are: seconds and rows of random queries, predicted by EXPLAIN and then measured.

    python -m benchmarks.costmodel [--quick] [--queries 120] [--seed 0]

Queries are drawn at random: layers, windows, players, budgets, joins and anti-joins, over EfficientNet-Lite0 (small
budgets) and a CNN on digits, in one session a network, which is calibrated first. Seeds differ, so that only what the
session really shares is found again. Queries with a bound on their error predict the rows that it takes. A prediction
counts as good within a factor of 1.5 either way.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
import warnings
from collections.abc import Iterator, Sequence

import torch
from matplotlib.figure import Figure

import ialgebra
from ialgebra import Session

from .report import Data, goal, machine, number, parser, publish, said, table
from .workloads import World, digits, photos

FACTOR = 1.5
SECONDS_GOAL, ROWS_GOAL = 0.9, 0.8  # shares of queries whose prediction is within the factor
BOUNDS = (10, 15, 20, 30)  # per cent


def random_query(world: World, rng: random.Random, rows: tuple[int, int], grids: Sequence[int]) -> str:
    """A query without bounds: one operand, or two to three that are joined or anti-joined."""
    items = rng.sample([*map(str, world.layers), "*"], rng.choice((1, 1, 2, 3)))
    kind = rng.choice(("", "", "join", "left join"))
    names = rng.sample(["x", "y"], 2) if kind else [rng.choice("xy")]
    players = f"players => grid({rng.choice(grids)}, {rng.choice(grids)})"
    operands = [f"f({name}, {players})" for name in names]
    if kind == "join" and rng.random() < 0.5:
        operands.append(f"f(refs, {players})")
    origin = f" {kind} ".join([operands[0], *(f"(select * from {each})" for each in operands[1:])])
    where = f" where {random_window(world, rng)}" if rng.random() < 0.4 else ""
    return f"select {', '.join(items)} from {origin}{where} budget {rng.randint(*rows)}"


def random_window(world: World, rng: random.Random) -> str:
    """A registered window, or a box of at least a quarter of either side."""
    if rng.random() < 0.4:
        return rng.choice([*world.windows])
    high, wide = world.x.shape[-2:]
    top, left = rng.randrange(high // 2), rng.randrange(wide // 2)
    bottom, right = rng.randint(top + high // 4, high), rng.randint(left + wide // 4, wide)
    return f"box({top}, {left}, {bottom}, {right})"


def bounded_query(world: World, rng: random.Random, grids: Sequence[int]) -> str:
    """A query whose rows follow from the error that is asked for."""
    base = random_query(world, rng, (2, 2), grids).rsplit(" budget", 1)[0]
    return f"{base} error within {rng.choice(BOUNDS)}%"


def predictions(con: Session, text: str, seed: int) -> Data:
    """What EXPLAIN says of a query, and then what it took."""
    said = con.sql(f"explain {text}", seed=seed).details
    started = time.perf_counter()
    answer = con.sql(text, seed=seed)
    return {
        "query": text,
        "seed": seed,
        "predicted_seconds": said["seconds"],
        "seconds": time.perf_counter() - started,
        "predicted_rows": said["rows"],
        "rows": answer.stats.rows,
        "bound_met": answer.stats.bound_met,
    }


def asked(world: World, queries: Iterator[str], first_seed: int) -> list[Data]:
    """Each query in turn, in one session that was calibrated and has run the network before."""
    with world.session() as con:
        con.calibrate("f", "x")
        con.sql("select * from f(x) budget 24", seed=first_seed)
        return [predictions(con, text, first_seed + 1 + k) for k, text in enumerate(queries)]


def collect(worlds: Sequence[World], counts: Sequence[tuple[int, int]], seed: int) -> Data:
    """For each world so many queries without and with bounds."""
    began, rng = machine(), random.Random(seed)
    done = []
    for world, (free, bounded) in zip(worlds, counts, strict=True):
        heavy = world.x.numel() > 10_000
        rows, grids = ((16, 64), (2, 3, 4)) if heavy else ((32, 1024), (2, 3, 4, 5))
        print(f"{world.name} …", file=sys.stderr, flush=True)
        every = [random_query(world, rng, rows, grids) for _ in range(free)]
        with_bounds = [bounded_query(world, rng, (3, 4)) for _ in range(bounded)]
        done.append(
            {
                "name": world.name,
                "free": asked(world, iter(every), 1000 * seed),
                "bounded": asked(world, iter(with_bounds), 1000 * seed),
            }
        )
    return {"machine": began, "seed": seed, "worlds": done}


# --- Report


def ratios(found: Sequence[Data], what: str) -> list[float]:
    """Measured ÷ predicted, of the queries that did anything."""
    return [each[what] / each[f"predicted_{what}"] for each in found if each[f"predicted_{what}"] and each["rows"]]


def within(found: Sequence[float]) -> float:
    """The share that lies within the factor; NaN where nothing was predicted."""
    return statistics.fmean(1 / FACTOR <= each <= FACTOR for each in found) if found else math.nan


def line(name: str, found: Sequence[float], bound: float) -> list[str]:
    if not found:
        return [name, "0", "–", "–", "not predicted"]
    ordered = sorted(found)
    low, high = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.05, 0.95))
    middle = number(statistics.median(found))
    return [name, str(len(found)), middle, f"{number(low)} … {number(high)}", goal(within(found), bound, at_most=False)]


def markdown(data: Data) -> str:
    """The shares of good predictions, as the README has them."""
    lines = []
    for what, group, bound, about in (
        ("seconds", "free", SECONDS_GOAL, "seconds"),
        ("rows", "bounded", ROWS_GOAL, "rows to the bound"),
    ):
        every = []
        for world in data["worlds"]:
            found = ratios(world[group], what)
            every += found
            lines.append(line(f"{about}, {world['name']}", found, bound))
        lines.append(line(f"{about}, all", every, bound))
    head = ["predicted", "queries", "measured ÷ predicted, median", "5 % … 95 %", f"within a factor of {FACTOR}"]
    return table(head, lines) + "\n"


def report(data: Data) -> str:
    worst = []
    for world in data["worlds"]:
        for group, what in (("free", "seconds"), ("bounded", "rows")):
            known = [each for each in world[group] if each[f"predicted_{what}"] and each["rows"]]
            known.sort(key=lambda each: -abs(math.log(each[what] / each[f"predicted_{what}"])))
            worst += [
                [f"`{each['query']}`", what, number(each[f"predicted_{what}"], 3), number(each[what], 3)]
                for each in known[:3]
            ]
    return f"""# The cost model

Random queries, seed {data["seed"]}, predicted by EXPLAIN after calibration and then run.

{markdown(data)}
{said(data["machine"])}

## The worst predictions

{table(["query", "what", "predicted", "measured"], worst)}
"""


def plot(data: Data) -> Figure:
    """Measured against predicted: seconds of free queries, rows of bounded ones."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (group, what) in zip(figure.subplots(1, 2), (("free", "seconds"), ("bounded", "rows")), strict=True):
        both: list[float] = []
        for world in data["worlds"]:
            known = [each for each in world[group] if each[f"predicted_{what}"] and each["rows"]]
            predicted, measured = [e[f"predicted_{what}"] for e in known], [e[what] for e in known]
            axes.plot(predicted, measured, ".", label=world["name"])
            both += predicted + measured
        if both:
            ends = [min(both), max(both)]
            for factor in (1 / FACTOR, 1.0, FACTOR):
                axes.plot(ends, [factor * end for end in ends], color="grey", lw=0.5)
            axes.set(xscale="log", yscale="log")
        axes.set(xlabel=f"predicted {what}", ylabel=f"measured {what}", title=f"{group} queries")
        axes.legend(fontsize=8)
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--queries", type=int, default=120, help="without bounds; a third on EfficientNet-Lite0")
    arguments.add_argument("--bounded", type=int, default=60, help="with bounds; a sixth on EfficientNet-Lite0")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args(argv)
    ialgebra.tune_process()
    warnings.simplefilter("ignore", ialgebra.errors.IalgebraWarning)
    worlds, counts = [digits(given.out, steps=20)], [(6, 3)]
    if not given.quick:
        heavy, costly = given.queries // 3, given.bounded // 6
        worlds = [photos(given.out), digits(given.out)]
        counts = [(heavy, costly), (given.queries - heavy, given.bounded - costly)]
    with torch.inference_mode():
        data = collect(worlds, counts, given.seed)
    publish("costmodel", data, report(data), plot(data), given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How good the optimizer's predictions are: seconds and rows of random queries, predicted and then measured.

    python -m benchmarks.costmodel [--quick] [--queries 120] [--seed 0]

Queries are drawn at random: layers, windows, players, budgets, joins and anti-joins, over EfficientNet-Lite0 (small
budgets) and a CNN on digits, each calibrated first. Every query has a session of its own, so that nothing is found that
EXPLAIN could not know of. A prediction counts as good within a factor of 1.5 either way.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import warnings
from collections.abc import Sequence
from functools import partial

import torch
from matplotlib.figure import Figure

import ialgebra
from ialgebra import Session

from .report import Data, goal, machine, number, parser, publish, said, table, timed
from .workloads import World, digits, photos

FACTOR = 1.5
KINDS = (
    ("seconds", "seconds", 0.9),
    ("rows", "rows to the bound", 0.8),
)  # and the share that is to be within the factor


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


def bounded_query(world: World, rng: random.Random, grids: Sequence[int], bounds: Sequence[int]) -> str:
    """A query whose rows follow from the error that is asked for."""
    base = random_query(world, rng, (2, 2), grids).rsplit(" budget", 1)[0]
    return f"{base} error within {rng.choice(bounds)}%"


def fresh(world: World) -> Session:
    """A session that has met the network and paid for nothing that a query could find."""
    con = world.session()
    con.register_input("met", world.examples[0])
    con.sql("select * from f(met) budget 2")
    return con


def free(world: World, text: str, seed: int) -> Data:
    """The seconds that EXPLAIN predicts, and those that the query then takes."""
    with fresh(world) as con:
        predicted = con.sql(f"explain {text}", seed=seed).details["seconds"]
        seconds, answer = timed(partial(con.sql, text, seed=seed))
    return {"query": text, "seed": seed, "predicted": predicted, "measured": seconds, "rows": answer.stats.rows}


def bounded(world: World, text: str, seed: int) -> Data | None:
    """The rows that the pilot forecasts, and those that the bound then takes; None where one round was enough."""
    with fresh(world) as con:
        rounds = [answer.stats for answer in con.stream(text, seed=seed)]
    first, last = rounds[0], rounds[-1]
    if len(rounds) == 1 or not last.bound_met:
        return None
    found = {"query": text, "seed": seed, "predicted": first.forecast_rows, "measured": last.rows, "rows": last.rows}
    return found | {"pilot": first.rows}


def collect(worlds: Sequence[World], counts: Sequence[tuple[int, int]], seed: int) -> Data:
    """For each world so many queries without and with bounds."""
    began, rng = machine(), random.Random(seed)
    done = []
    for world, (many, few) in zip(worlds, counts, strict=True):
        print(f"{world.name} …", file=sys.stderr, flush=True)
        with world.session() as con:
            con.calibrate("f", "x")
        heavy = world.x.numel() > 10_000
        rows, grids, bounds = (
            ((16, 64), (2, 3, 4), (15, 20, 30)) if heavy else ((32, 1024), (2, 3, 4, 5), (2, 3, 5, 10))
        )
        seconds = [free(world, random_query(world, rng, rows, grids), seed + k) for k in range(many)]
        asked = [bounded(world, bounded_query(world, rng, (3, 4), bounds), seed + k) for k in range(few)]
        done.append({"name": world.name, "seconds": seconds, "rows": [each for each in asked if each]})
    return {"machine": began, "seed": seed, "worlds": done}


# --- Report


def ratios(found: Sequence[Data]) -> list[float]:
    """Measured ÷ predicted, of the queries that ran anything."""
    return [each["measured"] / each["predicted"] for each in found if each["rows"] and each["predicted"]]


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


def beyond_pilot(found: Sequence[Data]) -> list[Data]:
    """The queries whose rows were not easy to tell: half as many again as the first round's, at least."""
    return [each for each in found if each["rows"] >= 1.5 * each["pilot"]]


def markdown(data: Data) -> str:
    """The shares of good predictions, as docs/benchmarks.md has them."""
    lines = []
    for what, about, bound in KINDS:
        every = [ratios(world[what]) for world in data["worlds"]]
        lines += [
            line(f"{about}, {each['name']}", found, bound) for each, found in zip(data["worlds"], every, strict=True)
        ]
        lines.append(line(f"{about}, all", [ratio for found in every for ratio in found], bound))
    hard = ratios([each for world in data["worlds"] for each in beyond_pilot(world["rows"])])
    lines.append(line("rows to the bound, where they are 1.5 × the first round's or more", hard, KINDS[1][2]))
    head = ["predicted", "queries", "measured ÷ predicted, median", "5 % … 95 %", f"within a factor of {FACTOR}"]
    return table(head, lines) + "\n"


def report(data: Data) -> str:
    worst = []
    for what, _, _ in KINDS:
        every = [each for world in data["worlds"] for each in world[what] if ratios([each])]
        every.sort(key=lambda each: abs(math.log(ratios([each])[0])), reverse=True)
        worst += [
            [f"`{each['query']}`", what, number(each["predicted"], 3), number(each["measured"], 3)]
            for each in every[:5]
        ]
    return f"""# The cost model

Random queries, seed {data["seed"]}, each in a session that has met the network but holds nothing: seconds are predicted
by EXPLAIN after calibration, the rows that a bound on the error takes by the first round.

{markdown(data)}
{said(data["machine"])}

## The worst predictions

{table(["query", "what", "predicted", "measured"], worst)}
"""


def plot(data: Data) -> Figure:
    """Measured against predicted: seconds of queries without bounds, rows of queries with one."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (what, about, _) in zip(figure.subplots(1, 2), KINDS, strict=True):
        both: list[float] = []
        for world in data["worlds"]:
            known = [each for each in world[what] if ratios([each])]
            predicted, measured = [each["predicted"] for each in known], [each["measured"] for each in known]
            axes.plot(predicted, measured, ".", label=world["name"])
            both += predicted + measured
        if both:
            ends = [min(both), max(both)]
            for factor in (1 / FACTOR, 1.0, FACTOR):
                axes.plot(ends, [factor * end for end in ends], color="grey", lw=0.5)
            axes.set(xscale="log", yscale="log")
        axes.set(xlabel="predicted", ylabel="measured", title=about)
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

"""How cost grows with players, layers, windows and inputs: rows, seconds, planning seconds and memory on a small CNN.

    python -m benchmarks.scale [--quick] [--repeats 3]

Each point is a script in a fresh session, under BEST; seconds are medians, memory is measured in a run of its own.
Planning is what EXPLAIN of the same statements takes.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure

import ialgebra

from .memory import peak
from .report import Data, machine, number, parser, publish, said, table
from .workloads import World, digits

ROWS = 256  # of a game, where players do not vary
SIZES = {
    "players": (4, 9, 16, 25, 49, 100, 196, 400),
    "layers": (1, 2, 3, 4),
    "windows": (1, 2, 4, 8, 16),
    "inputs": (1, 2, 4, 8, 16, 32),
}


class Point(NamedTuple):
    """A script whose cost is measured; `inputs` is how many elements the collection `xs` has."""

    size: int
    statements: tuple[str, ...]
    inputs: int = 1


def points(world: World, what: str, sizes: Sequence[int]) -> list[Point]:
    end = f"budget {ROWS}"
    if what == "players":  # eight rows a player; up to 10 of them all their coalitions
        sides = {size: round(size**0.5) for size in sizes}
        return [
            Point(size, (f"select * from f(xs, players => grid({side}, {side})) budget {8 * size}",))
            for size, side in sides.items()
        ]
    if what == "layers":
        items = [*map(str, world.layers), "*"]
        return [
            Point(size, (f"select {', '.join(items[-size:])} from f(xs, players => grid(4, 4)) {end}",))
            for size in sizes
        ]
    if what == "windows":  # bands that lie one below the other
        bands = [f"row between {k} and {k + 15}" for k in range(max(sizes))]
        query = "select * from f(xs, players => grid(4, 4)) where {} {}"
        return [Point(size, tuple(query.format(band, end) for band in bands[:size])) for size in sizes]
    return [Point(size, (f"select * from f(xs, players => grid(4, 4)) {end}",), size) for size in sizes]


def cost(world: World, point: Point, repeats: int) -> Data:
    """Rows, maps, and medians of the seconds of planning and of the whole."""
    collection = world.examples[: point.inputs]
    planning, seconds, rows, maps = [], [], 0, 0

    def once() -> None:
        nonlocal rows, maps
        with world.session() as con:
            con.register_input("xs", collection)
            con.sql("select * from f(y) budget 2")  # tells the model's layers
            started = time.perf_counter()
            for statement in point.statements:
                con.explain(statement)
            planned = time.perf_counter()
            answers = [con.sql(statement) for statement in point.statements]
            seconds.append(time.perf_counter() - planned)
            planning.append(planned - started)
            rows, maps = sum(each.stats.rows for each in answers), sum(len(each) for each in answers)

    memory = peak(once)
    del planning[:], seconds[:]
    for _ in range(repeats):
        once()
    return {
        "size": point.size,
        "maps": maps,
        "rows": rows,
        "seconds": statistics.median(seconds),
        "planning_seconds": statistics.median(planning),
        "peak_bytes": memory,
    }


def collect(world: World, sizes: dict[str, tuple[int, ...]], repeats: int) -> Data:
    began = machine()
    found = {}
    for what, chosen in sizes.items():
        print(f"{what} …", file=sys.stderr, flush=True)
        found[what] = [cost(world, point, repeats) for point in points(world, what, chosen)]
    return {"machine": began, "world": world.name, "rows": ROWS, "scale": found}


def markdown(data: Data) -> str:
    """The ends of every scale, as docs/benchmarks.md has them."""
    lines = []
    for what, found in data["scale"].items():
        first, last = found[0], found[-1]
        cells = [
            f"{number(first[key], 3)} → {number(last[key], 3)}"
            for key in ("maps", "rows", "seconds", "planning_seconds")
        ]
        lines.append([f"{first['size']} → {last['size']} {what}", *cells])
    return table(["from → to", "maps", "rows", "seconds", "of them planning"], lines) + "\n"


def report(data: Data) -> str:
    tables = "\n\n".join(
        table(
            [what, "maps", "rows", "seconds", "planning, ms", "peak MiB"],
            [
                [
                    str(each["size"]),
                    str(each["maps"]),
                    f"{each['rows']:,}",
                    number(each["seconds"]),
                    number(1e3 * each["planning_seconds"]),
                    number(None if each["peak_bytes"] is None else each["peak_bytes"] / 2**20),
                ]
                for each in found
            ],
        )
        for what, found in data["scale"].items()
    )
    return f"""# Scale

{data["world"]}; 16 players and {data["rows"]} rows a game, but eight rows a player where players vary.

{markdown(data)}
{said(data["machine"])}

## Every point

{tables}
"""


def plot(data: Data) -> Figure:
    """Seconds and planning seconds, a panel for each scale."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    for axes, (what, found) in zip(figure.subplots(1, len(data["scale"])), data["scale"].items(), strict=True):
        for key, label in (("seconds", "whole"), ("planning_seconds", "planning")):
            axes.plot([each["size"] for each in found], [each[key] for each in found], marker=".", label=label)
        axes.set(xscale="log", yscale="log", xlabel=what, ylabel="seconds")
        axes.legend(fontsize=8)
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--repeats", type=int, default=3)
    given = arguments.parse_args(argv)
    ialgebra.tune_process()
    warnings.simplefilter("ignore", ialgebra.errors.IalgebraWarning)
    sizes = {what: chosen[:2] for what, chosen in SIZES.items()} if given.quick else SIZES
    world = digits(given.out, steps=20 if given.quick else 120)
    with torch.inference_mode():
        data = collect(world, sizes, 1 if given.quick else given.repeats)
    publish("scale", data, report(data), plot(data), given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

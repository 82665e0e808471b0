"""What the optimizer's decisions save: every preset, and BEST without one decision at a time, over named workloads.

    python -m benchmarks.strategies [--quick] [--rounds 3] [--rows 48] [--device cpu] [--only drill-down session]

Every run starts from a fresh session and asks the workload's statements in order. The strategies take turns within a
round, so that a machine that slows down slows all of them; seconds are medians over the rounds, and ratios are medians
of the rounds' ratios. Sampled coalitions depend on the seed alone, so that the answers of all strategies are compared
with each other, map by map, in place of a long-run reference. Peak memory is measured on the first statement, apart.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import statistics
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

import ialgebra
from ialgebra import Strategy

from .memory import peak
from .report import Data, goal, machine, number, parser, publish, said, table
from .workloads import Workload, World, digits, photos, workloads

PRESETS = (Strategy.AS_WRITTEN, Strategy.LAWS, Strategy.FUSED, Strategy.BEST)
FORCED: dict[str, Any] = {
    "batch_size": 64,
    "mode": "eager",
}  # decisions that are no yes or no, and what a user might take
ABLATED = ("drill-down", "comparative", "session")  # where more than one decision has something to decide
GOALS = {"drill-down": 1 / 4, "comparative": 1 / 2, "session": 1 / 4}  # of the seconds of AS_WRITTEN
SLACK = 1.05  # BEST ÷ the best preset, at most


@dataclass(frozen=True, eq=False)
class Run:
    """One workload under one strategy: rows, seconds, the values of each map, and their stated relative errors.

    Maps of a query with a bound are left out of `values`: strategies may reach a bound by different rows.
    """

    rows: int
    seconds: float
    values: tuple[NDArray[np.float64], ...]
    errors: tuple[float, ...]


def run(world: World, workload: Workload, strategy: Strategy, device: str) -> Run:
    with world.session(device) as con:
        started = time.perf_counter()
        answers = [con.sql(statement, strategy=strategy) for statement in workload.statements]
        seconds = time.perf_counter() - started
    free = [each for each in answers if "error within" not in each.query]
    return Run(
        rows=sum(each.stats.rows for each in answers),
        seconds=seconds,
        values=tuple(one.values for each in free for one in each),
        errors=tuple(one.relative_error for each in free for one in each),
    )


def ablations() -> dict[str, Strategy]:
    """BEST with one decision forced: a yes or no to no, another to what a user might take without measuring."""
    found = {}
    for each in dataclasses.fields(Strategy):
        if each.name in FORCED:
            value, words = FORCED[each.name], f"{each.name} = {FORCED[each.name]}"
        elif str(each.type).startswith("bool"):
            value, words = False, f"no {each.name}"
        else:
            continue
        found[words] = dataclasses.replace(Strategy.BEST, name=f"BEST, {words}", **{each.name: value})
    return found


def measured(
    world: World, workload: Workload, named: dict[str, Strategy], rounds: int, device: str
) -> dict[str, list[Run]]:
    """The strategies in turn, so many rounds of them."""
    runs: dict[str, list[Run]] = {name: [] for name in named}
    for _ in range(rounds):
        gc.collect()
        for name, strategy in named.items():
            runs[name].append(run(world, workload, strategy, device))
    return runs


def memory(world: World, workload: Workload, strategy: Strategy, device: str) -> int | None:
    first = workload._replace(statements=workload.statements[:1])
    return peak(lambda: run(world, first, strategy, device), device)


def difference(run: Run, other: Run) -> float:
    """The largest ‖φ − φ'‖ / ‖φ'‖ of the maps."""
    pairs = zip(run.values, other.values, strict=True)
    return max((float(np.linalg.norm(a - b) / (np.linalg.norm(b) or 1.0)) for a, b in pairs), default=0.0)


def entry(runs: Sequence[Run], other: Sequence[Run]) -> Data:
    """What is reported of a strategy, beside `other`, which took turns with it."""
    return {
        "rows": runs[0].rows,
        "seconds": [each.seconds for each in runs],
        "median_seconds": statistics.median(each.seconds for each in runs),
        "difference": difference(runs[0], other[0]),
        "stated_error": statistics.median(runs[0].errors),
    }


def compare(world: World, workload: Workload, rounds: int, device: str, ablate: bool) -> Data:
    """One workload: the presets with their memory and, where asked for, the ablations."""
    print(f"{workload.name} …", file=sys.stderr, flush=True)
    presets = {each.name: each for each in PRESETS}
    peaks = {
        name: memory(world, workload, strategy, device) for name, strategy in presets.items()
    }  # this warms up, too
    runs = measured(world, workload, presets, rounds, device)
    found = {name: entry(each, runs["AS_WRITTEN"]) | {"peak_bytes": peaks[name]} for name, each in runs.items()}
    best = [each.seconds for each in runs["BEST"]]
    data: Data = {
        "name": workload.name,
        "about": workload.about,
        "statements": list(workload.statements),
        "presets": found,
        "seconds_to_as_written": _ratio(best, [each.seconds for each in runs["AS_WRITTEN"]]),
        "rows_to_as_written": runs["BEST"][0].rows / runs["AS_WRITTEN"][0].rows,
        "seconds_to_best_other": max(
            _ratio(best, [each.seconds for each in runs[name]]) for name in presets if name != "BEST"
        ),
        "ablations": {},
    }
    if ablate:
        print(f"{workload.name}, one decision at a time …", file=sys.stderr, flush=True)
        turns = {"BEST": Strategy.BEST, **ablations(), "BEST again": Strategy.BEST}  # the last shows what is noise
        without = measured(world, workload, turns, 1, device)
        base = without.pop("BEST")
        data["ablations"] = {
            name: {
                "seconds_to_best": each[0].seconds / base[0].seconds,
                "rows_to_best": each[0].rows / base[0].rows,
                "difference": difference(each[0], base[0]),
            }
            for name, each in without.items()
        }
    return data


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def collect(world: World, chosen: Sequence[Workload], rounds: int, device: str, ablated: Sequence[str]) -> Data:
    began = machine(device)
    with world.session(device) as con:
        con.calibrate("f", "x")
    done = [compare(world, each, rounds, device, each.name in ablated) for each in chosen]
    return {"machine": began, "device": device, "world": world.name, "rounds": rounds, "workloads": done}


# --- Report


def summary(data: Data) -> str:
    """BEST against operator at a time, and against the best of the other presets."""
    lines = []
    for each in data["workloads"]:
        ratio, bound = each["seconds_to_as_written"], GOALS.get(each["name"])
        rows = each["rows_to_as_written"]
        lines.append(
            [
                f"{each['name']}: {each['about']}",
                f"{each['presets']['AS_WRITTEN']['rows']:,}",
                f"{each['presets']['BEST']['rows']:,}",
                number(rows),
                number(ratio / rows),
                goal(ratio, bound) if bound else number(ratio, 3),
                goal(each["seconds_to_best_other"], SLACK),
            ]
        )
    head = ["workload", "rows as written", "rows, BEST", "× rows", "× seconds a row", "× seconds", "BEST ÷ best other"]
    return table(head, lines)


def presets(data: Data) -> str:
    lines = [
        [
            f"{each['name']}, {name}",
            f"{found['rows']:,}",
            number(found["median_seconds"], 3),
            number(None if found["peak_bytes"] is None else found["peak_bytes"] / 2**20, 3),
            f"{found['stated_error']:.1%}",
            f"{found['difference']:.0e}",
        ]
        for each in data["workloads"]
        for name, found in each["presets"].items()
    ]
    return table(["workload, strategy", "rows", "seconds", "peak MiB", "stated error", "difference"], lines)


def without(data: Data) -> str:
    """Seconds and rows of BEST with one decision forced, as multiples of BEST's own."""
    ablated = [each for each in data["workloads"] if each["ablations"]]
    names = list(ablated[0]["ablations"]) if ablated else []
    lines = []
    for name in names:
        cells = [each["ablations"][name] for each in ablated]
        lines.append([name, *(f"{cell['seconds_to_best']:.2f} ({cell['rows_to_best']:.2f})" for cell in cells)])
    return table(["BEST, but", *(each["name"] for each in ablated)], lines)


def markdown(data: Data) -> str:
    """The main table, as docs/benchmarks.md has it."""
    return f"""{data["world"]}, {data["rows"]} rows a game, {data["rounds"]} rounds, on {data["device"]}.
"× rows" times "× seconds a row" is "× seconds": what BEST takes as a share of what AS_WRITTEN takes, on equal answers.

{summary(data)}
"""


def report(data: Data) -> str:
    return f"""# Strategies

{markdown(data)}
{said(data["machine"])}

## Every preset

The stated error is the median over the maps of one standard error, relative; the difference is the largest relative L2
difference of a map from AS_WRITTEN's, queries with a bound left out. Peak memory: of the first statement alone.

{presets(data)}

## One decision at a time

Seconds as a multiple of BEST's and, in brackets, rows; one run each. The last line, BEST once more, shows the noise.

{without(data)}
"""


def plot(data: Data) -> Figure:
    """Seconds of every preset, workload by workload."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(PRESETS)
    for k, preset in enumerate(PRESETS):
        heights = [each["presets"][preset.name]["median_seconds"] for each in data["workloads"]]
        axes.bar([n + k * width for n in range(len(heights))], heights, width, label=preset.name)
    axes.set_xticks([n + 1.5 * width for n in range(len(data["workloads"]))], [e["name"] for e in data["workloads"]])
    axes.set_ylabel("seconds")
    axes.set_title(f"{data['world']}, {data['rows']} rows a game")
    axes.legend()
    return figure


def main(argv: Sequence[str] | None = None, *, name: str = "strategies", device: str = "cpu") -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--rows", type=int, default=48, help="budget of each game; 9 players have 512 coalitions")
    arguments.add_argument("--device", default=device)
    arguments.add_argument("--only", nargs="+", metavar="WORKLOAD", help="their names; by default all")
    arguments.add_argument("--ablations", action=argparse.BooleanOptionalAction, default=True)
    given = arguments.parse_args(argv)
    ialgebra.tune_process()
    warnings.simplefilter("ignore", ialgebra.errors.IalgebraWarning)  # an anti-join of equal classes is no mistake here
    world = digits(given.out, steps=20) if given.quick else photos(given.out)
    with torch.inference_mode():
        named = {each.name: each for each in workloads(world, given.rows)}
        if unknown := set(given.only or ()) - set(named):
            arguments.error(f"no workload {', '.join(unknown)}; there are {', '.join(named)}")
        chosen = [each for each in named.values() if not given.only or each.name in given.only]
        rounds, ablated = (1, ABLATED[:1]) if given.quick else (given.rounds, ABLATED)
        data = collect(world, chosen, rounds, given.device, ablated if given.ablations else ())
    data["rows"] = given.rows
    publish(name, data, report(data), plot(data), given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

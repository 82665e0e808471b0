"""Do answers to a bound keep it, and at what price? ERROR WITHIN 20 / 10 / 5 % AT CONFIDENCE 95 % on exact games.

    python -m benchmarks.bounds [seeds] [table.npz …]

In: the exact games of `benchmarks.estimators`, and tables of `values` (2^d,) if given. Out: for each game and bound the
share of runs whose true error is within the bound, the rows used against an oracle's, and how well the pilot foretold
the rows; as JSON in bench-out/bounds.json and as a Markdown table. Queries run through a session, on a model that looks
its values up.

The oracle knows the truth and takes, of the same seed's designs and by the same estimator, the fewest rows from which
the error *stays* within the bound, as far as twice the rows of the tightest bound; `first` is the fewest rows at which
it is within the bound at all, which nobody can know. Both are looked for on a lattice of rows, 3 % apart, from 4 a
player.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import ialgebra
from ialgebra.kernels.estimators.registry import choose, design, estimate

from .estimators import games

Floats = NDArray[np.float64]

BOUNDS = (0.2, 0.1, 0.05)
STEP = 1.03
OUT = Path("bench-out")


class Run(NamedTuple):
    """One query: its true relative error, rows used, what the pilot foretold, and the oracles' rows."""

    error: float
    rows: int
    forecast: int
    stays: int
    first: int


def asked(values: Floats, bound: float, seed: int) -> tuple[Floats, int, int]:
    """Shapley values, rows used, and the rows that the first round foretold."""
    players = len(values).bit_length() - 1
    table, bits = torch.from_numpy(values), 2 ** torch.arange(players)

    def model(batch: Tensor) -> Tensor:
        return table[(batch.round().long() * bits).sum(dim=1)][:, None]

    con = ialgebra.connect(progress=False)
    con.register_model("g", model)
    con.register_input("x", torch.ones(players))
    rounds = list(con.stream(f"select * from g(x) error within {100 * bound:g}% at confidence 95%", seed=seed))
    last = rounds[-1]
    return last[0].values, last.stats.rows, rounds[0].stats.forecast_rows or last.stats.rows


def errors(values: Floats, truth: Floats, seed: int, most: int) -> dict[int, float]:
    """The true relative error of this seed's estimate for each number of rows on the lattice."""
    players = len(truth)
    place, found, rows = 1 << np.arange(players), dict[int, float](), 4.0 * players
    while rows <= min(most, len(values)):
        method, count = choose(players, int(rows))
        made = design(method, players, count, seed)
        one = estimate(made, values[made.coalitions @ place][:, None])[0]
        found[count] = float(np.linalg.norm(one.values - truth) / np.linalg.norm(truth))
        rows *= STEP
    return found


def runs(values: Floats, seeds: int) -> dict[float, list[Run]]:
    """Every bound on every seed of one game."""
    players = len(values).bit_length() - 1
    every = design("exact", players, len(values), 0)
    truth = estimate(every, values[every.coalitions @ (1 << np.arange(players))][:, None])[0].values
    found: dict[float, list[Run]] = {bound: [] for bound in BOUNDS}
    for seed in range(seeds):
        answers = {bound: asked(values, bound, seed) for bound in BOUNDS}
        lattice = errors(values, truth, seed, 2 * max(rows for _, rows, _ in answers.values()))
        for bound, (answer, rows, forecast) in answers.items():
            within = [count for count, error in lattice.items() if error <= bound]
            beyond = max((count for count, error in lattice.items() if error > bound), default=0)
            stays = min((count for count in within if count > beyond), default=len(values))
            error = float(np.linalg.norm(answer - truth) / np.linalg.norm(truth))
            found[bound].append(Run(error, rows, forecast, stays, min(within, default=len(values))))
    return found


def summary(found: Iterable[Run], bound: float) -> dict[str, float]:
    each = list(found)
    return {
        "runs": len(each),
        "held": statistics.fmean(run.error <= bound for run in each),
        "rows": statistics.median(run.rows for run in each),
        "oracle": statistics.median(run.rows / run.stays for run in each),
        "first": statistics.median(run.rows / run.first for run in each),
        "foretold": statistics.fmean(2 / 3 <= run.forecast / run.rows <= 1.5 for run in each),
    }


def measured(tables: Mapping[str, Floats], seeds: int) -> dict[str, dict[str, dict[str, float]]]:
    """For each bound: each game's figures, and those of `all` together."""
    data: dict[str, dict[str, dict[str, float]]] = {f"{bound:.0%}": {} for bound in BOUNDS}
    everything: dict[float, list[Run]] = {bound: [] for bound in BOUNDS}
    for name, values in tables.items():
        found = runs(values, seeds)
        for bound in BOUNDS:
            data[f"{bound:.0%}"][name] = summary(found[bound], bound)
            everything[bound] += found[bound]
        print(f"{name}: done", file=sys.stderr, flush=True)
    for bound in BOUNDS:
        data[f"{bound:.0%}"]["all"] = summary(everything[bound], bound)
    return data


def markdown(data: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    head = "| bound | game | runs | held | rows | ÷ oracle | ÷ first | rows foretold within 1.5 × |"
    lines = ["# Answers to a bound, confidence 95 %", "", head, "|---|---|---|---|---|---|---|---|"]
    for bound, each in data.items():
        lines += [
            f"| {bound} | {name} | {of['runs']:.0f} | {of['held']:.3f} | {of['rows']:,.0f} | {of['oracle']:.2f} "
            f"| {of['first']:.2f} | {of['foretold']:.2f} |"
            for name, of in each.items()
        ]
    return "\n".join(lines)


def main() -> int:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    tables = games() if len(sys.argv) < 3 else {Path(path).stem: np.load(path)["values"] for path in sys.argv[2:]}
    data = measured(tables, seeds)
    OUT.mkdir(exist_ok=True)
    (OUT / "bounds.json").write_text(json.dumps(data, indent=1) + "\n")
    print(markdown(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())

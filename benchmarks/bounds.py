"""Do answers to a bound keep it, and at what price? And do the intervals of a fixed budget hold what they claim?

    python -m benchmarks.bounds [seeds] [oracle | drawn | fixed | table.npz …]
    python -m benchmarks.bounds [seeds] --beside CHECKOUT

In: the exact games of `benchmarks.estimators`, the families of `benchmarks.drawn`, and tables of `values` (2^d,) if
given. Out, as JSON in bench-out/bounds.json and as Markdown tables:

* oracle (and tables): ERROR WITHIN 20 / 10 / 5 % AT CONFIDENCE 95 % on games that are the same for every seed: the
  share of runs whose true error is within the bound, the rows used against an oracle's, and how well the pilot foretold
  them;
* drawn: ERROR WITHIN 10 % on games that are drawn anew for every seed, of at most 4,096 rows: the share of runs whose
  true error is within 10 % where the bound was met, and within the stated error where it was not; rows and seconds;
* fixed: of 8 to 64 rows a player, the share of players whose 95 % interval holds the exact value, and how many are
  beyond ten standard errors.

Without a word, all three. Queries run through a session, on a model that looks its values up or computes them. With
`--beside`, rows, rounds and processor seconds beside those of another checkout (`benchmarks.beside`).

The oracle knows the truth and takes, of the same seed's designs and by the same estimator, the fewest rows from which
the error *stays* within the bound, as far as twice the rows of the tightest bound; `first` is the fewest rows at which
it is within the bound at all, which nobody can know. Both are looked for on a lattice of rows, 3 % apart, from 4 a
player.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import ialgebra
from ialgebra.kernels.estimators.registry import choose, design, estimate

from . import beside
from .drawn import FAMILIES, RARE, Drawn, Family
from .estimators import games

Floats = NDArray[np.float64]

BOUNDS = (0.2, 0.1, 0.05)
STEP = 1.03
MOST_ROWS = 4096  # of a query on a drawn game
MULTIPLES = (8, 16, 32, 64)  # rows a player of a fixed budget
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


class Kept(NamedTuple):
    """One query on a drawn game: whether the bound was met, and the true error within it, or within what was stated."""

    met: bool
    inside: bool
    rows: float  # a player
    seconds: float


def kept(game: Drawn, seed: int, bound: float = 0.1) -> Kept:
    """ERROR WITHIN `bound` on one drawn game, with at most `MOST_ROWS` rows."""

    def model(batch: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray(game.values(batch.numpy() > 0.5), dtype=np.float64))[:, None]

    con = ialgebra.connect(progress=False)
    con.register_model("g", model)
    con.register_input("x", torch.ones(game.players))
    text = f"select * from g(x) budget {MOST_ROWS} error within {100 * bound:g}% at confidence 95%"
    start = time.perf_counter()
    found = con.sql(text, seed=seed)
    seconds = time.perf_counter() - start
    error = float(np.linalg.norm(found[0].values - game.shapley) / np.linalg.norm(game.shapley))
    met = found.stats.bound_met
    stated = bound if met else 1.96 * found[0].relative_error
    return Kept(met, error <= stated + 1e-9, found.stats.rows / game.players, seconds)


def drawn(families: Mapping[str, Family], seeds: int) -> dict[str, dict[str, float]]:
    """For each family: the shares of runs that met the bound and that were inside, rows a player, seconds."""
    found = {}
    for name, family in families.items():
        each = [kept(family(seed), seed) for seed in range(seeds)]
        found[name] = {
            "met": statistics.fmean(run.met for run in each),
            "inside": statistics.fmean(run.inside for run in each),
            "rows": statistics.median(run.rows for run in each),
            "seconds": statistics.median(run.seconds for run in each),
        }
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def table_of(values: Floats) -> Family:
    """The family of one stored game."""
    players = len(values).bit_length() - 1
    place = 1 << np.arange(players)
    every = design("exact", players, len(values), 0)
    truth = estimate(every, values[every.coalitions @ place][:, None])[0].values
    return lambda seed: Drawn(players, lambda masks: values[masks @ place], truth)


def fixed(families: Mapping[str, Family], seeds: int) -> dict[str, dict[str, dict[str, float]]]:
    """For each family and multiple: the share of players inside their interval, and those beyond ten errors."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, family in families.items():
        scores: dict[int, list[Floats]] = {}
        for seed in range(seeds):
            game = family(seed)
            for multiple in MULTIPLES:
                if multiple * game.players <= 0.6 * 2**game.players:
                    method, rows = choose(game.players, multiple * game.players)
                    made = design(method, game.players, rows, seed)
                    one = estimate(made, np.asarray(game.values(made.coalitions), dtype=np.float64)[:, None])[0]
                    tiny = 1e-12 * float(np.abs(one.values).max())
                    scores.setdefault(multiple, []).append(np.abs(one.values - game.shapley) / (one.stderr + tiny))
        found[name] = {
            f"{multiple}d": {"covered": float(np.mean(np.array(z) <= 1.96)), "beyond": int((np.array(z) > 10).sum())}
            for multiple, z in scores.items()
        }
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def markdown_of_drawn(data: Mapping[str, Mapping[str, float]]) -> str:
    lines = [
        "# ERROR WITHIN 10 % on drawn games",
        "",
        "| game | met | inside | rows a player | seconds |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {of['met']:.2f} | {of['inside']:.3f} | {of['rows']:.1f} | {of['seconds']:.2f} |"
        for name, of in data.items()
    ]
    return "\n".join([*lines, f"| all | | {statistics.fmean(of['inside'] for of in data.values()):.3f} | | |"])


def markdown_of_fixed(data: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    head = "".join(f" {multiple}d |" for multiple in MULTIPLES)
    lines = ["# Players inside their 95 % interval", "", f"| game |{head}", "|---|" + "---|" * len(MULTIPLES)]
    for name, each in data.items():
        cells = [each.get(f"{multiple}d") for multiple in MULTIPLES]
        shown = ["" if of is None else f"{of['covered']:.3f}{' !' * (of['beyond'] > 0)}" for of in cells]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    every = [of["covered"] for each in data.values() for of in each.values()]
    share = statistics.fmean(0.93 <= covered <= 0.99 for covered in every)
    return "\n".join([*lines, "", f"{share:.2f} of {len(every)} cells within 0.93 to 0.99; least {min(every):.3f}"])


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
    if "--beside" in sys.argv:
        print(beside.markdown(beside.measured(Path(sys.argv[sys.argv.index("--beside") + 1]), seeds)))
        return 0
    words = {"oracle", "drawn", "fixed"}
    wanted = set(sys.argv[2:]) & words or words
    paths = [path for path in sys.argv[2:] if path not in words]
    old = {name: table_of(values) for name, values in games().items()}
    data: dict[str, object] = {}
    pages = []
    if paths or "oracle" in wanted:
        tables = {Path(path).stem: np.load(path)["values"] for path in paths} or games()
        data["oracle"] = oracle = measured(tables, seeds)
        pages.append(markdown(oracle))
    if not paths and "drawn" in wanted:
        data["drawn"] = found = drawn({**FAMILIES, **old}, seeds)
        data["rare"] = rare = drawn(RARE, seeds)
        pages += [markdown_of_drawn(found), markdown_of_drawn(rare)]
    if not paths and "fixed" in wanted:
        data["fixed"] = cells = fixed({**FAMILIES, **RARE, **old}, seeds)
        pages.append(markdown_of_fixed(cells))
    OUT.mkdir(exist_ok=True)
    (OUT / "bounds.json").write_text(json.dumps(data, indent=1) + "\n")
    print("\n\n".join(pages))
    return 0


if __name__ == "__main__":
    sys.exit(main())

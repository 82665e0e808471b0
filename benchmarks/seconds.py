"""Seconds to Shapley values of sixteen tiles of a photo that are off by 10 % and by 5 %: EfficientNet-Lite0, a logit.

    python -m benchmarks.seconds --table    once, about 20 minutes on a quiet core; can be stopped and goes on
    python -m benchmarks.seconds --rows     once: the rows that each explainer needs, which hang on no clock
    python -m benchmarks.seconds            some ten minutes

1. The values of all 65,536 coalitions are computed once, with the network. They say how far any answer is off, and so
   how many rows each explainer needs for a mean error of 10 % and of 5 % over ten seeds.
2. With these rows, every explainer then asks the network itself, on the clock, side by side: rounds go through all of
   them in turn. Who needs more than `MOST` rows is timed on fewer and scaled; the report marks such seconds with ~.

In: the demo's network and photo. Out: `bench-out/seconds.json` and `seconds.md`, printed too. Peers run through one
batched game in the fastest batch size and memory format that the bare network shows here; Captum and shap give it at
most the rows of one permutation at a time. Knows ialgebra's public names only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor, nn

import ialgebra
from benchmarks import explainers
from benchmarks.explainers import PEERS, Peer, Refused, newest_peers
from benchmarks.games import OUT, Asked, Counted, Floats, Game, Table, channels_last, every, logits_of, tiles
from benchmarks.peers import Memory, error_of, table
from ialgebra.apps import zoo

PHOTO = "coffee"
PLAYERS = tiles(224, 4, 4)
CHUNK = 1024
SEEDS = 10
TARGETS = (0.10, 0.05)
STEPS = 8  # sizes to a doubling
GRID = tuple(round(2 ** (step / STEPS)) for step in range(6 * STEPS, 13 * STEPS + 1))  # 64 … 8,192 rows
MOST = 384  # rows on the clock in one go; more are scaled from these
ROUNDS = 3
BOUND = "select * from f(x) error within 10%"
OURS = "ialgebra"
DEFAULTS = {  # what the libraries choose when they are left to choose
    "shap": Peer("shap", "PermutationExplainer, as chosen by shap", explainers.shap_permutations, lambda d: 2 * d + 1),
    "shapiq": Peer(explainers.SHAPIQ, "KernelSHAP, as chosen by shapiq", explainers.shapiq_values("KernelSHAP")),
}


# --- The table


def whole_table() -> Floats:
    """The predicted class's logit of all 2^16 hybrids; 0 where it is not computed yet."""
    path = OUT / f"lite0-{PHOTO}-4x4.npy"
    OUT.mkdir(exist_ok=True)
    values: Floats = open_memmap(path, "r+" if path.exists() else "w+", np.float64, (1 << 16,))
    return values


def fill(values: Floats) -> None:
    """Computes what is missing, chunk by chunk."""
    module, x = channels_last(zoo.network()), zoo.photo(PHOTO)
    rows, target = every(16), predicted(module, x)
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        if not values[part].all():
            values[part] = logits_of(module, x, torch.zeros_like(x), PLAYERS, rows[part], batch=32)[:, target].numpy()
            print(f"{start + CHUNK:,} of {len(rows):,} rows", file=sys.stderr, flush=True)


def predicted(module: nn.Module, x: Tensor) -> int:
    return int(module(x[None]).argmax())


# --- 1. Rows


@dataclass(frozen=True)
class Need:
    """The least rows of the grid with a mean error within the target, None where the grid ends before."""

    explainer: str
    target: float
    rows: int | None
    error: float


def least(explainer: str, error: Callable[[int, int], float]) -> Iterator[Need]:
    """The least rows of the grid at which the mean of `error(rows, seed)` over seeds is within each of the targets,
    taking it to fall with rows: by doublings until it is within, then among the sizes of the last doubling."""

    @cache
    def mean(place: int) -> float:
        try:
            return float(np.mean([error(GRID[place], seed) for seed in range(SEEDS)]))
        except Refused:
            return float("inf")

    for target in TARGETS:
        within = next((place for place in range(0, len(GRID), STEPS) if mean(place) <= target), None)
        if within is None:
            yield Need(explainer, target, None, mean(len(GRID) - 1))
        else:
            first = next(place for place in range(max(0, within - STEPS + 1), within + 1) if mean(place) <= target)
            yield Need(explainer, target, GRID[first], mean(first))


def needs(game: Table, peers: Sequence[Peer]) -> Iterator[Need]:
    def own(rows: int, seed: int) -> float:
        return asked(game, f"select * from f(x) budget {rows}", seed)[0]

    def theirs(peer: Peer, rows: int, seed: int) -> float:
        found = memory.ask(peer, game, rows, seed)
        if found is None:
            raise Refused
        return found[0]

    yield from least(OURS, own)
    memory = Memory(game)
    for peer in peers:
        yield from least(peer.title, partial(theirs, peer))
        memory.save()
        print(f"{peer.title}: rows found", file=sys.stderr, flush=True)


def asked(game: Game, query: str, seed: int) -> tuple[float, int]:
    """The error of our answer, and the rows that the model was asked for."""
    counted = Counted(game)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", counted.torch)
        con.register_input("x", torch.ones(game.players))
        (answer,) = con.sql(query, seed=seed)
    return error_of(answer.values, game.shapley), counted.rows


# --- 2. Seconds


@dataclass(frozen=True)
class Run:
    """Seconds of one explainer with so many rows, of which `timed` were on the clock; medians over rounds."""

    explainer: str
    target: float | None  # None: the query asks for the bound itself
    rows: float
    timed: float
    seconds: float
    error: float

    @property
    def scaled(self) -> bool:
        return self.timed < self.rows


def batched(module: nn.Module, x: Tensor, target: int, batch: int) -> Callable[[NDArray[np.bool_]], Floats]:
    def values(rows: NDArray[np.bool_]) -> Floats:
        found: Floats = logits_of(module, x, torch.zeros_like(x), PLAYERS, rows, batch)[:, target].numpy()
        return found

    return values


def fastest(modules: dict[str, nn.Module], x: Tensor, target: int) -> tuple[str, Callable[[NDArray[np.bool_]], Floats]]:
    """The way to run the bare network that takes the least time for 64 rows: the best of two runs each."""
    rows, best = every(16)[-64:], (float("inf"), "", batched(modules["plain"], x, target, 16))
    for name, module in modules.items():
        for batch in (16, 32, 64):
            game = batched(module, x, target, batch)
            for _ in range(2):
                start = time.perf_counter()
                game(rows)
                best = min(best, (time.perf_counter() - start, f"{name}, batches of {batch}", game), key=lambda b: b[0])
    return best[1], best[2]


def clocked(
    exact: Floats, found: Sequence[Need], peers: Sequence[Peer], bound: tuple[float, float]
) -> tuple[list[Run], str]:
    """Every explainer that reaches a target, in rounds, and how the peers' network was run."""
    module, x = zoo.network(), zoo.photo(PHOTO)
    modules = {"plain": module, "channels-last": channels_last(zoo.network())}
    target = predicted(module, x)
    way, game = fastest(modules, x, target)
    live = Asked("EfficientNet-Lite0", game, exact, 0.0)
    by_title = {peer.title: peer for peer in peers}
    jobs: list[tuple[str, float | None, float, float, Callable[[], object]]] = []

    def own(query: str) -> None:
        with ialgebra.connect(progress=False) as con:
            con.register_model("f", module)
            con.register_input("x", x, baseline=0, players="grid(4, 4)")
            con.sql(query)

    with ialgebra.connect(progress=False) as con:  # measured once for a model and machine, and kept on disk
        con.register_model("f", module)
        con.register_input("x", x, baseline=0, players="grid(4, 4)")
        con.calibrate("f", "x")
    for need in found:
        if need.rows is not None:
            timed = min(need.rows, MOST)
            if need.explainer == OURS:
                run: Callable[[], object] = partial(own, f"select * from f(x) budget {timed}")
            else:
                peer = by_title[need.explainer]
                run = partial(peer.estimate, Counted(live), timed // peer.unit(16), 0)
                timed = timed // peer.unit(16) * peer.unit(16)
            jobs.append((need.explainer, need.target, need.rows, timed, run))
    rows, error = bound
    jobs.append((OURS, None, rows, rows, partial(own, BOUND)))
    jobs.sort(key=lambda job: job[3])  # so that those that are close meet the machine in the same mood
    times: list[list[float]] = [[] for _ in jobs]
    for _ in range(ROUNDS):
        for (*_, run), seconds in zip(jobs, times, strict=True):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
    errors: dict[tuple[str, float | None], float] = {(need.explainer, need.target): need.error for need in found}
    return [
        Run(name, share, rows, timed, statistics.median(seconds) * rows / timed, errors.get((name, share), error))
        for (name, share, rows, timed, _), seconds in zip(jobs, times, strict=True)
    ], way


# --- Report


def goals(runs: Sequence[Run], defaults: Sequence[str]) -> list[tuple[str, float, float]]:
    """What we ask of ourselves at 10 %: our seconds as a share of others', and the most that share may be."""
    at = {run.explainer: run.seconds for run in runs if run.target == TARGETS[0]}
    own = at[OURS]

    def share(names: Sequence[str]) -> float:
        reached = [at[name] for name in names if name in at]
        return own / min(reached) if reached else 0.0

    captum = [name for name in at if name.startswith("captum")]
    every_peer = [name for name in at if name != OURS]
    chosen = [(f"{name}", share([name]), 1 / 3) for name in defaults]
    best = ("best of all, with hindsight", share(every_peer), 0.7)
    return [("captum, best setting", share(captum), 1 / 10), *chosen, best]


def markdown(data: dict[str, Any]) -> str:
    """What `bench-out/seconds.json` says."""
    runs = {(run.explainer, run.target): run for run in (Run(**each) for each in data["runs"])}
    first, bound = TARGETS[0], runs[OURS, None]

    def cells(name: str, target: float) -> list[str]:
        run = runs.get((name, target))
        return [f"{run.rows:,.0f}", f"{'~' if run.scaled else ''}{run.seconds:.1f}"] if run else ["–", "–"]

    order = sorted({name for name, _ in runs}, key=lambda name: runs[name, first].seconds)
    rows = [[name, *(cell for target in TARGETS for cell in cells(name, target))] for name in order]
    never = sorted({each["explainer"] for each in data["needs"]} - {*order})
    kept = [
        [name, (f"{share:.2f}" if share <= goal else f"**{share:.2f}**") if share else "never there", f"{goal:.2f}"]
        for name, share, goal in goals([*runs.values()], data["defaults"])
    ]
    heads = [head for target in TARGETS for head in (f"rows to {target:.0%}", "seconds")]
    return f"""Rows: the least of a grid ({STEPS} sizes to a doubling) at which the mean relative L2 error of {SEEDS}
seeds is within the target; errors are exact, from the values of all 65,536 coalitions. Seconds: median of
{ROUNDS} rounds on the network, all explainers in turn; ~ marks seconds scaled from {MOST:,} rows, – more than
{GRID[-1]:,} rows. Peers' network: {data["way"]}, the fastest way found.

{table(["ours as a share of", f"seconds at {first:.0%}", "goal"], kept)}

{table(["explainer", *heads], rows)}

Not there at all: {", ".join(never) or "none"}. The query `{BOUND}` itself, which knows no truth, took
{bound.rows:,.0f} rows and {bound.seconds:.1f} seconds, and was off by {bound.error:.1%}.
"""


def bounded(game: Table) -> tuple[float, float]:
    """Mean rows and mean error, over seeds, of the query that asks for the bound itself."""
    errors, rows = zip(*(asked(game, BOUND, seed) for seed in range(SEEDS)), strict=True)
    return float(np.mean(rows)), float(np.mean(errors))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", action="store_true", help="compute the values of all coalitions, and end")
    parser.add_argument("--rows", action="store_true", help="find the rows that each explainer needs, and end")
    options = parser.parse_args()
    ialgebra.tune_process()
    warnings.simplefilter("ignore")
    values = whole_table()
    with torch.no_grad():
        if options.table:
            fill(values)
            return 0
        if not values.all():
            done = np.count_nonzero(values)
            print(f"left out until `python -m benchmarks.seconds --table` ends; {done:,} of 65,536 rows are done")
            return 0
        game = Table("EfficientNet-Lite0, coffee photo, 4x4 tiles, logit", np.array(values))
        peers = (*PEERS, *DEFAULTS.values(), *newest_peers())
        found = list(needs(game, peers))
        if options.rows:
            return 0
        runs, way = clocked(game.shapley, found, peers, bounded(game))
    data = {
        "way": way,
        "defaults": [peer.title for peer in DEFAULTS.values()],
        "needs": [asdict(each) for each in found],
        "runs": [asdict(each) for each in runs],
    }
    (OUT / "seconds.json").write_text(json.dumps(data, indent=1) + "\n")
    text = f"# Seconds to an error: EfficientNet-Lite0, 16 tiles of a photo, a logit\n\n{markdown(data)}"
    (OUT / "seconds.md").write_text(text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

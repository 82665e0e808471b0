"""What stands beside the rows of a query in rounds: bounded queries over 40 and 200 inputs, and an exact one of 8
players.

    python -m benchmarks.rounds                     this tree
    python -m benchmarks.rounds --beside PATH       another checkout too, in turns

In: nothing, or the path of a checkout. Out: for each query its rows, the median of its seconds, and the shares of them
that planning and estimation take; beside another checkout the ratio of the medians. Seconds are processor time of
`RUNS` processes a tree, one tree after the other, so that both meet the same machine. Each answer comes from a session
that has paid for nothing yet. No decision looks at measured seconds, so that all processes run the same batches.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

RUNS = 5  # processes a tree
MOST_PLANNING = 0.03  # of the seconds of a bounded query
MOST_ESTIMATION = 0.15  # of the seconds of the query over many inputs
INPUTS, MANY = 40, 200
SIDE = 32  # pixels
SETTINGS = {"IALGEBRA_CACHE": os.devnull, "OMP_NUM_THREADS": "1"}
# Memory stays with the process: to ask for it anew takes up to half of the seconds, and never the same share.
SETTINGS |= {"MALLOC_MMAP_THRESHOLD_": "2000000000", "MALLOC_TRIM_THRESHOLD_": "2000000000"}


class Query(NamedTuple):
    """A query, how often a process asks it, and whether its planning is held to `MOST_PLANNING`, and its estimation to
    `MOST_ESTIMATION`."""

    text: str
    times: int
    bounded: bool
    many: bool = False


QUERIES = {
    f"error within 5 %, {INPUTS} inputs of 16 players": Query(
        "select * from f(xs, players => grid(4, 4), target => 0) error within 5%", 5, True
    ),
    f"error within 10 %, {MANY} inputs of 16 players": Query(
        "select * from f(many, players => grid(4, 4), target => 0) error within 10%", 1, True, many=True
    ),
    "exact, 8 players": Query("select * from f(x, players => grid(2, 4), target => 0) using exact()", 25, False),
}
PLANNING = ("compile_plan", "lower", "size")  # whatever of these a tree's answers are planned by
ANSWERING = ("ialgebra.answering.question", "ialgebra.answering.loop", "ialgebra.query")
ESTIMATION = (("Estimates", "__init__"), ("Estimates", "map"), ("EstimatedMap", "relative_bound"))


@contextmanager
def _timed(planning: list[float], estimation: list[float]) -> Iterator[None]:
    """Within this, the seconds that answers spend on planning and on estimation are added to these lists."""
    changed: list[tuple[Any, str, Callable[..., Any]]] = []

    def timing(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                spent.append(time.process_time() - started)

        return timed

    maps = importlib.import_module("ialgebra.estimation.maps")
    for kind, method in ESTIMATION:
        of = getattr(maps, kind)
        changed.append((of, method, getattr(of, method)))
        setattr(of, method, timing(getattr(of, method), estimation))

    for name in ANSWERING:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:  # of another checkout
            continue
        for function in set(PLANNING) & set(vars(module)):
            changed.append((module, function, getattr(module, function)))
            setattr(module, function, timing(getattr(module, function), planning))
    try:
        yield
    finally:
        for module, function, before in changed:
            setattr(module, function, before)


def _measured() -> dict[str, dict[str, float]]:
    """Rows, seconds, planning and estimation seconds of each query, medians of this process."""
    import torch
    from torch import nn

    import ialgebra

    torch.set_num_threads(1)
    torch.manual_seed(0)
    blocks = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.ReLU()]
    blocks += [nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, 5)]
    network = nn.Sequential(*blocks).eval()
    xs = torch.rand(MANY, 3, SIDE, SIDE)

    def session() -> ialgebra.Session:
        con = ialgebra.connect(progress=False)
        con.register_model("f", network)
        con.register_input("x", xs[0])
        con.register_input("xs", xs[:INPUTS])
        con.register_input("many", xs)
        return con

    # Decisions that look at what passes were measured to take would differ from process to process.
    strategy = replace(ialgebra.Strategy.BEST, measured=False)
    found = {}
    for name, query in QUERIES.items():
        session().sql(query.text, strategy=strategy)
        seconds, planning, estimation, rows = [], [], [], 0
        for seed in range(query.times):
            con, planned, estimated = session(), list[float](), list[float]()
            with _timed(planned, estimated):
                started = time.process_time()
                rows = con.sql(query.text, seed=seed, strategy=strategy).stats.rows
                seconds.append(time.process_time() - started)
            planning.append(sum(planned))
            estimation.append(sum(estimated))
        found[name] = {
            "rows": rows,
            "seconds": median(seconds),
            "planning": median(planning),
            "estimation": median(estimation),
        }
    return found


def _run(tree: Path) -> dict[str, dict[str, float]]:
    """The same, in a process of its own, of the checkout at `tree`."""
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(tree)}
    said = subprocess.run(
        [sys.executable, __file__, "--one"], cwd=tree, env=environment, check=True, capture_output=True, text=True
    ).stdout
    result: dict[str, dict[str, float]] = json.loads(said.splitlines()[-1])
    return result


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--beside", type=Path, help="another checkout")
    arguments.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.one:
        print(json.dumps(_measured()))
        return 0
    here = Path(__file__).parents[1]
    trees = [here] if options.beside is None else [options.beside.resolve(), here]
    runs: dict[Path, list[dict[str, dict[str, float]]]] = {tree: [] for tree in trees}
    for _ in range(RUNS):
        for tree in trees:
            runs[tree].append(_run(tree))
    failed = False
    for name, query in QUERIES.items():
        middle = {tree: median(run[name]["seconds"] for run in runs[tree]) for tree in trees}
        planning, estimation = (
            {tree: median(run[name][part] / run[name]["seconds"] for run in runs[tree]) for tree in trees}
            for part in ("planning", "estimation")
        )
        for tree in trees:
            rows, seconds = runs[tree][-1][name]["rows"], f"{1000 * middle[tree]:>9,.1f} ms"
            shares = f"{planning[tree]:>7.1%} planning{estimation[tree]:>7.1%} estimation"
            print(f"{name:44}{rows:>7,.0f} rows{seconds}{shares}  {tree}")
        if len(trees) > 1:
            print(f"{'':44}ratio of medians {middle[here] / middle[trees[0]]:.3f}")
        failed |= query.bounded and planning[here] > MOST_PLANNING
        failed |= query.many and estimation[here] > MOST_ESTIMATION
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

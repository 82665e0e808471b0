"""How long planning takes: plans of twelve and of a thousand operators, before anything is run.

    python -m benchmarks.planning                     this tree
    python -m benchmarks.planning --beside PATH       another checkout too, in turns

In: nothing, or the path of a checkout. Out: the median of the planning seconds, a line a plan, in processor time: each
tree is measured in `RUNS` processes of its own, one tree after the other, so that both meet the same machine. Operators
are built before the clock starts, and none has been planned before. Of another checkout it knows the planner by
`compile_plan` alone, in whichever module of `ialgebra.planner` that is. For this tree a last line tells what part of a
bounded query over many inputs its planning is.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

RUNS = 5  # processes a tree
LIMITS = {"12 operators": 0.012}  # seconds; of the others:
LIMIT = 2.0
INPUTS, LARGEST_SHARE = 40, 0.03  # of the bounded query


def _plans(count: int, windows: Sequence[Any]) -> dict[str, Sequence[object]]:
    """For each name the plans of a query over six `windows`; `count` operators in the large ones."""
    from ialgebra.algebra.baselines import Constant
    from ialgebra.algebra.operators import AntiJoin, Identity, Join, Operator, Projection, Selection
    from ialgebra.algebra.players import Features
    from ialgebra.algebra.sources import Source

    def phi(name: str, baseline: float = 0.0) -> Operator:
        return Identity("f", (Source(name),), (Constant(baseline),), Features(), target=1, depth=5)

    def join(p: Operator, q: Operator, weight: Fraction) -> Operator:
        return Join((p, q), (weight, 1 - weight))

    half = Fraction(1, 2)
    few = Selection(2, Projection(windows[0], join(join(phi("x"), phi("y"), half), Selection(3, phi("z")), half)))
    pair = AntiJoin((Projection(windows[1], phi("x")), Projection(windows[1], phi("y"))), (0, 1))
    chain = phi("x")
    for k in range(count // 2):
        chain = join(chain, phi("x", k % 7), Fraction(1 + k % 9, 10))
    tower = phi("x")
    for k in range(count // 2):
        tower = Selection(5 - 4 * 2 * k // count, Projection(windows[k % 6], tower))
    shared = [Selection(1 + k % 4, Projection(windows[k % 6], chain)) for k in range(20)]
    return {
        "12 operators": [few, pair],
        f"a chain of {count} operators": [chain],
        f"a tower of {count} operators": [tower],
        f"{len(shared)} maps of one chain": shared,
        f"{count} maps": [Selection(1 + k % 5, phi("xyz"[k % 3])) for k in range(count)],
    }


def _planner() -> Callable[..., object]:
    """`compile_plan`, and its module's `Wanted`, as a function of plans and a catalog."""
    import ialgebra.planner as room
    from ialgebra.planner.strategy import Strategy

    modules = (importlib.import_module(f"{room.__name__}.{each.name}") for each in pkgutil.iter_modules(room.__path__))
    module = next(each for each in modules if hasattr(each, "compile_plan"))

    def plan(plans: list[object], catalog: object) -> object:
        wanted = [module.Wanted(each, None, number) for number, each in enumerate(plans)]
        return module.compile_plan(wanted, catalog, Strategy.BEST, 0)

    return plan


def measure(count: int) -> dict[str, float]:
    """Processor seconds to plan each query for the first time."""
    import torch
    from torch import nn

    import ialgebra

    torch.manual_seed(0)
    con = ialgebra.connect(progress=False)
    layers = [each for _ in range(4) for each in (nn.Linear(12, 12), nn.ReLU())]
    con.register_model("f", nn.Sequential(*layers, nn.Linear(12, 3)))
    for name in "xyz":
        con.register_input(name, torch.rand(12))
    for number in range(6):
        con.register_window(f"w{number}", torch.arange(12) < 6 + number)
    con.sql("select * from f(x)")
    plan, taken = _planner(), {}
    windows = [con._catalog.windows[f"w{number}"] for number in range(6)]
    plan(_plans(20, windows)["20 maps"], con._catalog)  # what is imported and compiled on first use
    for name, plans in _plans(count, windows).items():
        gc.collect()
        gc.freeze()  # what torch keeps is not looked through on planning's account
        before = time.process_time()
        plan(plans, con._catalog)
        taken[name] = time.process_time() - before
    return taken


def share_of_a_bounded_query(inputs: int) -> float:
    """Processor seconds of planning in those of a query that is bounded, over a collection and a small network."""
    import torch
    from torch import nn

    import ialgebra
    from ialgebra.answering import question

    taken = 0.0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def plan(*arguments: object, **options: object) -> object:
            nonlocal taken
            before = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                taken += time.process_time() - before

        return plan

    question.lower, question.size = timed(question.lower), timed(question.size)  # type: ignore[attr-defined]
    torch.manual_seed(0)
    con = ialgebra.connect(progress=False)
    layers = (nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU())
    con.register_model("f", nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)))
    con.register_input("many", torch.rand(inputs, 3, 32, 32), players="grid(7, 7)")
    before = time.process_time()
    con.sql("select * from f(many) error within 8%")
    return taken / (time.process_time() - before)


def beside(trees: list[Path], count: int, runs: int) -> list[dict[str, float]]:
    """For each tree the medians of `runs` processes, which are started in turns."""
    found: list[list[dict[str, float]]] = [[] for _ in trees]
    for _ in range(runs):
        for tree, measured in zip(trees, found, strict=True):
            environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
            command = [sys.executable, __file__, "--measure", "--operators", str(count)]
            done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=True)
            measured.append(json.loads(done.stdout))
    return [{name: median(each[name] for each in measured) for name in measured[0]} for measured in found]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="another checkout")
    parser.add_argument("--operators", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--measure", action="store_true", help="this process only, as JSON")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.operators)))
        return 0
    here = Path(__file__).resolve().parent.parent
    trees = [here] if given.beside is None else [here, given.beside.resolve()]
    own, *others = beside(trees, given.operators, given.runs)
    late = 0
    for name, seconds in own.items():
        limit = LIMITS.get(name, LIMIT)
        late += seconds > limit
        ratios = "".join(f"{1000 * other[name]:>10.1f} ms beside, {seconds / other[name]:.2f} ×" for other in others)
        print(f"{name:<30}{1000 * seconds:>10.1f} ms of {1000 * limit:,.0f}{ratios}")
    share = share_of_a_bounded_query(INPUTS)
    print(
        f"{f'a bounded query, {INPUTS} inputs':<30}{share:>9.1%} of its time is planning, at most {LARGEST_SHARE:.0%}"
    )
    return int(late > 0 or share > LARGEST_SHARE)


if __name__ == "__main__":
    sys.exit(main())

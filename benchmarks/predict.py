"""What PREDICT costs: class bars beside a photo that is edited, sweeps, and sets.

    python -m benchmarks.predict [TIMES]

In: how often each is measured. Out: medians, in milliseconds, of a prediction of one edited photo by two
EfficientNet-Lite0 networks, beside that of their bare passes; how many predictions a second follow a slider, each
submitted when the one before it has answered; a sweep of eleven steps; and 10,000 rows of a table by one small network.
It fails if a figure is above what it may be.
"""

from __future__ import annotations

import copy
import statistics
import sys
import time
from collections.abc import Callable

from ialgebra.system import runtime

runtime.tune_process()

import torch  # noqa: E402

import ialgebra  # noqa: E402
from ialgebra.apps import zoo  # noqa: E402

TIMES = 15
MOST = {"two models": 120.0, "slider": 125.0}
BARS = "output => 'probability'"


def session() -> tuple[ialgebra.Session, tuple[torch.nn.Module, torch.nn.Module]]:
    """Two networks of different weights and a photo, warmed up; a table of 10,000 rows and a small network."""
    con = ialgebra.connect(progress=False)
    nets = zoo.network(), copy.deepcopy(zoo.network())
    with torch.no_grad():
        next(nets[1].parameters()).mul_(0.99)
    for name, net in zip("fg", nets, strict=True):
        con.register_model(name, net, classes=zoo.class_names())
    con.register_input("x", zoo.photo("dalmatian"))
    small = torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3)).eval()
    con.register_model("small", small)
    con.register_input("rows", torch.randn(10_000, 20), kind="table")
    con.sql(f"predict f({BARS}), g({BARS}) from brightness(x, 0.5); predict small from rows limit 1")
    return con, nets


def milliseconds(times: int, asked: Callable[[int], object]) -> float:
    """The median time of so many calls."""
    found = []
    for number in range(times):
        started = time.perf_counter()
        asked(number)
        found.append(1e3 * (time.perf_counter() - started))
    return statistics.median(found)


def main(arguments: list[str]) -> int:
    times = int(arguments[0]) if arguments else TIMES
    con, nets = session()
    photo = zoo.photo("dalmatian")[None]

    def bare(number: int) -> None:
        with torch.inference_mode():
            for net in nets:
                net(photo + 0.001 * number)

    figures = {
        "two models, bare": milliseconds(times, bare),
        "two models": milliseconds(
            times, lambda k: con.sql(f"predict f({BARS}), g({BARS}) from brightness(x, {0.001 * (k + 1)})")
        ),
        "two models, known": milliseconds(
            times, lambda k: con.sql(f"predict f({BARS}), g({BARS}) from brightness(x, {0.001 * (k + 1)})")
        ),
        "slider": milliseconds(times, lambda k: con.submit(f"predict f({BARS}) from contrast(x, {0.01 * k})").result()),
        "sweep of 11 steps": milliseconds(
            3, lambda k: con.sql(f"predict f({BARS}) from rotate(x, steps({k + 0.5}, 30, 11))")
        ),
        "10,000 rows": milliseconds(3, lambda k: con.sql(f"predict small from clip(rows, -{k + 1}, 1)")),
        "10,000 rows, known": milliseconds(3, lambda k: con.sql(f"predict small from clip(rows, -{k + 1}, 1)")),
    }
    slow = [name for name, most in MOST.items() if figures[name] > most]
    for name, median in figures.items():
        most = f"   at most {MOST[name]:.0f}" if name in MOST else ""
        print(f"{name:<20} {median:>8.1f} ms{most}{'   TOO SLOW' if name in slow else ''}")
    print(f"{1e3 / figures['slider']:.1f} predictions a second follow a slider")
    return len(slow)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

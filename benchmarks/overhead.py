"""How much of a query's time is bare forward passes? EfficientNet-Lite0, 16 players, 512 rows, the same batches.

    python -m benchmarks.overhead

Bare passes push the same hybrids through the module in batches of the same size, same memory format, under
`inference_mode`; the two are timed side by side, and the median ratio of the pairs is what counts.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import torch

import ialgebra
from ialgebra import zoo
from ialgebra.kernels.coalitions import design
from ialgebra.kernels.compose import compose

ROWS, PLAYERS, PAIRS = 512, 16, 5


def planning() -> float:
    """Milliseconds to parse and plan a query of 12 operators over 224×224 photos (median of 21)."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", zoo.network())
    for name in ("x", "y", "z"):
        con.register_input(name, torch.randn(3, 224, 224))
    con.register_window("w", "row < 112 and col between 20 and 180")
    text = (
        "select * from (select * from f(x) where row > 4 and not circle(100, 100, 20)) "
        "join (select * from f(y) where w) on weight = 0.5 "
        "join (select * from f(z) where col < 100 or w) on weight = 0.25 "
        "join (select * from f(x) where value > 0) on weight = 0.75 where row < 200 and channel < 2"
    )
    con.explain(text)
    times = []
    for _ in range(21):
        started = time.perf_counter()
        con.explain(text)
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def efficiency() -> list[float]:
    """Bare forward seconds ÷ query seconds, for each pair."""
    module = zoo.network()
    x = zoo.photo("coffee")
    segments = torch.from_numpy(np.arange(16).reshape(4, 4).repeat(56, 0).repeat(56, 1)[None])
    ratios = []
    for pair in range(PAIRS + 1):
        con = ialgebra.connect(progress=False)
        con.register_model("f", module)
        con.register_input("x", x)
        started = time.perf_counter()
        rel = con.sql(f"select * from f(x) budget {ROWS}", seed=pair)
        query = time.perf_counter() - started
        size = int(con.sql(f"explain select * from f(x) budget {ROWS}").details["batches"][0]["batch_size"])
        masks = torch.from_numpy(design("regression", PLAYERS, ROWS, pair).coalitions)
        batches = [compose(x, torch.zeros_like(x), segments, part) for part in masks.split(size)]
        started = time.perf_counter()
        with torch.inference_mode():
            for batch in batches:
                module(batch)
        bare = time.perf_counter() - started
        if pair:  # the first pair warms up
            ratios.append(bare / query)
            print(f"query {query:.2f} s ({rel.stats.rows} rows), bare {bare:.2f} s: {bare / query:.3f}", flush=True)
    return ratios


def main() -> int:
    ialgebra.tune_process()
    print(f"parse + plan of a 12-operator query: {planning():.1f} ms")
    ratios = efficiency()
    print(f"efficiency: median {statistics.median(ratios):.3f} of {len(ratios)} pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())

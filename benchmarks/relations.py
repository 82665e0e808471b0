"""What a relation of many maps costs: making it of estimates, reading it, showing it, saving it, and its memory.

    python -m benchmarks.relations            10,000 maps, and the memory of 100,000; about a minute
    python -m benchmarks.relations 1000       so many maps, and the memory of ten times as many

In: the number of maps. Out: a line an operation, in seconds of wall time, for rows of a table of 8 features, images
(1, 28, 28) with 16 players and texts of 24 words; microseconds a map from estimates to a relation, where all are exact
and where all are sampled; and the memory of maps of 49 players over one photo (3, 224, 224) beyond the photo. Estimates
are made by hand: no model is run, no query is planned. Knows the room `results` and what it is given.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

import ialgebra
from ialgebra.algebra.baselines import Constant
from ialgebra.algebra.kinds import KINDS
from ialgebra.algebra.operators import Estimation, Identity
from ialgebra.algebra.sources import Source
from ialgebra.catalog.catalog import Catalog
from ialgebra.estimation.bound import Draw
from ialgebra.estimation.maps import EstimatedMap
from ialgebra.execution.tables import Outcome
from ialgebra.kernels.coalitions import Design
from ialgebra.planner.games import Answer, Board, Game, Hybrids, Leaf
from ialgebra.planner.physical import PlanOutput
from ialgebra.results.assemble import FoundMap, columns
from ialgebra.results.relation import Relation, Stats
from ialgebra.results.views import AttributionViews
from ialgebra.system.arrays import Ints

STATS = Stats(rows=0, seconds=0.0, bound_met=True, batches=0, forward_seconds=0.0, reused_rows=0)
WORDS = [f"word{k}" for k in range(5000)]
TIMES = 3  # the fastest of so many is shown
_T = TypeVar("_T")


def session(value: object, kind: str) -> Catalog:
    """The catalog of a session with a model f and a collection xs."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", nn.Linear(2, 3), classes=["cat", "dog", "bird"])
    con.register_input("xs", value, kind=kind, feature_names=WORDS if kind == "tokens" else None)
    return con._catalog


def found_maps(catalog: Catalog, count: int, labels: Ints, units: int) -> list[FoundMap]:
    """A map of each of the first `count` inputs, with values by chance; sampled with so many `units`, exact for 0."""
    rng, players = np.random.default_rng(0), int(labels.max()) + 1
    kind = KINDS[catalog.input("xs").kind]
    inputs = len(catalog.input("xs").elements)
    x = torch.zeros(1)
    hybrids = Hybrids((x, x), labels, players, "", "", "")
    maps = []
    for k in range(count):
        source = Source("xs", k % inputs)
        leaf = Leaf("f", source, Constant(0.0), kind.default_partition, k % 3, "logit", Estimation(), 1)
        board = Board(labels, np.arange(players), hybrids, swapped=False, count=players)
        answer = Answer((), (leaf,), board, "zeros", "", None)
        node = Identity("f", (source,), (Constant(0.0),), kind.default_partition, target=0, depth=1)
        draws: tuple[Draw, ...] = ()
        if units:
            game = Game("f", None, hybrids, k % 3, "logit", Estimation())
            coalitions = rng.random((2 + 2 * units, players)) < 0.5
            design = Design("pairs", players, 0, coalitions, ("pairs", players, len(coalitions), 0))
            draws = (Draw(game, design, rng.normal(size=(units, players)) / 100),)
        base, full = rng.normal(size=2).tolist()
        estimate = EstimatedMap(labels, rng.normal(size=players), draws, base, full, "pairs" if units else "exact")
        maps.append(FoundMap(PlanOutput(None, 0, node, node, (answer,), ((),)), answer, estimate, {}))
    return maps


def relation(maps: Sequence[FoundMap], catalog: Catalog) -> Relation:
    """The answer that holds these maps."""
    views = AttributionViews(columns(maps, Outcome([], [], {}, {}, {}), catalog))
    return Relation(attributions=views, stats=STATS, plan="", details={}, text=None, query="", provenance={})


def timed(what: str, do: Callable[[], _T], times: int = TIMES) -> _T:
    """What `do` returns, and a line with its seconds."""
    fastest = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        found = do()
        fastest = min(fastest, time.perf_counter() - started)
    print(f"  {what:<36}{fastest:8.3f} s", flush=True)
    return found


def operations(name: str, value: object, kind: str, labels: Ints, count: int) -> None:
    """The time of everything that is done with a relation of one kind of input."""
    print(f"{count:,} {name}, {int(labels.max()) + 1} players")
    catalog = session(value, kind)
    answer = relation(found_maps(catalog, count, labels, 0), catalog)
    timed("to_pandas()", answer.to_pandas)
    timed("print", lambda: repr(answer))
    timed("plot()", answer.plot)
    timed("in a notebook", answer._repr_html_)
    timed("plot('bar')", lambda: answer.plot("bar"))
    timed("plot('beeswarm')", lambda: answer.plot("beeswarm"))
    timed("importance()", answer.importance)
    timed("mean(by='target')", lambda: answer.mean(by="target"))
    timed("mean(by='input')", lambda: answer.mean(by="input"))
    timed("a loop over .values", lambda: [a.values for a in answer])
    with tempfile.TemporaryDirectory() as folder:
        path = timed("save", lambda: answer.save(Path(folder) / "answer"))
        timed("load", lambda: ialgebra.load(path))


def assembly(count: int) -> None:
    """Microseconds a map from estimates to a relation."""
    labels = np.arange(8)
    catalog = session(torch.randn(count, 8), "table")
    for name, units in (("exact", 0), ("sampled, 64 units", 64)):
        maps = found_maps(catalog, count, labels, units)
        fastest = float("inf")
        for _ in range(TIMES):
            started = time.process_time()
            relation(maps, catalog)
            fastest = min(fastest, time.process_time() - started)
        print(f"from estimates to a relation, {name:<18}{fastest / count * 1e6:8.1f} µs a map", flush=True)


def memory(count: int) -> None:
    """The bytes of a relation beyond the photos that its maps are over."""
    labels = np.broadcast_to(np.arange(224)[:, None] // 32 * 7 + np.arange(224)[None, :] // 32, (3, 224, 224))
    catalog = session(torch.randn(1, 3, 224, 224), "image")
    photos = catalog.input("xs")
    catalog.inputs["xs"] = replace(photos, elements=tuple(photos.elements) * count)  # one photo under many names
    maps = found_maps(catalog, count, labels, 0)
    tracemalloc.start()
    answer = relation(maps, catalog)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"memory of {len(answer):,} maps of 49 players over a photo{held / 1e6:8.1f} MB (process at most {peak:,.0f})"
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rng = np.random.default_rng(0)
    quarter = np.arange(28) // 7
    images = np.broadcast_to(quarter[:, None] * 4 + quarter, (1, 28, 28))
    texts = torch.from_numpy(rng.integers(0, len(WORDS), (count, 24)))
    assembly(count)
    operations("rows of a table", torch.randn(count, 8), "table", np.arange(8), count)
    operations("images", torch.randn(count, 1, 28, 28), "image", images, count)
    memory(10 * count)
    operations("texts of 24 words", texts, "tokens", np.arange(24), count)


if __name__ == "__main__":
    main()

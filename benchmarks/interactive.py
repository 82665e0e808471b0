"""What somebody waits for who explores: EfficientNet-Lite0, one photo, 16 tiles.

    python -m benchmarks.interactive [TIMES]

In: how often each is measured. Out: medians, in milliseconds, of the time from a cancel to its end; from a question to
its first, coarse map, and to a map of all players from 8 rows a player; between two maps on the way; to a map of
another layer over known rows; and how many of the rows evaluated before a cancel the next question reuses. Then 200
random interleavings of asking, cancelling and priorities, whose answers are compared with those of the same questions
asked alone. It fails if a figure is above what it may be.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Generator
from concurrent.futures import wait
from contextlib import closing

from ialgebra.system import runtime

runtime.tune_process()

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import ialgebra  # noqa: E402
from ialgebra.apps import zoo  # noqa: E402

TIMES = 5
MOST = {"cancel": 150.0, "coarse": 400.0, "full": 2200.0, "between two maps": 250.0, "layer": 120.0}
LAYERS = (4, 9, 14)
QUERY = "select * from f(x, target => {target}) where row >= {row}"


def session(batch_size: int | None = None) -> ialgebra.Session:
    """The network and photos, warmed up; heads for three layers."""
    con = ialgebra.connect(progress=False)
    con.register_model("f", zoo.network(), classes=zoo.class_names())
    for name in ("dalmatian", "jeep"):
        con.register_input("x" if name == "dalmatian" else "y", zoo.photo(name))
    con.fit_heads("f", torch.stack([zoo.photo(name) for name in list(zoo.PHOTOS)[:12]]), layers=list(LAYERS))
    con.sql("select * from f(y) budget 66")
    con.sql("set tempo = interactive" + (f"; set batch_size = {batch_size}" if batch_size else ""))
    con.sql("select * from f(y, target => 1) budget 34")
    return con


def maps(con: ialgebra.Session, text: str) -> Generator[tuple[float, ialgebra.Relation], None, None]:
    """The answers to a question, each with the milliseconds after which it came; the question is then cancelled."""
    started = time.perf_counter()
    submitted = con.submit(text)
    try:
        for answer in submitted.updates():
            yield 1e3 * (time.perf_counter() - started), answer
    finally:  # also where nobody asks for more
        submitted.cancel()
        wait([submitted])


def explored(con: ialgebra.Session, figures: dict[str, list[float]], row: int) -> None:
    """One question, until its maps have 8 rows a player; then it is cancelled, and asked again."""
    text = QUERY.format(target=7, row=row)
    before, started = 0.0, time.perf_counter()
    submitted = con.submit(text)
    rows = coarse = 0
    for answer in submitted.updates():
        now = 1e3 * (time.perf_counter() - started)
        stage = answer.provenance["stage"]
        if stage == "coarse":
            figures["coarse"].append(now)
            coarse = answer.stats.rows
        elif before:
            figures["between two maps"].append(now - before)
        before, rows = now, answer.stats.rows
        if stage != "coarse" and rows + answer.stats.reused_rows >= 8 * len(answer[0].values):
            figures["full"].append(now)
            break
    started = time.perf_counter()
    submitted.cancel()
    wait([submitted])
    figures["cancel"].append(1e3 * (time.perf_counter() - started))
    with closing(maps(con, text)) as again:
        reused = next(answer for _, answer in again if answer.stats.rows).stats
    # Those of the coarse map are asked for again by a coarse map only, which is not drawn where finer rows are known.
    figures["reused, %"].append(100 * min(1.0, reused.reused_rows / (rows - coarse)))
    for layer in LAYERS:
        with closing(maps(con, text.replace("*", str(layer), 1))) as scrubbed:
            now, answer = next(scrubbed)
        if not answer.stats.rows:
            figures["layer"].append(now)


class Whole(nn.Module):
    """A network of whole numbers, whose rows have the same bits in every batch."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.first = nn.Parameter(torch.randint(-9, 9, (10, 5), generator=generator).double())
        self.last = nn.Parameter(torch.randint(-9, 9, (5, 3), generator=generator).double())

    def forward(self, batch: Tensor) -> Tensor:
        return torch.relu(batch @ self.first) @ self.last


TEXTS = (
    "select * from f(x, target => 0) budget 90",
    "select * from f(y) budget 60",
    "select * from f(x) error within 5%",
    "select * from f(x, target => 1) using exact()",
    "select * from f(x) anti join f(y) budget 120",
    "select * from g(x) budget 70",
    "select * from g(y, target => 2) where feature < 7",
)


def whole(batch_size: int = 8) -> ialgebra.Session:
    """Two networks of whole numbers, and two inputs."""
    con = ialgebra.connect(progress=False)
    generator = torch.Generator().manual_seed(3)
    for name in ("x", "y"):
        con.register_input(name, torch.randint(1, 9, (10,), generator=generator).double())
    for number, name in enumerate("fg"):
        con.register_model(name, Whole(number), batch_size=batch_size)
    return con


def bits(answer: ialgebra.Relation) -> list[tuple[bytes, bytes]]:
    """The values and errors of all maps."""
    return [(each.values.tobytes(), each.stderr.tobytes()) for each in answer]


def interleaved(times: int) -> int:
    """How many of so many random interleavings changed a bit."""
    alone = {text: bits(whole().sql(text)) for text in TEXTS}
    wrong = 0
    for seed in range(times):
        rng, submitted = random.Random(seed), []
        con = whole(rng.choice([3, 8, 17]))
        for _ in range(10):
            text = rng.choice(TEXTS)
            submitted.append((text, con.submit(text, rng.choice([-1, 0, 0, 1]), interactive=rng.random() < 0.5)))
            if rng.random() < 0.4:
                rng.choice(submitted)[1].cancel()
            time.sleep(rng.choice([0.0, 0.0, 0.005]))
        wait([each for _, each in submitted])
        wrong += any(not each.cancelled() and bits(each.result()) != alone[text] for text, each in submitted)
    return wrong


def main(arguments: list[str]) -> int:
    times = int(arguments[0]) if arguments else TIMES
    names = ("coarse", "full", "between two maps", "cancel", "layer", "reused, %")
    figures: dict[str, list[float]] = {name: [] for name in names}
    con = session()
    for number in range(times):
        explored(con, figures, 8 * (number + 1))
    failed = 0
    for name, found in figures.items():
        median = statistics.median(found)
        most = MOST.get(name)
        late = most is not None and median > most
        late = late or (name == "reused, %" and median < 95)
        failed += late
        print(f"{name:>18}: {median:8.1f}   {min(found):8.1f} … {max(found):8.1f}{'   too much' if late else ''}")
    wrong = interleaved(200)
    print(f"{wrong} of 200 interleavings changed a bit")
    return int(failed > 0 or wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What does a ranking save? ORDER BY … LIMIT 10 over 500 images of clothes, beside all 500 maps to the same bound.

    python -m benchmarks.ranking [images] [seeds] [bound in %]

In: Fashion-MNIST and the residual net of `benchmarks.games`. Out: for each seed and scalar the rows of both, whether
they name the same ten, and how many maps were given up; as JSON in bench-out/ranking.json and as a Markdown table. A
session answers one query, so that none finds rows of another; `all` is one query a seed, whose maps every scalar is
read from.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

import ialgebra

from .games import Fashion, Residual, fashion_folder

OUT = Path("bench-out")
LIMIT = 10
SCALARS = (  # what a reader would ask: who looks beside the middle, who is undecided where to look, who is odd
    "mass(box(7, 7, 21, 21))",
    "entropy() desc",
    "distance((select * from f(others) join f(others))) desc",
)


class Compared(NamedTuple):
    """One ranking of one seed: rows with and without a limit, the two sets, maps given up, and seconds."""

    scalar: str
    seed: int
    rows: int
    rows_of_all: int
    same: int
    given_up: int
    seconds: float
    seconds_of_all: float

    @property
    def share(self) -> float:
        return self.rows / self.rows_of_all


def session(net: nn.Module, images: Tensor, others: Tensor) -> ialgebra.Session:
    con = ialgebra.connect(progress=False)
    con.register_model("f", net)
    con.register_input("xs", images)
    con.register_input("others", others)
    return con


def compared(
    net: nn.Module, images: Tensor, others: Tensor, bound: float, seed: int, scalars: Sequence[str] = SCALARS
) -> list[Compared]:
    """The rankings of one seed."""
    end = f"error within {bound:g}%"
    everything = session(net, images, others).sql(f"select * from f(xs) order by {', '.join(scalars)} {end}", seed)
    found = []
    for scalar in scalars:
        term, descending = scalar.removesuffix(" desc"), scalar.endswith(" desc")
        name = next(each for each in everything[0].scores if each.replace(" ", "") == term.replace(" ", ""))
        order = sorted(everything, key=lambda a: a.scores[name][0] * (-1 if descending else 1))
        first = {a.input for a in order[:LIMIT]}
        top = session(net, images, others).sql(f"select * from f(xs) order by {scalar} limit {LIMIT} {end}", seed)
        assert top.stats.bound_met
        assert everything.stats.bound_met
        same = len(first & {a.input for a in top})
        figures = (top.stats.rows, everything.stats.rows, same, top.stats.given_up)
        found.append(Compared(scalar, seed, *figures, top.stats.seconds, everything.stats.seconds))
        print(f"seed {seed}, {scalar}: {found[-1].share:.0%} of the rows, {same} the same", file=sys.stderr, flush=True)
    return found


def markdown(found: Sequence[Compared], count: int, bound: float) -> str:
    head = f"| order by | seed | rows | rows of all {count} | share | the same | given up | seconds | of all |"
    lines = [f"# Rankings: limit {LIMIT}, error within {bound:g} %", "", head, "|---" * 9 + "|"]
    lines += [
        f"| {of.scalar} | {of.seed} | {of.rows:,} | {of.rows_of_all:,} | {of.share:.0%} | {of.same} of {LIMIT} "
        f"| {of.given_up} | {of.seconds:.0f} | {of.seconds_of_all:.0f} |"
        for of in found
    ]
    return "\n".join(lines)


def main() -> int:
    arguments = [float(each) for each in sys.argv[1:]]
    given: list[float] = [*arguments, *(500, 2, 5)[len(arguments) :]]
    count, seeds, bound = given
    if (folder := fashion_folder()) is None:
        print("Fashion-MNIST is not here: apt-get install dataset-fashion-mnist, or IALGEBRA_DATA", file=sys.stderr)
        return 0
    warnings.simplefilter("ignore", ialgebra.IalgebraWarning)  # the mean of others is of several classes
    data = Fashion(folder)
    net, images, others = data.network(Residual), data.test[: int(count)], data.train[:20]
    found = [each for seed in range(int(seeds)) for each in compared(net, images, others, bound, seed)]
    OUT.mkdir(exist_ok=True)
    (OUT / "ranking.json").write_text(json.dumps([each._asdict() for each in found], indent=1) + "\n")
    print(markdown(found, int(count), bound))
    return 0


if __name__ == "__main__":
    sys.exit(main())

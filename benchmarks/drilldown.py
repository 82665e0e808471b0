"""A drill-down of six steps, one session under BEST beside fresh sessions under AS_WRITTEN; then its exported script.

    python -m benchmarks.drilldown [--quick] [--rows 48]

The steps are those of an analyst: the whole, four layers, a window where the map is highest, a zoom into it, a layer of
that, a comparison with another input. Rows are counted by the statements' own statistics. The session's history is
exported and run in another process, and its maps are compared with the session's, bit for bit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ialgebra
from ialgebra import Relation

from .report import Data, goal, machine, parser, publish, said, table
from .workloads import World, digits, photos

GOAL = 1 / 4  # of the rows of fresh sessions under AS_WRITTEN

SETUP = """
from pathlib import Path

from benchmarks.workloads import digits, photos


def setup(con):
    world = {maker}
    con.register_model("f", world.network)
    con.register_model("f'", world.variant)
"""


def steps(world: World, rows: int) -> dict[str, str]:
    """The statements, by what they are for; `hot` is a window after the third."""
    early, middle, late = world.layers
    zoomed, end = "f(x, players => grid(3, 4))", f"budget {rows}"
    return {
        "the whole": f"select * from f(x) {end}",
        "four layers": f"select {early}, {middle}, {late}, * from f(x) {end}",
        "a hot window": f"create window hot as top(40 percent, select {late} from f(x) {end})",
        "zoomed": f"select {early}, {middle}, {late}, * from {zoomed} where hot {end}",
        "a layer": f"select {late} from {zoomed} where hot {end}",
        "compared": f"select {late}, * from f(x) left join (select * from f(y)) {end}",
    }


def together(con: ialgebra.Session, asked: Sequence[str]) -> list[Relation]:
    """The answers of one session."""
    return [con.sql(text) for text in asked]


def alone(world: World, asked: Sequence[str], mask: object) -> list[Relation]:
    """Each answer in a session of its own, operator at a time; a step that needs the window is given it."""
    found = []
    for text in asked:
        with world.session() as con:
            if "where hot" in text:
                con.register_window("hot", mask)
            found.append(con.sql(text, strategy="AS_WRITTEN"))
    return found


def repeated(con: ialgebra.Session, maker: str, folder: Path) -> list[Relation]:
    """The answers of the session's exported script, run in a process of its own, where `maker` makes the world."""
    (folder / "setup.py").write_text(SETUP.format(maker=maker))
    con.history.export(folder / "analysis.py")
    root = str(Path(__file__).parent.parent)
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "analysis.py", "setup.py", "--save", "answers"]
    subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": paths}, check=True, stdout=subprocess.DEVNULL)
    return [ialgebra.load(path) for path in sorted((folder / "answers").iterdir())]


def differing(one: Sequence[Relation], other: Sequence[Relation]) -> int:
    """How many maps differ by a bit, in values or errors."""
    assert [len(each) for each in one] == [len(each) for each in other]
    pairs = [pair for a, b in zip(one, other, strict=True) for pair in zip(a, b, strict=True)]
    return sum(a.map.tobytes() + a.stderr.tobytes() != b.map.tobytes() + b.stderr.tobytes() for a, b in pairs)


def collect(world: World, maker: str, rows: int) -> Data:
    began, named = machine(), steps(world, rows)
    with world.session() as con:
        ours = together(con, list(named.values()))
        (hot,) = con.sql("select * from f(x, players => pixels) where hot using permutations() budget 3")
        with tempfile.TemporaryDirectory() as folder:
            again = repeated(con, maker, Path(folder))[: len(ours)]
        written = alone(world, list(named.values()), hot.players >= 0)
    lines: list[dict[str, Any]] = [
        {
            "step": name,
            "statement": text,
            "maps": len(a),
            "rows": a.stats.rows,
            "reused": a.stats.reused_rows,
            "written": b.stats.rows,
        }
        for (name, text), a, b in zip(named.items(), ours, written, strict=True)
    ]
    return {
        "machine": began,
        "world": world.name,
        "rows": rows,
        "steps": lines,
        "ratio": sum(each["rows"] for each in lines) / sum(each["written"] for each in lines),
        "maps": sum(map(len, ours)),
        "differing": differing(ours, again),
    }


def markdown(data: Data) -> str:
    """The steps and their rows."""
    lines = [
        [
            f"{each['step']}: `{each['statement']}`",
            str(each["maps"]),
            f"{each['written']:,}",
            f"{each['rows']:,}",
            f"{each['reused']:,}",
        ]
        for each in data["steps"]
    ]
    sums = [f"**{sum(each[key] for each in data['steps']):,}**" for key in ("maps", "written", "rows", "reused")]
    return f"""{data["world"]}, {data["rows"]} rows a game; AS_WRITTEN asks each step in a fresh session.

{table(["step", "maps", "rows as written", "rows, BEST", "reused"], [*lines, ["all", *sums]])}

Rows of BEST as a share of AS_WRITTEN's: {goal(data["ratio"], GOAL)}. Of the maps of the exported history, run in
another process, {data["differing"]} of {data["maps"]} differ by a bit.
"""


def report(data: Data) -> str:
    return f"# A drill-down\n\n{markdown(data)}\n{said(data['machine'])}\n"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--rows", type=int, default=48, help="budget of each game; 9 players have 512 coalitions")
    given = arguments.parse_args(argv)
    ialgebra.tune_process()
    warnings.simplefilter("ignore", ialgebra.errors.IalgebraWarning)  # an anti-join of equal classes is no mistake here
    world = digits(given.out, steps=20) if given.quick else photos(given.out)
    folder = f"Path({str(given.out.resolve())!r})"
    data = collect(world, f"digits({folder}, steps=20)" if given.quick else f"photos({folder})", given.rows)
    publish("drilldown", data, report(data), None, given.out)
    return 0 if data["ratio"] <= GOAL and not data["differing"] else 1


if __name__ == "__main__":
    sys.exit(main())

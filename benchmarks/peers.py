"""How far from exact are Shapley values of as many model rows, ours and those of captum, shap and shapiq?

    python -m benchmarks.peers        (`make peers` installs the three libraries, `make newest` shapiq's latest beside)

1. Games on real data, four budgets, ten seeds: the relative L2 error of every explainer that these libraries offer for
   one game, each in its best setting, against the goals that the benchmark states.
2. One statement that asks for eight maps, against the same eight maps asked of an explainer one at a time.

In: the games of `benchmarks.games`, the explainers of `benchmarks.explainers`. Out: `bench-out/peers.json`, `peers.md`
and `peers.png`, the Markdown printed too; nothing in them depends on the clock. Rows are counted where the model is
called, ours and theirs alike. What a peer answered is kept in `bench-out/peers-*.json`: it does not change when we do.
Knows ialgebra's public names only.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

import ialgebra
from benchmarks.explainers import PEERS, Peer, Refused, newest_peers
from benchmarks.games import OUT, SOURCES, Counted, Digits, Floats, Game, Table, hybrids

SEEDS = 10
BUDGETS = (8, 16, 32, 64)  # rows a player
GOALS = {"logit": 0.65, "probability": 1.0}  # our error ÷ that of the best peer, chosen with hindsight
STATEMENT = "select 1, 2, 3, * from f(x) left join (select 1, 2, 3, * from f(x'))"
OURS = "ialgebra"


def ours(game: Game, budget: int, seed: int) -> tuple[Floats, int]:
    """A new session and its first query; the row on which it first meets the model is counted too."""
    counted = Counted(game)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", counted.torch)
        con.register_input("x", torch.ones(game.players))
        (answer,) = con.sql(f"select * from f(x) budget {budget}", seed=seed)
    return answer.values, counted.rows


# --- 1. Error at equal rows


@dataclass(frozen=True)
class Result:
    """What one explainer did for one game and budget: its mean rows, and its error for every seed.

    `doubt` is the reference's own relative error, which is independent of the explainer's and so part of `errors`.
    """

    game: str
    players: int
    budget: int
    doubt: float
    library: str
    explainer: str
    rows: float
    errors: tuple[float, ...]

    @classmethod
    def loaded(cls, data: dict[str, Any]) -> Result:
        """From what `save` wrote, which has the error beside the errors."""
        return cls(**{each.name: data[each.name] for each in fields(cls)})

    @property
    def error(self) -> float:
        """The mean over seeds, net of the reference's own error in squares."""
        return float(np.mean(np.sqrt(np.maximum(np.square(self.errors) - self.doubt**2, 0))))

    @property
    def kind(self) -> str:
        return self.game.rpartition(", ")[2]


class Memory:
    """What peers answered for one game before: `title, rows, seed` → error and rows; None for a refusal."""

    def __init__(self, game: Game) -> None:
        digest = sha256(game.name.encode() + game.shapley.round(6).tobytes()).hexdigest()[:12]
        self.path = OUT / f"peers-{digest}.json"
        self.known = json.loads(self.path.read_text()) if self.path.exists() else {}

    def ask(self, peer: Peer, game: Game, rows: int, seed: int) -> tuple[float, int] | None:
        key = f"{peer.title}, {version(peer.library) if peer.library in ('captum', 'shap') else ''}, {rows}, {seed}"
        if key not in self.known:
            try:
                values, count = peer.run(game, rows, seed)
                self.known[key] = error_of(values, game.shapley), count
            except Refused:
                self.known[key] = None
        found: tuple[float, int] | None = self.known[key]
        return found

    def save(self) -> None:
        self.path.write_text(json.dumps(self.known) + "\n")


def compared(game: Game, budgets: Iterable[int], peers: Sequence[Peer]) -> Iterator[Result]:
    """Ours, then every peer with at least as many rows less one, for each budget."""

    def result(library: str, explainer: str, budget: int, runs: Sequence[tuple[float, int]]) -> Result:
        errors, rows = zip(*runs, strict=True)
        mean = float(np.mean(rows))
        return Result(game.name, game.players, budget, game.doubt, library, explainer, mean, errors)

    memory = Memory(game)
    for budget in budgets:
        own = [(error_of(values, game.shapley), rows) for values, rows in (ours(game, budget, s) for s in range(SEEDS))]
        yield result(OURS, "default", budget, own)
        for peer in peers:
            if game.players <= peer.most:
                runs = [memory.ask(peer, game, rows - 1, seed) for seed, (_, rows) in enumerate(own)]
                said = [run for run in runs if run is not None]
                if len(said) == SEEDS:
                    yield result(peer.library, peer.name, budget, said)
        memory.save()


def error_of(values: Floats, exact: Floats) -> float:
    return float(np.linalg.norm(values - exact) / np.linalg.norm(exact))


def compared_source(name: str) -> list[Result]:
    """All games of one source; runs in a process of its own."""
    torch.set_num_threads(1)  # enough for networks this small, and no figure depends on the number of cores
    warnings.simplefilter("ignore")
    results: list[Result] = []
    with threadpool_limits(1), torch.no_grad():
        peers = (*PEERS, *newest_peers())
        for game in SOURCES[name]():
            results += compared(game, [share * game.players for share in BUDGETS], peers)
            print(f"{game.name}: done", file=sys.stderr, flush=True)
    return results


# --- 2. Eight maps from one plan


@dataclass(frozen=True)
class Cost:
    """What the eight maps of the statement cost an explainer (mean over seeds), and their mean error."""

    library: str
    explainer: str
    rows: float
    error: float


def layer_games(digits: Digits, heads: dict[str, Tensor], x: Tensor, other: Tensor) -> Iterator[Table]:
    """The games of x against `other`: layers 1 to 3 with their heads (Eq. 4), then the model itself."""
    target = int(digits.module(x[None]).argmax())
    inside = hybrids(x, other, digits.tiles)
    *blocks, last = digits.module
    for layer, block in enumerate(blocks):
        inside = block(inside)
        logits = inside.mean((2, 3)) @ heads[f"{layer}.weight"].T + heads[f"{layer}.bias"]
        yield Table(f"layer {layer + 1}", logits.double()[:, target].numpy())
    yield Table("model", last(inside).double()[:, target].numpy())


def costs(digits: Digits, budget: int) -> Iterator[Cost]:
    """Ours as one plan and operator at a time, then every peer, one map after the other."""
    pushed = 0

    def count(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        nonlocal pushed
        pushed += len(args[0])

    x, other = digits.pair()
    with ialgebra.connect(progress=False) as con, tempfile.TemporaryDirectory() as folder:
        con.register_model("f", digits.module)
        con.register_input("x", x, players="tile(2)")
        con.register_input("x'", other, players="tile(2)")
        con.fit_heads("f", digits.train)
        heads = load_file(con.save_heads("f", Path(folder) / "heads.safetensors"))
        sides = [list(layer_games(digits, heads, *side)) for side in ((x, other), (other, x))]
        maps = [game for layer in zip(*sides, strict=True) for game in layer]  # in the order of the statement's answer
        exact = [game.shapley for game in maps]
        handle = digits.module.register_forward_pre_hook(count)
        for title, strategy in (("one plan", ialgebra.Strategy.FUSED), ("as written", ialgebra.Strategy.AS_WRITTEN)):
            pushed, errors = 0, []
            for seed in range(SEEDS):
                answers = con.sql(f"{STATEMENT} budget {budget}", seed=seed, strategy=strategy)
                errors += [error_of(each.values, true) for each, true in zip(answers, exact, strict=True)]
            yield Cost(OURS, title, pushed / SEEDS, float(np.mean(errors)))
        handle.remove()
    for peer in (*PEERS, *newest_peers()):
        runs = [[peer.run(game, budget, seed) for game in maps] for seed in range(SEEDS)]
        rows = np.mean([sum(count for _, count in run) for run in runs])
        found = [error_of(values, true) for run in runs for (values, _), true in zip(run, exact, strict=True)]
        yield Cost(peer.library, peer.name, float(rows), float(np.mean(found)))


# --- Report


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def figure(value: float) -> str:
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def duels(results: Sequence[Result]) -> Iterator[tuple[Result, Result]]:
    """Our result and that of the best peer, for every game and budget."""
    for group in grouped(results):
        yield group[0], min(group[1:], key=lambda each: each.error)


def brief(results: Sequence[Result]) -> str:
    """A line a game, as docs/benchmarks.md has it: our error, its share of the best peer's, from few rows to many."""
    rows = []
    for (game, players), group in itertools.groupby(duels(results), key=lambda each: (each[0].game, each[0].players)):
        pairs = list(group)
        shares = [own.error / best.error for own, best in pairs]
        goal = GOALS[pairs[0][0].kind]
        said = " · ".join(f"{share:.2f}" if share <= goal else f"**{share:.2f}**" for share in shares)
        errors = " · ".join(figure(own.error) for own, _ in pairs)
        rows.append([game, str(players), errors, said, f"{goal:.2f}"])
    head = " · ".join(f"{share} d" for share in BUDGETS)
    return table(["game", "players d", f"our error at {head} rows", "as a share of the best peer's", "goal"], rows)


def summary(results: Sequence[Result]) -> str:
    """Ours against the best of the peers for every game and budget; where the goal is missed stands in bold."""
    rows = []
    for own, best in duels(results):
        ratio, goal = own.error / best.error, GOALS[own.kind]
        said = f"{ratio:.2f}" if ratio <= goal else f"**{ratio:.2f}**"
        row = [own.game, own.players, own.budget, figure(own.error), figure(best.error), said, f"{goal:.2f}"]
        rows.append([*map(str, row), f"{best.library} {best.explainer}"])
    return table(["game", "players", "rows", "ours", "best peer", "ours ÷ best", "goal", "which"], rows)


def tally(results: Sequence[Result]) -> str:
    """How often the goals are met."""
    lines = ["Our error as a share of the best peer's, chosen with hindsight for every game and number of rows:", ""]
    for kind, goal in GOALS.items():
        ratios = [own.error / best.error for own, best in duels(results) if own.kind == kind]
        met, ahead, middle = sum(r <= goal for r in ratios), sum(r <= 1 for r in ratios), np.median(ratios)
        lines.append(
            f"- {kind}: median {middle:.2f} (goal {goal:.2f}); at most {goal:.2f} in {met} of {len(ratios)}, "
            f"not above the best peer in {ahead}."
        )
    return "\n".join(lines)


def losses(results: Sequence[Result]) -> str:
    """Where a peer's mean error is below ours."""
    lost = [
        f"- {own.game}, {own.budget} rows: {best.library} {best.explainer}, {best.error / own.error:.2f} of our error"
        for own, best in duels(results)
        if best.error < own.error
    ]
    return "\n".join(["Where we lose:", "", *lost]) if lost else "Where we lose: in none of these cells."


def grouped(results: Sequence[Result]) -> Iterator[list[Result]]:
    for _, group in itertools.groupby(results, key=lambda each: (each.game, each.players, each.budget)):
        yield list(group)


def details(results: Sequence[Result]) -> Iterator[str]:
    """A table for each game: mean relative error and, in brackets, the mean rows that were evaluated."""
    for game, group in itertools.groupby(results, key=lambda each: (each.game, each.players)):
        own = list(group)
        budgets = sorted({each.budget for each in own})
        least = {budget: min(each.error for each in own if each.budget == budget) for budget in budgets}
        lines: dict[str, dict[int, str]] = {}
        for each in own:
            bold = "**" if each.error == least[each.budget] else ""
            cell = f"{bold}{figure(each.error)}{bold} ({each.rows:.4g})"
            lines.setdefault(f"{each.library}: {each.explainer}", {})[each.budget] = cell
        doubt = f"; the reference is known to {own[0].doubt:.2%}, subtracted in squares" if own[0].doubt else ""
        yield f"### {game[0]}, {game[1]} players{doubt}"
        body = [[name, *(cells.get(budget, "—") for budget in budgets)] for name, cells in lines.items()]
        yield table(["explainer", *(f"{budget} rows" for budget in budgets)], body)


def eight(plan: Sequence[Cost]) -> str:
    fused = plan[0].rows
    rows = [
        [f"{each.library}: {each.explainer}", f"{each.rows:,.0f}", f"{each.rows / fused:.2f}", figure(each.error)]
        for each in plan
    ]
    return table(["explainer", "rows", "× ours", "mean error of the maps"], rows)


def markdown(data: dict[str, Any]) -> str:
    """The tables of `bench-out/peers.json` that docs/benchmarks.md shows."""
    results = [Result.loaded(each) for each in data["equal_rows"]]
    one = data["one_plan"]
    plan = [Cost(**each) for each in one["costs"]]
    return f"""{data["libraries"]}; {len(list(duels(results)))} games × numbers of rows, {SEEDS} seeds.

{tally(results)}

{brief(results)}

Eight maps, `{one["statement"]}`, on a small CNN with 16 players, {one["budget"]} rows a map:

{eight(plan)}"""


def libraries(results: Sequence[Result]) -> str:
    names = sorted({each.library for each in results} - {OURS})
    return ", ".join(f"{name} {version(name)}" if name in ("captum", "shap") else name for name in names)


def report(results: Sequence[Result], plan: Sequence[Cost], budget: int) -> str:
    tables = "\n\n".join(details(results))
    return f"""# Against {libraries(results)}

## Error at equal rows

Relative L2 error of the Shapley values, mean of {SEEDS} seeds. Rows are counted where the model is called. Ours
include the one on which a session first meets a model; every peer gets the smallest size at which it evaluates at least
as many, less that one.

{tally(results)}

{losses(results)}

{summary(results)}

## Eight maps from one plan

`{STATEMENT}`

A CNN on digits, 16 players, {budget} rows a map: one map at a time costs 8 × {budget} = {8 * budget:,} rows; one plan
shares {budget} rows among all eight. Counted, mean of {SEEDS} seeds:

{eight(plan)}

## Every explainer

Error, and in brackets the rows evaluated; the least error of a column in bold; a dash where an explainer refuses so few
rows, or where its regression takes minutes or more memory than there is (orders of 2 and 3 for 49 players).

{tables}

Not run: SPEX and ShaplEIG, which need packages of their own; ProxySPEX, whose errors were 0.17 where others had 0.003
(digits, 1,024 rows) at many times their seconds; OddSHAP, PolySHAP and the other recent ones where `make newest` found
no Python 3.12.

A hidden tile of a digit or of a piece of clothing, or a hidden feature of a case, takes the mean of the training data;
a hidden tile of a photo is grey, a hidden word is padding. The cat photo's table holds ten of a thousand classes, and
its probability is that among the ten.
"""


def plot(results: Sequence[Result], path: Path) -> None:
    """Error against rows, a panel a game: ours, and the three peers that are best somewhere in it or come next."""
    panels = [(name, list(group)) for name, group in itertools.groupby(results, key=lambda each: each.game)]
    wide = 4
    high = -(-len(panels) // wide)
    figure_ = Figure(figsize=(4 * wide, 3 * high))
    axes = figure_.subplots(high, wide, squeeze=False)
    for axis, (name, group) in zip(axes.flat, panels, strict=False):
        lines: dict[tuple[str, str], list[Result]] = {}
        for each in group:
            lines.setdefault((each.library, each.explainer), []).append(each)
        own = lines.pop((OURS, "default"))
        scored = sorted(lines.values(), key=lambda line: float(np.mean([np.log(each.error) for each in line])))
        for line in [own, *(line for line in scored if len(line) == len(own))][:4]:
            style = {"color": "black", "linewidth": 2} if line is own else {"linewidth": 1}
            label = OURS if line is own else line[0].explainer
            axis.loglog([each.rows for each in line], [each.error for each in line], "o-", label=label, **style)
        axis.set_title(f"{name} ({own[0].players})", fontsize=9)
        axis.legend(fontsize=7)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    figure_.supxlabel("model rows")
    figure_.supylabel("relative L2 error")
    figure_.tight_layout()
    figure_.savefig(path, dpi=110)


def save(results: Sequence[Result], plan: Sequence[Cost], budget: int) -> str:
    """Writes the JSON, the Markdown and the plot, and returns the Markdown."""
    data = {
        "versions": {name: version(name) for name in ("ialgebra", "captum", "shap", "shapiq", "torch", "numpy")},
        "libraries": libraries(results),
        "equal_rows": [vars(each) | {"error": each.error} for each in results],
        "one_plan": {"statement": STATEMENT, "budget": budget, "costs": [vars(each) for each in plan]},
    }
    text = report(results, plan, budget)
    OUT.mkdir(exist_ok=True)
    (OUT / "peers.json").write_text(json.dumps(data, indent=1) + "\n")
    (OUT / "peers.md").write_text(text)
    plot(results, OUT / "peers.png")
    return text


def main() -> int:
    workers = min(len(SOURCES), os.cpu_count() or 1)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:  # chunks of one: the slowest source comes first
        results = [each for source in pool.imap(compared_source, SOURCES) for each in source]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    budget = 16 * 16  # sixteen rows a player
    with threadpool_limits(1), torch.no_grad(), torch.random.fork_rng():
        plan = list(costs(Digits.load(), budget))
    print(save(results, plan, budget), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

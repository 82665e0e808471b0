"""How far from exact are Shapley values of as many model rows, ours and those of captum, shap and shapiq?

    python -m benchmarks.peers        (`make peers` installs the three libraries)

1. Six exact games on real data, four budgets, ten seeds: the relative L2 error of every explainer that these releases
   offer for one game of 12 to 16 players, each in its best setting.
2. One statement that asks for eight maps, against the same eight maps asked of an explainer one at a time.

In: the games of `benchmarks.games`. Out: `bench-out/peers.json` and `peers.md`, printed
too; nothing in them depends on the clock. Rows are counted where the model is called, ours and theirs alike. Knows
ialgebra's public names only, and computes the exact answers on its own.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

import ialgebra
from benchmarks.games import Counted, Digits, Floats, Game, all_games, hybrids

try:
    import captum.attr
    import shap
    import shapiq
except ImportError as error:
    raise SystemExit(f"benchmarks.peers runs captum, shap and shapiq ({error}); `make peers` installs them") from error

OUT = Path("bench-out")
SEEDS = 10
BUDGETS = (8, 16, 32, 64)  # rows a player
STATEMENT = "select 1, 2, 3, * from f(x) left join (select 1, 2, 3, * from f(x'))"
OURS = "ialgebra"

# --- Explainers

Estimate = Callable[[Counted, int, int], Floats]


class Peer(NamedTuple):
    """`estimate(game, size, seed)`; `size` counts units of about `unit(d)` rows, the least that it can be given."""

    library: str
    name: str
    estimate: Estimate
    unit: Callable[[int], int] = lambda d: 1

    def run(self, game: Game, rows: int, seed: int) -> tuple[Floats, int]:
        """Values by the smallest size that evaluates at least `rows` rows, and the rows that it did evaluate."""
        for size in itertools.count(rows // self.unit(game.players)):
            counted = Counted(game)
            values = self.estimate(counted, size, seed)
            if counted.rows >= rows:
                return values, counted.rows
        raise AssertionError("sizes do not end")


def captum_sampling(game: Counted, permutations: int, seed: int) -> Floats:
    torch.manual_seed(seed)
    d = game.game.players
    explainer = captum.attr.ShapleyValueSampling(game.torch)
    return _row(explainer.attribute(torch.ones(1, d), n_samples=permutations, perturbations_per_eval=d))


def captum_kernel(game: Counted, rows: int, seed: int) -> Floats:
    torch.manual_seed(seed)
    explainer = captum.attr.KernelShap(game.torch)
    return _row(explainer.attribute(torch.ones(1, game.game.players), n_samples=rows, perturbations_per_eval=rows))


def shap_permutations(game: Counted, pairs: int, seed: int) -> Floats:
    d = game.game.players
    explainer = shap.PermutationExplainer(game, shap.maskers.Independent(np.zeros((1, d))), seed=seed)
    return _row(explainer(np.ones((1, d)), max_evals=pairs * (2 * d + 1), silent=True).values)


def shap_kernel(game: Counted, rows: int, seed: int) -> Floats:
    np.random.seed(seed)  # this explainer knows no other generator
    d = game.game.players
    explainer = shap.KernelExplainer(game, np.zeros((1, d)))  # both ends come on top of its samples
    return _row(explainer.shap_values(np.ones((1, d)), nsamples=rows - 2, l1_reg=False, silent=True))


def shapiq_values(kind: str, **settings: object) -> Estimate:
    """One of shapiq's approximators, set up so."""

    def estimate(game: Counted, rows: int, seed: int) -> Floats:
        approximator = getattr(shapiq, kind)(n=game.game.players, random_state=seed, **settings)
        return np.asarray(approximator.approximate(rows, game).get_n_order_values(1), dtype=np.float64)

    return estimate


def shapiq_leverage(game: Counted, rows: int, seed: int) -> Floats:
    """LeverageSHAP (Musco & Witter, 2025): KernelSHAP's regression, all sizes equally likely."""
    weights = np.ones(game.game.players + 1)
    return shapiq_values("KernelSHAP", pairing_trick=True, sampling_weights=weights)(game, rows, seed)


def _row(values: Tensor | Floats) -> Floats:
    row: Floats = np.asarray(values, dtype=np.float64)[0]
    return row


PEERS = (
    Peer("captum", "ShapleyValueSampling", captum_sampling, lambda d: d),
    Peer("captum", "KernelShap", captum_kernel),
    Peer("shap", "PermutationExplainer", shap_permutations, lambda d: 2 * d + 1),
    Peer("shap", "KernelExplainer", shap_kernel),
    Peer("shapiq", "PermutationSamplingSV", shapiq_values("PermutationSamplingSV")),
    Peer("shapiq", "StratifiedSamplingSV", shapiq_values("StratifiedSamplingSV")),
    Peer("shapiq", "OwenSamplingSV", shapiq_values("OwenSamplingSV")),
    Peer("shapiq", "KernelSHAP, paired", shapiq_values("KernelSHAP", pairing_trick=True)),
    Peer("shapiq", "KernelSHAP, paired, leverage", shapiq_leverage),
    Peer("shapiq", "kADDSHAP of order 2", shapiq_values("kADDSHAP", max_order=2)),
    Peer("shapiq", "kADDSHAP of order 3, paired", shapiq_values("kADDSHAP", max_order=3, pairing_trick=True)),
    Peer("shapiq", "UnbiasedKernelSHAP, paired", shapiq_values("UnbiasedKernelSHAP", pairing_trick=True)),
    Peer("shapiq", "SVARM, paired", shapiq_values("SVARM", pairing_trick=True)),
)


def ours(game: Game, budget: int, seed: int) -> tuple[Floats, int]:
    """A new session and its first query; the row on which it first meets the model is counted too."""
    counted = Counted(game)
    with ialgebra.connect(progress=False) as con:
        con.register_model("f", counted.torch)
        con.register_input("x", torch.ones(game.players))
        (answer,) = con.sql(f"select * from f(x) budget {budget}", seed=seed, strategy=ialgebra.Strategy.FUSED)
    return answer.values, counted.rows


# --- 1. Error at equal rows


@dataclass(frozen=True)
class Result:
    """What one explainer did for one game and budget: its mean rows, and its error for every seed."""

    game: str
    players: int
    budget: int
    library: str
    explainer: str
    rows: float
    errors: tuple[float, ...]

    @property
    def error(self) -> float:
        return float(np.mean(self.errors))


def compared(game: Game, budgets: Iterable[int]) -> Iterator[Result]:
    """Ours, then every peer with at least as many rows less one, for each budget."""
    exact = game.shapley()

    def result(library: str, explainer: str, budget: int, runs: Sequence[tuple[Floats, int]]) -> Result:
        errors = tuple(error_of(values, exact) for values, _ in runs)
        rows = float(np.mean([count for _, count in runs]))
        return Result(game.name, game.players, budget, library, explainer, rows, errors)

    for budget in budgets:
        own = [ours(game, budget, seed) for seed in range(SEEDS)]
        yield result(OURS, "default", budget, own)
        for peer in PEERS:
            runs = [peer.run(game, count - 1, seed) for seed, (_, count) in enumerate(own)]
            yield result(peer.library, peer.name, budget, runs)


def error_of(values: Floats, exact: Floats) -> float:
    return float(np.linalg.norm(values - exact) / np.linalg.norm(exact))


# --- 2. Eight maps from one plan


@dataclass(frozen=True)
class Cost:
    """What the eight maps of the statement cost an explainer (mean over seeds), and their mean error."""

    library: str
    explainer: str
    rows: float
    error: float


def layer_games(digits: Digits, heads: dict[str, Tensor], x: Tensor, other: Tensor) -> Iterator[Game]:
    """The games of x against `other`: layers 1 to 3 with their heads (Eq. 4), then the model itself."""
    target = int(digits.module(x[None]).argmax())
    inside = hybrids(x, other, digits.tiles)
    *blocks, last = digits.module
    for layer, block in enumerate(blocks):
        inside = block(inside)
        logits = inside.mean((2, 3)) @ heads[f"{layer}.weight"].T + heads[f"{layer}.bias"]
        yield Game(f"layer {layer + 1}", logits.double()[:, target].numpy())
    yield Game("model", last(inside).double()[:, target].numpy())


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
        exact = [game.shapley() for game in maps]
        handle = digits.module.register_forward_pre_hook(count)
        for title, strategy in (("one plan", ialgebra.Strategy.FUSED), ("as written", ialgebra.Strategy.AS_WRITTEN)):
            pushed, errors = 0, []
            for seed in range(SEEDS):
                answers = con.sql(f"{STATEMENT} budget {budget}", seed=seed, strategy=strategy)
                errors += [error_of(each.values, true) for each, true in zip(answers, exact, strict=True)]
            yield Cost(OURS, title, pushed / SEEDS, float(np.mean(errors)))
        handle.remove()
    for peer in PEERS:
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


def summary(results: Sequence[Result]) -> str:
    """Ours against the best of the peers, game by game and budget by budget; where we lose stands in bold."""
    rows = []
    for (game, players, budget), group in grouped(results):
        own, best = group[0], min(group[1:], key=lambda each: each.error)
        ratio = best.error / own.error
        said = f"{ratio:.2f}" if ratio >= 1 else f"**{ratio:.2f}**"
        peer = f"{best.library} {best.explainer}"
        rows.append([game, str(players), str(budget), figure(own.error), figure(best.error), said, peer])
    return table(["game", "players", "rows", "ours", "best peer", "peer ÷ ours", "which"], rows)


def losses(results: Sequence[Result]) -> str:
    """The sentence that says where a peer's mean error is below ours."""
    lost = []
    for (game, _, budget), group in grouped(results):
        better = [each for each in group[1:] if each.error < group[0].error]
        if better:
            own = group[0].error
            names = "; ".join(f"{each.library} {each.explainer} {each.error / own:.2f}" for each in better)
            lost.append(f"- {game}, {budget} rows (ours {figure(own)}): {names}")
    return (
        "\n".join(["Where we lose, and a peer's error as a share of ours:", "", *lost])
        if lost
        else "Where we lose: in none of these cells."
    )


def grouped(results: Sequence[Result]) -> Iterator[tuple[tuple[str, int, int], list[Result]]]:
    for key, group in itertools.groupby(results, key=lambda each: (each.game, each.players, each.budget)):
        yield key, list(group)


def details(results: Sequence[Result]) -> Iterator[str]:
    """A table for each game: mean relative error and, in brackets, the mean rows that were evaluated."""
    for game, group in itertools.groupby(results, key=lambda each: each.game):
        own = list(group)
        budgets = sorted({each.budget for each in own})
        least = {budget: min(each.error for each in own if each.budget == budget) for budget in budgets}
        lines: dict[str, list[str]] = {}
        for each in own:
            bold = "**" if each.error == least[each.budget] else ""
            cell = f"{bold}{figure(each.error)}{bold} ({each.rows:.4g})"
            lines.setdefault(f"{each.library}: {each.explainer}", []).append(cell)
        yield f"### {game}, {own[0].players} players"
        yield table(["explainer", *(f"{budget} rows" for budget in budgets)], [[k, *v] for k, v in lines.items()])


def report(results: Sequence[Result], plan: Sequence[Cost], budget: int) -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("captum", "shap", "shapiq"))
    fused = plan[0].rows
    eight = [
        [f"{each.library}: {each.explainer}", f"{each.rows:,.0f}", f"{each.rows / fused:.2f}", figure(each.error)]
        for each in plan
    ]
    tables = "\n\n".join(details(results))
    return f"""# Against {libraries}

## Error at equal rows

Relative L2 error of the Shapley values, mean of {SEEDS} seeds. Rows are counted where the model is called. Ours
include the one on which a session first meets a model; every peer gets the smallest size at which it evaluates at least
as many, less that one.

{summary(results)}

{losses(results)}

## Eight maps from one plan

`{STATEMENT}`

A CNN on digits, 16 players, {budget} rows a map: one map at a time costs 8 × {budget} = {8 * budget:,} rows; one plan
shares {budget} rows among all eight. Counted, mean of {SEEDS} seeds:

{table(["explainer", "rows", "× ours", "mean error of the maps"], eight)}

## Every explainer

Error, and in brackets the rows evaluated; the least error of a column in bold.

{tables}

Not run: shapiq's SPEX, which refuses the smaller of these budgets and did not end on the larger ones, and ProxySPEX,
which needs LightGBM; OddSHAP and PolySHAP, which came with later releases of shapiq for Python 3.12 and up.

A hidden tile of a digit, or a hidden feature of a case, takes the mean of the training data.
The photo's table holds ten of a thousand classes, and its probability is that among the ten.
"""


def save(results: Sequence[Result], plan: Sequence[Cost], budget: int) -> str:
    """Writes the JSON and the Markdown, and returns the Markdown."""
    data = {
        "versions": {name: version(name) for name in ("ialgebra", "captum", "shap", "shapiq", "torch", "numpy")},
        "equal_rows": [vars(each) | {"error": each.error} for each in results],
        "one_plan": {"statement": STATEMENT, "budget": budget, "costs": [vars(each) for each in plan]},
    }
    text = report(results, plan, budget)
    OUT.mkdir(exist_ok=True)
    (OUT / "peers.json").write_text(json.dumps(data, indent=1) + "\n")
    (OUT / "peers.md").write_text(text)
    return text


def main() -> int:
    torch.set_num_threads(1)  # enough for networks this small, and no figure depends on the number of cores
    warnings.simplefilter("ignore")
    results: list[Result] = []
    with threadpool_limits(1), torch.no_grad(), torch.random.fork_rng():
        digits = Digits.load()
        for game in all_games(digits):
            print(f"{game.name} …", file=sys.stderr, flush=True)
            results += compared(game, [share * game.players for share in BUDGETS])
        budget = 16 * 16  # sixteen rows a player
        plan = list(costs(digits, budget))
    print(save(results, plan, budget), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

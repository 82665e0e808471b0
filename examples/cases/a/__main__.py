"""Case A from raw pictures to tables: `python -m examples.cases.a` (see README.md beside this file).

In: the options of `command`. Out: `a.md` with the tables and `a.png` with a picture, in the output folder.
"""

from __future__ import annotations

import statistics as plain
import time
from collections.abc import Iterator
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from .. import byhand, nets
from ..command import Settings, run
from ..fashion import Data
from ..statistics import bootstrap, over_seeds, table
from . import analysts
from .maps import Answers, Maps, anti_join, ask, session
from .panels import Panel, found, marked

PAPER = 50  # pictures that the paper's participants saw


class Verdict(NamedTuple):
    """Which pictures an analyst got right, by what he was given: the networks' own maps, the anti-join, or both."""

    alone: analysts.Bools
    anti: analysts.Bools
    both: analysts.Bools


class Trial(NamedTuple):
    """One panel, one kind of output, and what came out."""

    panel: Panel
    answers: Answers
    output: str
    verdicts: dict[str, Verdict]
    confident: analysts.Bools


def main(settings: Settings) -> None:
    data, started = settings.images(), time.perf_counter()
    trials = [trial for seed in range(settings.seeds) for trial in trials_of(settings, data, seed)]
    report = "\n".join([*tables(trials), by_hand(trials[0].panel, settings)])
    report += f"\nAll of it: {time.perf_counter() - started:.0f} s.\n"
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "a.md").write_text(report)
    draw(trials, settings)
    print(report)


def trials_of(settings: Settings, data: Data, seed: int) -> Iterator[Trial]:
    """The networks' own kind of disagreement, explained as scores and as probabilities; then the marked pictures."""
    size, players, budget = (16, "grid(2, 2)", 16) if settings.smoke else (120, "grid(4, 4)", 128)
    panels = (found(data, seed, size, settings.nets), marked(data, seed, size, settings.nets))
    judge = None
    for panel, outputs in zip(panels, (("logit", "probability"), ("logit",)), strict=True):
        with session(panel) as con:  # probabilities are read from the rows that the scores have paid for
            for output in outputs:
                answers = ask(con, panel, players, output, budget)
                judge = judge or expert(data, answers, seed, settings)
                yield judged(panel, answers, output, judge)


def expert(data: Data, answers: Answers, seed: int, settings: Settings) -> torch.nn.Module:
    """A third network, which learns from the half of the pictures that the marked ones have not seen."""
    half = slice(len(data.images) // 2, None)
    parts = analysts.taught_in_part(data.images[half], answers.players, seed)
    return nets.trained(nets.Residual, parts, data.labels[half], 100 + seed, settings.nets)


def judged(panel: Panel, answers: Answers, output: str, judge: torch.nn.Module) -> Trial:
    looks: dict[str, analysts.Statistic] = {
        "mass on the object": analysts.mass,
        "concentration": analysts.concentration,
        "deletion and insertion": analysts.curves,
        "six statistics": analysts.summary,
        "the map, player by player": analysts.players,
        "an expert at the two strongest players": analysts.expert(judge),
    }
    right = panel.right.numpy()
    verdicts = {}
    for name, look in looks.items():
        alone, anti = (look(panel, answers, maps) for maps in (answers.alone, answers.anti))
        given = (alone, anti, np.concatenate([alone, anti], axis=2))
        verdicts[name] = Verdict(*(analysts.guesses(each, right) == right for each in given))
    sure = analysts.guesses(analysts.confidence(panel), right) == right
    return Trial(panel, answers, output, verdicts, sure)


def tables(trials: list[Trial]) -> Iterator[str]:
    """One table for each kind of panel and output: accuracies over all seeds, with intervals."""
    for kind, output in dict.fromkeys((each.panel.kind, each.output) for each in trials):
        these = [each for each in trials if (each.panel.kind, each.output) == (kind, output)]
        seeds = np.repeat(np.arange(len(these)), [len(each.confident) for each in these])
        yield f"### Disagreements {kind}, explained as {output}\n"
        yield about(these)
        rows = []
        for name in these[0].verdicts:
            alone, anti, both = (
                np.concatenate(column) for column in zip(*(t.verdicts[name] for t in these), strict=True)
            )
            gain = bootstrap(lambda p, q: float(q.mean() - p.mean()), alone, anti, groups=seeds)
            by_seed = over_seeds([t.verdicts[name].anti.mean() - t.verdicts[name].alone.mean() for t in these])
            small = np.mean([t.verdicts[name].anti[:PAPER].mean() for t in these])
            shown = (bootstrap(np.mean, each, groups=seeds) for each in (alone, anti, both))
            rows.append([name, *shown, f"{gain:+}", f"{by_seed:+}", f"{small:.2f}"])
        head = ["analyst looks at", "f(x), f'(x) alone", "anti-join", "both", "anti-join − alone"]
        yield table([*head, "the same, by seeds", f"anti-join, first {PAPER}"], rows)
        sure = np.concatenate([each.confident for each in these])
        yield f"No map, the networks' own confidence: {bootstrap(np.mean, sure, groups=seeds)}.\n"


def about(trials: list[Trial]) -> str:
    accuracy = [f"{np.mean([each.panel.accuracy[k] for each in trials]):.1%}" for k in (0, 1)]
    disagree = f"{1 - np.mean([each.panel.agreement for each in trials]):.1%}"
    rows, seconds = sum(each.answers.rows for each in trials), sum(each.answers.seconds for each in trials)
    count = sum(len(each.confident) for each in trials)
    return (
        f"{len(trials)} seeds; f and f' are right on {accuracy[0]} and {accuracy[1]} of the test pictures, and "
        f"disagree on {disagree}.\n{count} pictures, {4 * count:,} maps: {rows:,} model rows, {seconds:.0f} s.\n"
    )


def by_hand(panel: Panel, settings: Settings, rounds: int = 3) -> str:
    """The anti-join of a few pictures as a query and with Captum, side by side, at the same error."""
    players, budget, count = ("grid(2, 2)", 10, 2) if settings.smoke else ("grid(3, 4)", 96, 4)
    full = panel.images.flatten(1).count_nonzero(1).argsort(descending=True)[:count]  # hardly a player is null
    images, said = panel.images[full], panel.said[full]

    def queried(rest: str) -> tuple[byhand.Floats, byhand.Cost, Maps]:
        values, rows, start = [], 0, time.perf_counter()
        with session(panel) as con:
            for image in images:
                con.register_input("x", image, players=players)
                answer = con.sql(anti_join("logit", rest))
                values.append([a.values for a in answer])
                rows += answer.stats.rows
        seconds = time.perf_counter() - start
        return np.concatenate(values), byhand.Cost(rows, seconds, 0.0), answer[0].players

    exact, _, labels = queried("using exact()")
    mask = torch.from_numpy(labels)

    def difference(batch: torch.Tensor) -> torch.Tensor:
        return panel.models[0](batch) - panel.models[1](batch)

    sides = torch.tensor([1.0, -1.0]).repeat(count)  # f' − f is what the second component explains
    inputs, targets = images.repeat_interleave(2, 0), said.flatten()
    signed = exact * sides.numpy()[:, None]
    ours, theirs = [], []
    for _ in range(rounds):
        values, cost, _ = queried(f"budget {budget}")
        ours.append(cost._replace(error=byhand.relative_error(values, exact)))
        reached = byhand.captum_cost(difference, inputs, 0.0, mask, targets, signed, ours[0].error)
        theirs.append(reached._replace(rows=2 * reached.rows))  # each row passes through both networks
    middle = [each[0]._replace(seconds=plain.median(cost.seconds for cost in each)) for each in (ours, theirs)]
    return f"### By hand\n\nThe anti-joins of {count} pictures: {byhand.ratios(*middle)}.\n"


def draw(trials: list[Trial], settings: Settings) -> None:
    """The first picture of either kind: the networks' own maps beside the anti-join's components."""
    shown = [each for each in trials if each.output == "logit"][:2]
    figure, axes = plt.subplots(len(shown), 5, figsize=(12, 2.7 * len(shown)), squeeze=False)
    for trial, line in zip(shown, axes, strict=True):
        maps = [*trial.answers.alone.pixels[0], *trial.answers.anti.pixels[0]]
        names = [str(int(each)) for each in trial.panel.said[0]]
        line[0].imshow(trial.panel.images[0, 0].numpy(), cmap="gray_r")
        line[0].set_title(f"{trial.panel.kind}: {'f' if trial.panel.right[0] else chr(102) + chr(8242)} is right")
        titles = [f"{model} alone: {name}" for model, name in zip(["f", "g"], names, strict=True)]
        for axis, each, title in zip(line[1:], maps, titles + [f"anti-join: {name}" for name in names], strict=True):
            reach = max(np.abs(other).max() for other in maps)
            axis.imshow(each, cmap="RdBu_r", vmin=-reach, vmax=reach)
            axis.set_title(title)
        for axis in line:
            axis.axis("off")
    figure.tight_layout()
    figure.savefig(settings.out / "a.png", dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    run(__doc__, main)

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
from numpy.typing import NDArray

from .. import byhand, nets
from ..command import Settings
from ..fashion import Data
from ..statistics import bootstrap, over_seeds, table
from . import analysts
from .maps import Answers, Floats, anti_join, ask, session
from .panels import Panel, found, marked

PAPER = 50  # pictures that the paper's participants saw


class Trial(NamedTuple):
    """One panel and one kind of output: what every analyst sees in the networks' own maps and in the anti-join.

    `confidence` is what is seen without a map.
    """

    panel: Panel
    answers: Answers
    output: str
    seen: dict[str, tuple[Floats, Floats]]
    confidence: Floats


def inconsistency(settings: Settings) -> None:
    data, started = settings.images(), time.perf_counter()
    if settings.smoke:
        data = data._replace(images=data.images[:600], labels=data.labels[:600])
    trials = [trial for seed in range(settings.seeds) for trial in trials_of(settings, data, seed)]
    report = "\n".join([*tables(trials), by_hand(trials[0].panel, settings)])
    report += f"\nAll of it: {time.perf_counter() - started:.0f} s.\n"
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "a.md").write_text(report)
    draw(trials, data.classes, settings)
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
                yield looked_at(panel, answers, output, judge)


def expert(data: Data, answers: Answers, seed: int, settings: Settings) -> torch.nn.Module:
    """A third network, which learns from the half of the pictures that the marked ones have not seen."""
    half = slice(len(data.images) // 2, None)
    parts = analysts.taught_in_part(data.images[half], answers.players, seed)
    return nets.trained(nets.Residual, parts, data.labels[half], 100 + seed, settings.nets)


def looked_at(panel: Panel, answers: Answers, output: str, judge: torch.nn.Module) -> Trial:
    looks: dict[str, analysts.Statistic] = {
        "mass on the object": analysts.mass,
        "concentration": analysts.concentration,
        "deletion and insertion": analysts.curves,
        "six statistics": analysts.summary,
        "the map, player by player": analysts.players,
        "an expert at the two strongest players": analysts.expert(judge),
    }
    seen = {
        name: (look(panel, answers, answers.alone), look(panel, answers, answers.anti)) for name, look in looks.items()
    }
    return Trial(panel, answers, output, seen, analysts.confidence(panel))


def tables(trials: list[Trial]) -> Iterator[str]:
    """One table for each kind of panel and output: the share of pictures on which an analyst is right, of all seeds."""
    for kind, output in dict.fromkeys((each.panel.kind, each.output) for each in trials):
        these = [each for each in trials if (each.panel.kind, each.output) == (kind, output)]
        truth = np.concatenate([each.panel.right.numpy() for each in these])
        seeds = np.repeat(np.arange(len(these)), [len(each.panel.right) for each in these])
        first = np.concatenate([np.arange(len(each.panel.right)) < PAPER for each in these])
        rows = []
        for name in these[0].seen:
            alone, anti = (np.concatenate([each.seen[name][k] for each in these]) for k in (0, 1))
            given = (alone, anti, np.concatenate([alone, anti], axis=2))
            hits = [analysts.guesses(each, truth) == truth for each in given]
            gain = bootstrap(lambda p, q: float(q.mean() - p.mean()), hits[0], hits[1], groups=seeds)
            by_seed = over_seeds([hits[1][seeds == k].mean() - hits[0][seeds == k].mean() for k in set(seeds)])
            small = " / ".join(f"{each[first].mean():.2f}" for each in hits[:2])
            rows.append([name, *(bootstrap(np.mean, each, groups=seeds) for each in hits), gain, by_seed, small])
        shown = [[*map(str, row[:4]), f"{row[4]:+}", f"{row[5]:+}", row[6]] for row in rows]
        sure = analysts.guesses(np.concatenate([each.confidence for each in these]), truth) == truth
        head = ["analyst looks at", "f(x), f'(x) alone", "anti-join", "both", "anti-join − alone"]
        yield f"### Disagreements {kind}, explained as {output}\n"
        yield about(these)
        yield table([*head, "the same, by seeds", f"first {PAPER} a seed: alone / anti-join"], shown)
        yield f"No map, the networks' own confidence: {bootstrap(np.mean, sure, groups=seeds)}.\n"


def about(trials: list[Trial]) -> str:
    accuracy = [f"{np.mean([each.panel.accuracy[k] for each in trials]):.1%}" for k in (0, 1)]
    disagree = f"{1 - np.mean([each.panel.agreement for each in trials]):.1%}"
    rows, seconds = sum(each.answers.rows for each in trials), sum(each.answers.seconds for each in trials)
    count = sum(len(each.panel.right) for each in trials)
    errors = [f"{np.mean([each.answers.errors[k] for each in trials]):.0%}" for k in (0, 1)]
    return (
        f"{len(trials)} seeds; f and f' are right on {accuracy[0]} and {accuracy[1]} of the test pictures, and "
        f"disagree on {disagree}.\n{count} pictures, {4 * count:,} maps: {rows:,} model rows, {seconds:.0f} s;\n"
        f"the networks' own maps are off by {errors[0]}, the anti-joins by {errors[1]} (their standard errors).\n"
    )


def by_hand(panel: Panel, settings: Settings, rounds: int = 3) -> str:
    """The anti-join of a few pictures as a query and with Captum, side by side, at the same error."""
    players, budget, count = ("grid(2, 2)", 8, 2) if settings.smoke else ("grid(3, 4)", 96, 4)
    full = panel.images.flatten(1).count_nonzero(1).argsort(descending=True)[:count]  # hardly a player is null
    images, said = panel.images[full], panel.said[full]

    def queried(rest: str) -> tuple[Floats, byhand.Cost, NDArray[np.int64]]:
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


def draw(trials: list[Trial], classes: tuple[str, ...], settings: Settings) -> None:
    """The first picture of either kind: the networks' own maps beside the anti-join's components."""
    shown = [each for each in trials if each.output == "logit"][:2]
    figure, axes = plt.subplots(len(shown), 5, figsize=(12, 2.7 * len(shown)), squeeze=False)
    for trial, line in zip(shown, axes, strict=True):
        maps = [*trial.answers.alone.pixels[0], *trial.answers.anti.pixels[0]]
        names = [classes[int(each)] for each in trial.panel.said[0]]
        line[0].imshow(trial.panel.images[0, 0].numpy(), cmap="gray_r")
        line[0].set_title(f"{trial.panel.kind}: {'f' if trial.panel.right[0] else 'f′'} is right")
        titles = [f"{model} alone: {name}" for model, name in zip(("f", "f′"), names, strict=True)]
        for axis, each, title in zip(line[1:], maps, titles + [f"anti-join: {name}" for name in names], strict=True):
            reach = max(np.abs(other).max() for other in maps)
            axis.imshow(each, cmap="RdBu_r", vmin=-reach, vmax=reach)
            axis.set_title(title)
        for axis in line:
            axis.axis("off")
    figure.tight_layout()
    figure.savefig(settings.out / "a.png", dpi=100)
    plt.close(figure)

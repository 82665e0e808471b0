"""The claim from raw pictures to tables: `python -m examples.eri` (see README.md beside this file).

In: the options of `examples.cases.command`. Out: `eri.md` with the tables and `eri.png` with a picture, in the output
folder. Every reading ranks the ten properties for every network; what counts is the rank of the planted one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from examples.cases import fashion, nets
from examples.cases.command import Settings
from examples.cases.statistics import share_over_seeds, table
from ialgebra.generators import LinearGenerator, StyleGenerator

from . import maps
from .networks import CLEAN, taught
from .planted import NAMES, PLANTS, of_the_pair, pooled
from .sweeps import PIXEL_EDITS, Swept

Floats = NDArray[np.float64]

CORRELATIONS = (0.6, 0.75, 0.95)
TRUSTED = 100  # the first seed of the clean networks that one compares with
CONTROLS = 200  # and of those that stand for networks without a fault
_COMPONENTS = 60


class Case(NamedTuple):
    """A network: what it was taught, at which correlation, with which seed."""

    what: str
    correlation: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.what}_{round(100 * self.correlation)}_{self.seed}"


class Reading(NamedTuple):
    """What one way of looking says of every network: `strengths` (networks, names) of each of the `names` it knows."""

    names: Sequence[str]
    strengths: Floats


def claim(settings: Settings) -> None:
    started = time.perf_counter()
    data = settings.images() if settings.smoke else fashion.load(settings.data, train=60_000)
    images, coats, test_images, test_coats = of_the_pair(data)
    if not len(images):
        raise SystemExit("there are no coats and pullovers in these pictures")
    seeds, correlations = (range(1), CORRELATIONS[1:2]) if settings.smoke else (range(settings.seeds), CORRELATIONS)
    trusted = [Case(CLEAN, 0, TRUSTED + k) for k in range(2 if settings.smoke else 5)]
    controls = [Case(CLEAN, 0, CONTROLS + k) for k in seeds]
    cases = [Case(what, rho, seed) for what in PLANTS for rho in correlations for seed in seeds]
    networks = {
        each.name: taught(images, coats, each.what, each.correlation, each.seed, settings.nets)
        for each in (*trusted, *controls, *cases)
    }
    pool, test = pooled(images, 0), pooled(test_images, 1)[: 16 if settings.smoke else 200]
    generators = {
        "linear": LinearGenerator.fit(pool, _COMPONENTS),
        "style": StyleGenerator.fit(pool, steps=20 if settings.smoke else 2500, seed=0, progress=False),
    }
    swept = {name: Swept(made, pool[:2000], test, networks) for name, made in generators.items()}
    readings = {**_by_sweeps(swept, len(trusted)), **_by_maps(networks, test[:50], len(trusted))}
    kept = {name: each.kept() for name, each in swept.items()}
    report = [
        f"{len(networks)} networks, right on "
        f"{np.mean([nets.accuracy(networks[each.name], test_images, test_coats) for each in trusted]):.1%} of clean "
        "test pictures where they are clean.\n",
        *_tables(readings, list(networks), cases, controls, correlations),
        _what_is_kept(kept, cases, controls),
        f"All of it: {time.perf_counter() - started:.0f} s.\n",
    ]
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "eri.md").write_text("\n".join(report))
    print("\n".join(report))
    _draw(swept["style"], cases, settings)
    for each in swept.values():
        each.con.close()


def _by_sweeps(swept: Mapping[str, Swept], trusted: int) -> dict[str, Reading]:
    """Sweeps along axes, and edits of pixels: alone, and against the trusted networks, which come first."""
    found = {}
    for name, each in swept.items():
        effects = each.effects()
        found[f"sweeps ({name}), against trusted"] = Reading(NAMES, _against(effects, trusted))
        found[f"sweeps ({name}), alone"] = Reading(NAMES, np.abs(effects))
    edits = next(iter(swept.values())).pixel_effects()
    found["edits of pixels, against trusted"] = Reading(tuple(PIXEL_EDITS), _against(edits, trusted))
    return found


def _by_maps(networks: Mapping[str, nn.Module], test: Tensor, trusted: int) -> dict[str, Reading]:
    """Maps: alone, and against those of the trusted networks."""
    read: dict[str, list[Tensor]] = {name: [] for name in maps.METHODS}
    for net in networks.values():
        for name, drawn in maps.maps(net, test).items():
            read[name].append(maps.readings(drawn, test))
    found: dict[str, Reading] = {}
    for name, each in read.items():
        means = torch.stack(each).mean(dim=1).double().numpy()
        found[f"{name}, against trusted"] = Reading(NAMES, _against(means, trusted))
        found[f"{name}, alone"] = Reading(NAMES, means)
    return found


def _against(figures: Floats, trusted: int) -> Floats:
    """How far figures (networks, names) are from the mean of the first networks, in standard deviations of these. The
    deviation of a name is moderated by that of all: five networks tell too little of one."""
    own = figures[:trusted]
    spread = own.var(axis=0, ddof=1)
    return np.abs(figures - own.mean(axis=0)) / np.sqrt((spread + spread.mean()) / 2)


def _tables(
    readings: Mapping[str, Reading],
    names: Sequence[str],
    cases: Sequence[Case],
    controls: Sequence[Case],
    correlations: Sequence[float],
) -> list[str]:
    """A table for each property that was planted: for each reading how often it comes first, and how well its strength
    tells planted networks from clean ones."""
    place = {name: number for number, name in enumerate(names)}
    found = []
    for what in PLANTS:
        rows = []
        for reading, (known, strengths) in readings.items():
            if what not in known:
                rows.append([reading, *["does not know it"] * len(correlations), ""])
                continue
            own, cells, planted = known.index(what), [], []
            for rho in correlations:
                mine = [place[each.name] for each in cases if (each.what, each.correlation) == (what, rho)]
                ranks = [1 + int((strengths[n] > strengths[n, own]).sum()) for n in mine]
                cells.append(f"{sum(rank == 1 for rank in ranks)} of {len(ranks)} (median {np.median(ranks):g})")
                planted += [strengths[n, own] for n in mine if rho >= 0.75]
            clean = [strengths[place[each.name], own] for each in controls]
            wins = [np.mean([p > c for c in clean]) + 0.5 * np.mean([p == c for c in clean]) for p in planted]
            rows.append([reading, *cells, str(share_over_seeds(wins))])
        found += [
            f"### Planted: {what}\n",
            table(["", *(f"first, ρ = {rho}" for rho in correlations), "told from clean (AUC), ρ ≥ .75"], rows),
        ]
    return found


def _what_is_kept(kept: Mapping[str, Mapping[str, float]], cases: Sequence[Case], controls: Sequence[Case]) -> str:
    """How much of the variance of scores the generators keep: below one half DESCRIBE warns that sweeps say little."""
    rows = []
    for what in (CLEAN, *PLANTS):
        row: list[object] = [what]
        for shares in kept.values():
            some = controls if what == CLEAN else [each for each in cases if each.what == what]
            mine = [shares[each.name] for each in some]
            row += [str(share_over_seeds(mine)), f"{sum(share < 0.5 for share in mine)} of {len(mine)}"]
        rows.append(row)
    head = [part for name in kept for part in (f"{name}: share kept", "warned of")]
    return "### What the generators can draw\n\n" + table(["planted", *head], rows)


def _draw(swept: Swept, cases: Sequence[Case], settings: Settings) -> None:
    """Sweeps of the planted property: thin lines are clean networks, thick ones have learned from it."""
    figure, axes = plt.subplots(1, len(PLANTS), figsize=(4 * len(PLANTS), 3.2), layout="constrained", sharey=True)
    for axis, what in zip(axes, PLANTS, strict=True):
        steps, curves = swept.curve(what)
        for name, curve in zip(swept.names, curves, strict=True):
            mine = next((each for each in cases if each.name == name and each.what == what), None)
            if mine is None and not name.startswith(CLEAN):
                continue
            shade = {"color": "0.6", "linewidth": 0.8} if mine is None else {"color": "C3", "alpha": mine.correlation}
            axis.plot(steps, curve, **shade)
        axis.set_title(f"{what}, planted in the red ones")
        axis.set_xlabel("standard deviations along the axis")
    axes[0].set_ylabel("log-odds of a coat, over their spread")
    figure.savefig(settings.out / "eri.png", dpi=120)
    plt.close(figure)

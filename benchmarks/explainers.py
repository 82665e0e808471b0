"""The explainers of captum, shap and shapiq that answer for one game, each in its best settings.

In: a counted game, a size and a seed. Out: Shapley values, and the rows that were evaluated for them. What shapiq has
published for Python 3.12 and up runs in an interpreter of its own, where `benchmarks.newest` has installed one. Knows
nothing of ialgebra.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pickle
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.games import OUT, Counted, Floats, Game

try:
    import captum.attr
    import shap
    import shapiq
except ImportError as error:
    raise SystemExit(f"this benchmark runs captum, shap and shapiq ({error}); `make peers` installs them") from error

PYTHON = OUT / "newest" / "python"  # an interpreter with the newest shapiq, from `make newest`

Estimate = Callable[[Counted, int, int], Floats]


class Refused(Exception):
    """An explainer's own word that it cannot do with so few rows."""


class Peer(NamedTuple):
    """`estimate(game, size, seed)`; `size` counts units of about `unit(d)` rows, the least that it can be given.

    `most` is the number of players from which on its regression has more terms than a machine has memory for.
    """

    library: str
    name: str
    estimate: Estimate
    unit: Callable[[int], int] = lambda d: 1
    most: int = 1000

    @property
    def title(self) -> str:
        return f"{self.library} {self.name}"

    def run(self, game: Game, rows: int, seed: int) -> tuple[Floats, int]:
        """Values by the smallest size that evaluates at least `rows` rows, and the rows that it did evaluate."""
        for size in itertools.count(rows // self.unit(game.players)):
            counted = Counted(game)
            values = self.estimate(counted, size, seed)
            if counted.rows >= rows:
                return values, counted.rows
        raise AssertionError("sizes do not end")


# --- captum and shap


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


def _row(values: Tensor | Floats) -> Floats:
    row: Floats = np.asarray(values, dtype=np.float64)[0]
    return row


# --- shapiq


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


class Served:
    """The newest shapiq, in its own interpreter at the other end of a pipe; `version` is what it says it is."""

    def __init__(self) -> None:
        command = [str(PYTHON.resolve()), str(Path(__file__).with_name("served.py"))]
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | threads
        )
        assert self.process.stdin
        assert self.process.stdout
        self.asks, self.answers = self.process.stdin, self.process.stdout
        atexit.register(self.end)
        _, self.version = pickle.load(self.answers)

    def end(self) -> None:
        with self.process:  # which closes the pipes, and waits
            self.process.kill()

    def values(self, kind: str, settings: dict[str, object], game: Counted, rows: int, seed: int) -> Floats:
        d = game.game.players
        self.say((kind, settings, d, rows, seed))
        while True:
            match pickle.load(self.answers):
                case "ask", packed, count:
                    present = np.unpackbits(np.frombuffer(packed, np.uint8), count=count * d).reshape(count, d)
                    self.say(game(present).tobytes())
                case "answer", values:
                    return np.frombuffer(values)
                case "error", why:
                    raise Refused(why)

    def say(self, message: object) -> None:
        pickle.dump(message, self.asks)
        self.asks.flush()


@functools.cache
def served() -> Served:
    return Served()


def newest(kind: str, **settings: object) -> Estimate:
    """One of the newest shapiq's approximators, set up so."""
    return lambda game, rows, seed: served().values(kind, settings, game, rows, seed)


# --- All of them

SHAPIQ = f"shapiq {version('shapiq')}"

PEERS = (
    Peer("captum", "ShapleyValueSampling", captum_sampling, lambda d: d),
    Peer("captum", "KernelShap", captum_kernel),
    Peer("shap", "PermutationExplainer", shap_permutations, lambda d: 2 * d + 1),
    Peer("shap", "KernelExplainer", shap_kernel),
    Peer(SHAPIQ, "PermutationSamplingSV", shapiq_values("PermutationSamplingSV")),
    Peer(SHAPIQ, "StratifiedSamplingSV", shapiq_values("StratifiedSamplingSV")),
    Peer(SHAPIQ, "OwenSamplingSV", shapiq_values("OwenSamplingSV")),
    Peer(SHAPIQ, "KernelSHAP, paired", shapiq_values("KernelSHAP", pairing_trick=True)),
    Peer(SHAPIQ, "KernelSHAP, paired, leverage", shapiq_leverage),
    Peer(SHAPIQ, "kADDSHAP of order 2", shapiq_values("kADDSHAP", max_order=2), most=20),
    Peer(SHAPIQ, "kADDSHAP of order 3, paired", shapiq_values("kADDSHAP", max_order=3, pairing_trick=True), most=20),
    Peer(SHAPIQ, "UnbiasedKernelSHAP, paired", shapiq_values("UnbiasedKernelSHAP", pairing_trick=True)),
    Peer(SHAPIQ, "SVARM, paired", shapiq_values("SVARM", pairing_trick=True)),
)


def newest_peers() -> tuple[Peer, ...]:
    """What came with shapiq's releases for Python 3.12 and up; none where `make newest` has not installed one."""
    if not PYTHON.exists():
        return ()
    library = f"shapiq {served().version}"
    return (
        Peer(library, "LeverageSHAP", newest("LeverageSHAP")),
        Peer(library, "OddSHAP", newest("OddSHAP")),
        Peer(library, "OddSHAP, factor 3", newest("OddSHAP", interaction_factor=3)),
        Peer(library, "PolySHAP of order 2", newest("PolySHAP", max_order=2)),
        Peer(library, "PolySHAP of order 3, paired", newest("PolySHAP", max_order=3, pairing_trick=True), most=20),
        Peer(library, "RegressionMSR", newest("RegressionMSR", index="SV")),
        Peer(library, "RegressionMSR, linear", newest("RegressionMSR", index="SV", proxy_model="linear")),
        Peer(library, "ProxySHAP", newest("ProxySHAP", index="SV", max_order=1)),
    )

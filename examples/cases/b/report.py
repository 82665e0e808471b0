"""What the seeds found, in tables: do the attacks work, and which pictures do one view and all views tell apart?

In: how suspicious every picture is in every view. Out: Markdown. The suspicion of a picture in a view is how far its
map lies from benign maps of the class that it is taken for, in standard deviations of other benign pictures. Pictures
that an attack did not manage to have taken for the class that it wanted are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from ..statistics import Interval, auc, bootstrap, over_seeds, share_over_seeds, table
from .views import Floats

# The views at which each attack aims beside the network; the first is the one that an analyst of one map looks at.
ATTACKS: Mapping[str, tuple[str, ...]] = {
    "PGD": ("whole *",),
    "ADV² Shapley": ("whole *",),
    "ADV² saliency": ("saliency *",),
    "ADV² layers": ("whole *", *(f"whole {layer}" for layer in (1, 2, 3, 4))),
    "ADV² everything": (
        *(f"{where} {layer}" for where in ("whole", "centre") for layer in ("*", 1, 2, 3, 4)),
        *("saliency *", "gradients *"),
    ),
}


class Judged(NamedTuple):
    """What one seed found: suspicion (n, views) of n pictures as they are, and after each attack."""

    views: list[str]
    benign: Floats
    attacked: Mapping[str, Floats]
    deceived: Mapping[str, NDArray[np.bool_]]  # (n,) which pictures the network takes for the class that was wanted
    sure: Mapping[str, Floats]  # (n,) the network's probability of the class that it takes a picture for
    ranked: Mapping[
        str, float
    ]  # layer → AUC of the lists that queries make of the benign and the ADV² Shapley pictures
    rows: int
    seconds: float

    def alone(self, attack: str) -> int:
        """The column of the view that an analyst of one map looks at."""
        return self.views.index(ATTACKS[attack][0])


class Scores(NamedTuple):
    """A detector's score for each picture (m,), benign ones first, and which of them are attacked."""

    scores: Floats
    attacked: Floats

    @classmethod
    def of(cls, benign: Floats, attacked: Floats) -> Scores:
        return cls(np.r_[benign, attacked], np.r_[np.zeros(len(benign)), np.ones(len(attacked))])

    def auc(self) -> float:
        return auc(self.scores, self.attacked)

    def quality(self) -> tuple[float, float, float]:
        """Precision, recall and F1 where scores are log-odds."""
        said, true = self.scores > 0, self.attacked > 0
        right = float((said & true).sum())
        precision, recall = right / max(1, said.sum()), right / max(1, true.sum())
        return precision, recall, 2 * precision * recall / max(1e-12, precision + recall)


# --- Detectors


def one_view(one: Judged, attack: str, view: int) -> Scores:
    return Scores.of(one.benign[:, view], one.attacked[attack][one.deceived[attack], view])


def all_views(one: Judged, attack: str) -> Scores:
    """The mean suspicion over all views: a rule that has never seen an attack."""
    return Scores.of(one.benign.mean(1), one.attacked[attack][one.deceived[attack]].mean(1))


def doubt(one: Judged, attack: str) -> Scores:
    """No map at all: the less sure the network is, the more suspicious is the picture."""
    return Scores.of(-one.sure["benign"], -one.sure[attack][one.deceived[attack]])


def learned(one: Judged, attack: str, views: Sequence[int], teacher: str | None = None) -> Scores:
    """The log-odds of a logistic rule, taught by the `teacher`'s pictures (None: by those of the attack itself).

    One half of the pictures, each as it is and attacked, teaches the rule that judges the other half.
    """
    shown = one.attacked[teacher or attack], one.deceived[teacher or attack]
    half = np.arange(len(one.benign)) % 2
    benign, attacked = np.full(len(half), np.nan), np.full(len(half), np.nan)
    for judged in (0, 1):
        ours, theirs = one.benign[half != judged], shown[0][(half != judged) & shown[1]]
        if len(theirs) == 0:
            continue
        rule = LogisticRegression(C=0.1, class_weight="balanced")
        rule.fit(np.concatenate([ours, theirs])[:, views], np.repeat([0, 1], [len(ours), len(theirs)]))
        benign[half == judged] = rule.decision_function(one.benign[half == judged][:, views])
        attacked[half == judged] = rule.decision_function(one.attacked[attack][half == judged][:, views])
    return Scores.of(benign, attacked[one.deceived[attack]])


# --- Tables


def report(found: Sequence[Judged]) -> str:
    rows, seconds = (over_seeds([getattr(one, name) for one in found]).mean for name in ("rows", "seconds"))
    spent = f"All queries of a seed: {rows:,.0f} rows in {seconds:.0f} s.\n"
    return "\n".join([deceiving(found), telling(found), deciding(found), ordered(found), spent])


def deceiving(found: Sequence[Judged]) -> str:
    """Whether the attacks work: on the network, and in the views that they aim at."""

    def suspicion(one: Judged, attack: str, aimed: bool) -> float:
        views = [k for k, view in enumerate(one.views) if (view in ATTACKS[attack]) == aimed]
        hit = one.attacked[attack][one.deceived[attack]][:, views]
        return float(np.median(hit)) if hit.size else float("nan")

    rows = []
    for attack in ATTACKS:
        success = share_over_seeds([one.deceived[attack].mean() for one in found])
        far = (over_seeds([suspicion(one, attack, aimed) for one in found]) for aimed in (True, False))
        rows.append([attack, success, *far])
    return table(["attack", "network deceived", "suspicion in the views aimed at", "in the others"], rows)


def telling(found: Sequence[Judged]) -> str:
    """AUC of one view, and of all."""
    detectors: Mapping[str, Callable[[Judged, str], Scores]] = {
        "that view": lambda one, attack: one_view(one, attack, one.alone(attack)),
        "all views": all_views,
        "… taught by PGD": lambda one, attack: learned(one, attack, range(len(one.views)), "PGD"),
        "… taught by the attack": lambda one, attack: learned(one, attack, range(len(one.views))),
        "no map": doubt,
    }
    rows = []
    for attack, (view, *_) in ATTACKS.items():
        figures = [share_over_seeds([detect(one, attack).auc() for one in found]) for detect in detectors.values()]
        rows.append([f"{attack} ({view})", *figures, gain(found, attack)])
    return table(["attack (view)", *detectors, "all views − that view"], rows)


def gain(found: Sequence[Judged], attack: str) -> Interval:
    """How far the AUC of all views is above that of the attacked one, over pictures drawn anew within each seed."""

    def stacked(part: Callable[[Judged], Floats]) -> Floats:
        return np.concatenate([part(one) for one in found])

    def difference(alone: Floats, attacked_alone: Floats, mean: Floats, attacked_mean: Floats, hit: Floats) -> float:
        kept = hit > 0
        return Scores.of(mean, attacked_mean[kept]).auc() - Scores.of(alone, attacked_alone[kept]).auc()

    hit = stacked(lambda one: one.deceived[attack].astype(float))
    if not hit.any():
        return Interval(*[float("nan")] * 3)
    return bootstrap(
        difference,
        stacked(lambda one: one.benign[:, one.alone(attack)]),
        stacked(lambda one: one.attacked[attack][:, one.alone(attack)]),
        stacked(lambda one: one.benign.mean(1)),
        stacked(lambda one: one.attacked[attack].mean(1)),
        hit,
        groups=np.repeat(np.arange(len(found)), [len(one.benign) for one in found]),
        rounds=1000,
    )


def deciding(found: Sequence[Judged]) -> str:
    """Precision, recall and F1 of logistic rules on one view and on all."""
    rows = []
    for attack in ATTACKS:
        for name, every in (("that view", False), ("all views", True)):
            scores = [
                learned(one, attack, range(len(one.views)) if every else [one.alone(attack)]).quality() for one in found
            ]
            rows.append([f"{attack}, {name}", *map(share_over_seeds, zip(*scores, strict=True))])
    return table(["attack, rule", "precision", "recall", "F1"], rows)


def ordered(found: Sequence[Judged]) -> str:
    """How well ORDER BY distance(…) alone puts the pictures of ADV² Shapley first, layer by layer."""
    layers = list(found[0].ranked)
    return table(
        ["lists by distance in layer", *layers],
        [["AUC", *(share_over_seeds([one.ranked[k] for one in found]) for k in layers)]],
    )


def apart(found: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """The AUC of every view alone, for each attack: the mean over seeds."""
    return {
        attack: {
            view: float(np.mean([one_view(one, attack, k).auc() for one in found]))
            for k, view in enumerate(found[0].views)
        }
        for attack in ATTACKS
    }

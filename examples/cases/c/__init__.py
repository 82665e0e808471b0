"""Case C, poisoned data: which of the pictures that a network was taught with have a backdoor in them?

An attacker slipped 220 pictures with a white square and a false label into 20,000. Spectral signatures sort the
pictures of a class by how suspicious they are, and are unsure around their threshold. There we ask why the network
calls each picture what it does, and how far that map lies from the usual map of clean pictures. `README.md` tells the
story and has the figures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import ialgebra

from .. import byhand, nets
from ..command import Settings
from ..fashion import Data
from ..statistics import auc
from . import ask, poison
from .poison import Bools, Places, Poisoned, Sorted
from .report import Figures, draw

SHARE = 0.011  # of the training set may be poisoned: the defender knows as much, and the attacker uses it up
TARGETS = (2, 3, 7, 4, 9)  # the attacked class, by seed; settings were chosen on other seeds and classes
LAYER = 3  # whose features have the signatures: what the last linear layer reads
SPECTRA = {"largest of each filter": poison.largest, "all that the last layer reads": poison.flat}
OTHERS = {
    "cut after layer 3": ask.Question(item="3"),
    "cut after layer 2": ask.Question(item="2"),
    "cut after layer 1": ask.Question(item="1"),
    "9 tiles": ask.Question(options=", players => grid(3, 3)"),
    "4 tiles": ask.Question(options=", players => grid(2, 2)"),
    "against the mean clean picture, not black": ask.Question(options=", baseline => mean(these)"),
    "of input × gradient": ask.Question(using="using captum.InputXGradient()", budget=None),
    "not distance, but mass in the corners": ask.Question(scalar="mass(corners)"),
    "not distance, but entropy": ask.Question(scalar="entropy()"),
}


class Sizes(NamedTuple):
    """How much is looked at."""

    pictures: int = 20_000
    epochs: int = 4
    trusted: int = 100  # clean pictures of a class, from the test set
    glance: int = 20  # suspects of a class, and twice as many trusted ones, while the attacked class is not known
    by_hand: int = 16  # maps that are made by hand, too


QUICK = Sizes(pictures=600, epochs=1, trusted=12, glance=2, by_hand=1)


class Attack(NamedTuple):
    """A network and what it was taught; what the attacker wants, and what the defender has."""

    net: nn.Sequential
    taught: Poisoned
    target: int
    data: Data
    sizes: Sizes

    @property
    def bad(self) -> Bools:
        """Which pictures that bear the attacked label are poisoned: what the defender wants to know."""
        return self.taught.bad.numpy()[self.own(self.target)]

    def own(self, label: int) -> Places:
        """The pictures that bear a label."""
        return (self.taught.labels == label).nonzero().flatten().numpy()

    def sorted(self, label: int, pool: poison.Pool) -> Sorted:
        """They, by their spectral signatures."""
        features = poison.features(self.net, self.taught.images[self.own(label)], LAYER, pool)
        return poison.sorted_by(poison.spectral(features), round(SHARE * len(self.taught.labels)))

    def trusted(self, label: int, most: int) -> Tensor:
        """Pictures that are known to be clean."""
        return self.data.test_images[self.data.test_labels == label][:most]

    def session(self) -> ialgebra.Session:
        return ask.session(self.net, self.data.classes)

    def show(self, con: ialgebra.Session, label: int, places: Places, most: int = 0) -> ask.Shown:
        """Suspects among the pictures that bear a label, beside trusted ones."""
        trusted = self.trusted(label, most or self.sizes.trusted)
        return ask.show(con, self.data.classes[label], self.taught.images[self.own(label)[places]], trusted)


def case(settings: Settings) -> None:
    """Attacks, finds and cleanses, once a seed; writes `c.md` and `c.png`."""
    figures, sizes = Figures(), QUICK if settings.smoke else Sizes()
    data = settings.images()
    data = data._replace(images=data.images[: sizes.pictures], labels=data.labels[: sizes.pictures])
    for seed in range(settings.seeds):
        target = TARGETS[seed % len(TARGETS)]
        pictures = poison.poisoned(data.images, data.labels, target, round(SHARE * len(data.labels)), seed)

        def teach(name: str, images: Tensor, labels: Tensor, seed: int = seed, target: int = target) -> nn.Sequential:
            net = nets.trained(nets.Vgg, images, labels, seed, settings.nets, sizes.epochs)
            assert isinstance(net, nn.Sequential)
            figures.note(
                "network",
                f"taught with {name}",
                test_accuracy=nets.accuracy(net, data.test_images, data.test_labels),
                attack_success=poison.success(net, data.test_images, data.test_labels, target),
            )
            return net

        teach("clean pictures", data.images, data.labels)
        net = teach("poisoned pictures", pictures.images, pictures.labels)
        attacked = Attack(net, pictures, target, data, sizes)
        con = attacked.session()
        look_for_the_class(figures, attacked, con)
        order, answer = look_into_the_band(figures, attacked, con)
        look_at_the_class(figures, attacked, con)
        try_others(figures, attacked, con, order)
        make_by_hand(figures, attacked, order.band[: sizes.by_hand])
        for name, chosen in {"signatures": order.chosen, "signatures and maps": again(order, answer)}.items():
            left = pictures.without(attacked.own(target)[chosen])
            teach(f"what {name} left", left.images, left.labels)
        if seed == 0:
            draw(settings.out / "c.png", order, answer, attacked.bad)
    (settings.out / "c.md").write_text(str(figures), encoding="utf-8")
    print(figures)


def look_for_the_class(figures: Figures, attacked: Attack, con: ialgebra.Session) -> None:
    """Which class is attacked? The most suspicious pictures of each are asked about."""
    shares, rows, seconds, glance = [], 0, 0.0, attacked.sizes.glance
    for label in range(len(attacked.data.classes)):
        places = np.argsort(-attacked.sorted(label, poison.largest).scores, kind="stable")[:glance]
        answer = ask.ranking(attacked.show(con, label, places, 2 * glance))
        shares.append(float(ask.unusual(answer.suspects, answer.trusted).mean()))
        rows, seconds = rows + answer.rel.stats.rows, seconds + answer.rel.stats.seconds
    own = shares.pop(attacked.target)
    name = f"unusual among the {glance} most suspicious of a class"
    figures.note(name, "share", attacked=own, mean_of_others=float(np.mean(shares)), most_of_others=max(shares))
    figures.note("question", "which class is attacked?", rows=rows, seconds=seconds)


def look_into_the_band(figures: Figures, attacked: Attack, con: ialgebra.Session) -> tuple[Sorted, ask.Answer]:
    """Which pictures of the class are poisoned? Signatures say so above and below the band, and maps within it."""
    found = []
    for name, pool in SPECTRA.items():
        order = attacked.sorted(attacked.target, pool)
        answer = ask.ranking(attacked.show(con, attacked.target, order.band))
        found.append((order, answer))
        alone, sorted_again = (poison.quality(each, attacked.bad) for each in (order.chosen, again(order, answer)))
        choose(figures, f"{name}: threshold of Tran et al.", alone)
        choose(figures, f"{name}: best threshold, in hindsight", poison.best(order.scores, attacked.bad))
        choose(figures, f"{name}: band sorted again by maps", sorted_again)
        figures.note("choice", f"{name}: band sorted again by maps", gain_in_F1=sorted_again.f1 - alone.f1)
    spend(figures, "which pictures of the band?", found[0][1])
    return found[0]


def look_at_the_class(figures: Figures, attacked: Attack, con: ialgebra.Session) -> None:
    """The same without signatures: every picture of the class is asked about."""
    answer = ask.ranking(attacked.show(con, attacked.target, np.arange(len(attacked.bad))))
    chosen = ask.unusual(answer.suspects, answer.trusted)
    choose(figures, "no signatures, the whole class by maps", poison.quality(chosen, attacked.bad))
    spend(figures, "which others of the class?", answer)


def try_others(figures: Figures, attacked: Attack, con: ialgebra.Session, order: Sorted) -> None:
    """The band by other layers, tiles, baselines, interpreters and scalars, and by what needs no map."""
    con.fit_heads("f", attacked.taught.images[:3000], attacked.taught.labels[:3000])
    shown = attacked.show(con, attacked.target, order.band)
    answers = {"distance to the usual map of 16 tiles": ask.ranking(shown)}
    answers |= {name: ask.ranking(shown, question) for name, question in OTHERS.items()}
    scores = {name: (answer.suspects, answer.trusted) for name, answer in answers.items()}
    usual, others = attacked.trusted(attacked.target, attacked.sizes.trusted).chunk(2)
    pictures = attacked.taught.images[attacked.own(attacked.target)[order.band]]
    scores["no map: distance of the picture to the mean clean picture"] = (
        (pictures - usual.mean(0)).flatten(1).norm(dim=1).double().numpy(),
        (others - usual.mean(0)).flatten(1).norm(dim=1).double().numpy(),
    )
    for name, (suspects, trusted) in scores.items():
        chosen = poison.quality(order.with_certain(ask.unusual(suspects, trusted)), attacked.bad)
        figures.note("score", name, AUC_in_the_band=auc(suspects, attacked.bad[order.band]), F1=chosen.f1)


def make_by_hand(figures: Figures, attacked: Attack, places: Places) -> None:
    """A few maps once more: by a query in a new session, and by Captum until they are as exact; five times in turn."""
    exact = ask.maps(attacked.show(attacked.session(), attacked.target, places), "using exact()")
    truth = np.stack([each.values for each in exact])
    inputs = attacked.taught.images[attacked.own(attacked.target)[places]]
    targets = torch.full((len(inputs),), attacked.target)
    players = torch.from_numpy(exact[0].players)
    turns = []
    for _ in range(5):
        ours = ask.maps(attacked.show(attacked.session(), attacked.target, places), f"budget {ask.BUDGET}")
        error = byhand.relative_error(np.stack([each.values for each in ours]), truth)
        theirs = byhand.captum_cost(attacked.net, inputs, 0.0, players, targets, truth, error)
        turns.append((ours.stats.seconds, theirs.seconds))
    seconds, by_hand = np.median(turns, axis=0)
    name, rows = f"{len(places)} maps of the band", ours.stats.rows
    figures.note(name, "query", rows=rows, seconds=seconds, error=error)
    figures.note(name, "Captum by hand", rows=theirs.rows, seconds=by_hand, error=theirs.error)
    figures.note(name, "query ÷ by hand", share_of_rows=rows / theirs.rows, share_of_seconds=seconds / by_hand)


def again(order: Sorted, answer: ask.Answer) -> Bools:
    """What signatures choose above the band, and maps within it."""
    return order.with_certain(ask.unusual(answer.suspects, answer.trusted))


def choose(figures: Figures, row: str, quality: poison.Quality) -> None:
    precision, recall, f1, accuracy = quality
    figures.note("choice", row, precision=precision, recall=recall, F1=f1, accuracy=accuracy)


def spend(figures: Figures, row: str, answer: ask.Answer) -> None:
    figures.note("question", row, rows=answer.rel.stats.rows, seconds=answer.rel.stats.seconds)

"""What the demo asks, in order: statements over photos, what each operator means, and what its picture shows.

Pure data and small functions of finished answers: it runs nothing. What `seen` says was checked by looking at the pictures;
every number in it is read from the answer at hand, so that it cannot go stale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ialgebra.results import Attribution, Relation

LAYERS = (6, 12, 17)  # of Lite0's 19, the ends of stages: 28², 14² and 7² positions


@dataclass(frozen=True)
class Box:
    """Rows and columns of a photo, half-open, and their name for people."""

    name: str
    top: int
    left: int
    bottom: int
    right: int

    def share(self, a: Attribution) -> float:
        """How much of a map's total falls into the box."""
        return float(a.heat()[self.top : self.bottom, self.left : self.right].sum() / a.values.sum())

    @property
    def area(self) -> float:
        """Its share of a photo of 224 × 224."""
        return (self.bottom - self.top) * (self.right - self.left) / 224**2


FACE = Box("face", 64, 52, 152, 140)  # of the mastiff
CUP = Box("cup's mouth", 14, 32, 116, 172)


@dataclass(frozen=True)
class Scene:
    """One statement, or a script whose last answer is shown; `operands` are the photos to show beside it."""

    slug: str
    operator: str
    title: str
    about: str
    script: str
    operands: tuple[str, ...] = ()
    seen: Callable[[list[Relation]], str] = lambda _: ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _coffee(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    return (
        f"The coffee and the rim around it: the {CUP.name} holds {_percent(CUP.share(a))} of the evidence on "
        f"{_percent(CUP.area)} of the area. Red raises the score for “{a.target_name}”, blue would lower it; the photo shows "
        "through where nothing happens."
    )


def _mastiff(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    return (
        f"The face: {_percent(FACE.share(a))} of the evidence on {_percent(FACE.area)} of the area. Body, lawn and leash "
        "hardly count."
    )


def _drill(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    best = a.player_names()[int(np.argmax(a.values))]
    return (
        f"The same sixteen players now lie over the face alone. The strongest covers {best}, between eyes and nose. Everything "
        f"outside the outline stays grey for the network too, and still the face alone scores {a.full_value:.1f}."
    )


def _rest(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    return (
        f"With its face greyed out the dog scores {a.full_value:.1f} for “{a.target_name}” against {a.base_value:.1f} for a grey "
        "picture: the rest is not nothing, but it is little, and body and surroundings share it."
    )


def _layers(answers: list[Relation]) -> str:
    *early, last = answers[-1]
    shares = ", ".join(_percent(FACE.share(a)) for a in early)
    return (
        f"The face’s part of the evidence grows with depth: {shares} at layers {', '.join(str(a.layer) for a in early)}, "
        f"{_percent(FACE.share(last))} for the whole network. Early layers collect texture from everywhere, late ones look at the "
        "face. All four maps come from the same forward passes."
    )


def _join(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    return (
        f"Evidence that survives dimmed light: 60 % of the map of the photo and 40 % of that of its dark twin. The {CUP.name} "
        f"still holds {_percent(CUP.share(a))} of it."
    )


def _pair(answers: list[Relation]) -> str:
    left, right = answers[-1]
    return (
        f"What makes the left one a {left.target_name}, when each absent patch is filled from the other photo: the face. What makes the right "
        f"one a {right.target_name}: the spotted muzzle. One set of hybrid photos answers both directions."
    )


def _composed(answers: list[Relation]) -> str:
    maps = list(answers[-1])
    strongest = [float(np.abs(a.values).max()) for a in maps if a.component == 0]
    return (
        "Rows are layers, columns the two dogs, and only the outlined window plays. At layer 12 no patch stands out "
        f"(at most {strongest[0]:.1f}); deeper, the evidence gathers on the faces (up to {strongest[-1]:.1f})."
    )


def _rover(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    against, total = float(a.values[a.values < 0].sum()), float(a.values.sum())
    return (
        "This photo is labelled “jeep”, and Lite0 calls it a convertible. Asked for “jeep”, the map is blue on the car’s own body "
        f"({against:+.1f} of {total:+.1f} in all) and red on the wheel, the trees and the rocks: the surroundings argue for a jeep, the car "
        "argues against it."
    )


def _models(answers: list[Relation]) -> str:
    f, g = answers[-1]
    return (
        f"f says “{f.target_name}”. g is the same network behind the mean and deviation that most ImageNet networks want and this one "
        f"does not: it says “{g.target_name}”. The maps are differences of contributions, each for its model’s own answer: a silent bug in "
        "the preprocessing, made visible."
    )


def _reuse(answers: list[Relation]) -> str:
    first, second = answers[-2:]
    return (
        f"The first answer took {first.stats.rows:,} rows (± {100 * first[0].relative_error:.0f} %), the second {second.stats.rows:,} more "
        f"(± {100 * second[0].relative_error:.0f} %): the {second.stats.reused_rows:,} rows already paid for were kept."
    )


MASTIFF = "f(mastiff, players => grid(6, 6))"
DALMATIAN = "f(dalmatian, players => grid(6, 6))"

CHAPTERS: tuple[tuple[str, tuple[Scene, ...]], ...] = (
    ("One photo", (
        Scene("first-map", "φ · identity", "What makes this an espresso?",
              "The Shapley values of a game in which superpixels of the photo play for the network’s own answer.",
              "select * from f(coffee, players => slic(40))\nbudget 600", ("coffee",), _coffee),
        Scene("identity", "φ · identity", "Where is the dog in this photo?",
              "The same question with 36 tiles for players.",
              f"select * from {MASTIFF}\nbudget 900", ("mastiff",), _mastiff),
        Scene("projection", "Π · projection by a predicate", "Look closer: only the face plays",
              "WHERE keeps the features that may play; the default grid is laid over what is left, so narrowing the window zooms in.",
              "select * from f(mastiff)\nwhere row between 64 and 151 and col between 52 and 139\nbudget 514", ("mastiff",), _drill),
        Scene("window", "Π · projection by a named window", "And without the face?",
              "A window can be named, negated and combined.",
              f"create window face as box(64, 52, 152, 140);\nselect * from {MASTIFF}\nwhere not face\nbudget 600", ("mastiff",), _rest),
        Scene("selection", "σ · selection of layers", "When does the network notice the face?",
              "Each layer is a model of its own: the network cut after it, with a linear head trained to agree with the whole.",
              f"select {', '.join(map(str, LAYERS))}, * from f(mastiff)\nbudget 514", ("mastiff",), _layers),
        Scene("target", "φ · another class", "Why is this not a jeep?",
              "Any class can be asked for, not only the winner.",
              "select * from f(rover, target => 'jeep', players => slic(30))\nbudget 400", ("rover",), _rover),
    )),
    ("Two photos, two models", (
        Scene("join", "⋈ · join", "What speaks for espresso, by day and by night?",
              "A join is a weighted sum of maps; the weight is the left operand’s.",
              "select * from f(coffee, players => grid(6, 6))\njoin (select * from f(dimmed, players => grid(6, 6)))\non weight = 0.6\nbudget 400",
              ("coffee", "dimmed"), _join),
        Scene("antijoin", "⋄ · anti-join of inputs", "What tells these two dogs apart?",
              "Each photo is explained against the other instead of against grey.",
              f"select * from {MASTIFF}\nleft join (select * from {DALMATIAN})\nbudget 900", ("mastiff", "dalmatian"), _pair),
        Scene("composition", "σ · Π · ⋄ · composed", "The same, layer by layer, in a window",
              "Operators compose: layers × window × anti-join in one statement, answered by one plan.",
              "select 12 as \"layer 12\", 17 as \"layer 17\", * as \"whole network\"\nfrom f(mastiff) left join (select * from f(dalmatian))\n"
              "where row between 32 and 191 and col between 48 and 159\nbudget 386", ("mastiff", "dalmatian"), _composed),
        Scene("models", "⋄ · anti-join of models", "What changed between two models?",
              "The paper’s case A: one photo, two models.",
              "select * from f(leafhopper)\nleft join (select * from g(leafhopper))\nbudget 258", ("leafhopper",), _models),
    )),
    ("A database, too", (
        Scene("view", "views and reuse", "Ask again, more precisely",
              "A view names a query. A larger budget continues where the smaller one stopped.",
              "create view cannon_map as select * from f(cannon);\nselect * from cannon_map budget 130;\nselect * from cannon_map budget 386",
              ("cannon",), _reuse),
        Scene("describe", "SHOW and DESCRIBE", "What is registered?", "",
              "show windows;\nshow views;\ndescribe mastiff;\ndescribe f"),
        Scene("explain", "EXPLAIN ANALYZE", "How was it answered?",
              "The plan as written, the laws that fired, the batches, and what was measured.",
              "explain analyze\nselect 12, 17, * from f(cannon)\nleft join (select 12, 17, * from f(yurt))\nwhere row < 160\nbudget 130"),
    )),
)  # fmt: skip


@dataclass(frozen=True)
class Mistake:
    """A statement that fails, the error that it must raise, and why."""

    error: str
    title: str
    about: str
    script: str


MISTAKES: tuple[Mistake, ...] = (
    Mistake("ParseError", "A typo in a keyword never changes a meaning",
            "In SQL, “lefft” could pass for an alias. Here it is an error at its own word.",
            "select * from f(mastiff) lefft join (select * from f(dalmatian))"),
    Mistake("BindError", "An unknown name", "The nearest name is offered.", "select * from f(cofee)"),
    Mistake("CompositionError", "A composition that the algebra leaves undefined",
            "A model cut after layer 6 has no layer 17 (law L2).", "select 17 from (select 6 from f(coffee))"),
    Mistake("ShapeError", "A window of another shape", "The message states both shapes.", "select * from f(coffee) where thumbnail"),
    Mistake("ModelError", "A model that returns NaN", "The model and the row are named.", "select * from broken(coffee)"),
    Mistake("BudgetError", "An exact answer that nobody could pay for", "49 players have 2⁴⁹ coalitions.",
            "select * from f(coffee, players => grid(7, 7)) using exact()"),
    Mistake("ResourceError", "Out of memory",
            "Simulated here by a model that always runs out. Batches are halved first; only a batch of one row that does not fit is an error.",
            "select * from hungry(coffee)"),
)  # fmt: skip

"""The demo's statements, in order, each with a text about its operator and about its picture.

It holds data and small functions of finished answers, and runs nothing. The texts of the `seen` functions were checked
against the pictures; their numbers are read from the answer, so that they are always right.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ialgebra.apps.zoo import LAYERS
from ialgebra.results.attribution import Attribution
from ialgebra.results.relation import Relation


@dataclass(frozen=True)
class StoryBox:
    """Rows and columns of a photo, half-open."""

    top: int
    left: int
    bottom: int
    right: int

    def share(self, a: Attribution) -> str:
        """The share of a map's total inside the box."""
        return _percent(float(a.heat()[self.top : self.bottom, self.left : self.right].sum() / a.values.sum()))

    @property
    def area(self) -> str:
        """Its share of a photo of 224 × 224."""
        return _percent((self.bottom - self.top) * (self.right - self.left) / 224**2)


FACE = StoryBox(64, 52, 152, 140)  # of the mastiff
EYES_TO_NOSE = StoryBox(86, 74, 130, 118)
CUP = StoryBox(14, 32, 116, 172)  # the opening of the cup


@dataclass(frozen=True)
class Scene:
    """A statement, or a script whose last answer is shown, and the photos to show beside it.

    `seen` says what the picture of these answers shows; `slug` names its file.
    """

    slug: str
    operator: str
    title: str
    about: str
    script: str
    photos: tuple[str, ...] = ()
    seen: Callable[[list[Relation]], str] = lambda _: ""


@dataclass(frozen=True)
class Mistake:
    """A statement that fails, and the error that it must raise."""

    error: str
    title: str
    about: str
    script: str


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _prose(text: str) -> str:
    return " ".join(text.split())


def _sql(text: str) -> str:
    return inspect.cleandoc(text)


def _coffee(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    return _prose(f"""
        The coffee itself and the rim of the cup, and less obviously a strip of the saucer: the cup’s mouth holds
        {CUP.share(a)} of the evidence on {CUP.area} of the area. Red raises the score for “{a.target_name}”, blue
        lowers it; where nothing happens, the photo’s copy stays grey.""")


def _mastiff(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    return _prose(f"""
        The face: {FACE.share(a)} of the evidence on {FACE.area} of the area. Body, lawn and leash hardly count.""")


def _drill(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    return _prose(f"""
        Sixteen players now lie over the face alone, and its middle, from the eyes to the nose, holds
        {EYES_TO_NOSE.share(a)} of what the face says. Outside the outline the network, too, sees only grey: the face
        alone scores {a.full_value:.1f}.""")


def _rest(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    return _prose(f"""
        With its face greyed out the dog still scores {a.full_value:.1f} for “{a.target_name}”. What is left speaks
        softly (mind the scale): the dog’s back above the head and a front paw speak for it, the person’s leg beside
        it against.""")


def _layers(answers: list[Relation]) -> str:
    *cut, whole = answers[-1]
    shares = ", ".join(f"{FACE.share(a)} at layer {a.layer}" for a in cut)
    return _prose(f"""
        The face holds {shares} and {FACE.share(whole)} in the whole network, on {FACE.area} of the area: early layers
        add up colour and texture from everywhere, late ones look at the face. All four maps were read from the same
        forward passes.""")


def _rover(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    against = _signed(float(a.values[a.values < 0].sum()))
    return _prose(f"""
        The photo is labelled “jeep”, and Lite0 says “convertible”. Asked for “jeep”, the map is blue on the side of
        the car (all blue together {against}, the sum {_signed(float(a.values.sum()))}) and red on a wheel and on the
        slope behind: the surroundings argue for a jeep, the bodywork against it.""")


def _join(answers: list[Relation]) -> str:
    (a,) = answers[-1]
    return _prose(f"""
        Evidence that survives dimmed light: 60 % of the photo’s map and 40 % of its dark twin’s. The cup’s mouth
        holds {CUP.share(a)} of it on {CUP.area} of the area.""")


def _pair(answers: list[Relation]) -> str:
    left, right = answers[-1]
    return _prose(f"""
        Every absent tile is filled from the other photo instead of grey. What makes the left one a
        {left.target_name} is its face, what makes the right one a {right.target_name} its spotted muzzle. The same
        hybrid photos answer both directions.""")


def _composed(answers: list[Relation]) -> str:
    largest = [float(np.abs(a.values).max()) for a in answers[-1] if a.component == 0]
    return _prose(f"""
        Rows are layers, columns the two dogs, and only the outlined window plays. At layer 12 no tile stands out
        (none counts more than {largest[0]:.1f} on the left); deeper, the evidence gathers on the faces (up to
        {largest[-1]:.1f}).""")


def _models(answers: list[Relation]) -> str:
    f, g = answers[-1]
    return _prose(f"""
        f says “{f.target_name}”. g is the same network behind the mean and deviation that most ImageNet networks
        want and this one does not; it says “{g.target_name}”. Left: the insect’s back, which f counts for its answer
        more than g does. Right: its head, which g counts for its own. A silent bug in the preprocessing, made
        visible.""")


def _reuse(answers: list[Relation]) -> str:
    first, second = answers[-2:]
    return _prose(f"""
        The first answer took {first.stats.rows:,} rows (± {_percent(first[0].bound)}), the second only
        {second.stats.rows:,} more (± {_percent(second[0].bound)}): {second.stats.reused_rows:,} rows had been
        paid for. The picture is the second.""")


_ONE_PHOTO = (
    Scene(
        "first-map",
        "φ · identity",
        "What makes this an espresso?",
        "The Shapley values of a game in which superpixels of the photo play for the network’s own answer.",
        _sql("""
            select * from f(coffee, players => slic(40))
            budget 600"""),
        ("coffee",),
        _coffee,
    ),
    Scene(
        "identity",
        "φ · identity",
        "Where is the dog in this photo?",
        "The same question, with 36 tiles for players.",
        _sql("""
            select * from f(mastiff, players => grid(6, 6))
            budget 900"""),
        ("mastiff",),
        _mastiff,
    ),
    Scene(
        "projection",
        "Π · projection by a predicate",
        "Look closer: only the face plays",
        "WHERE says who may play. The default grid is laid over what is left, so a narrower window zooms in.",
        _sql("""
            select * from f(mastiff)
            where row between 64 and 151 and col between 52 and 139
            budget 514"""),
        ("mastiff",),
        _drill,
    ),
    Scene(
        "window",
        "Π · projection by a named window",
        "And without the face?",
        "A window can be named, negated and combined.",
        _sql("""
            create window face as box(64, 52, 152, 140);
            select * from f(mastiff, players => grid(6, 6))
            where not face
            budget 600"""),
        ("mastiff",),
        _rest,
    ),
    Scene(
        "selection",
        "σ · selection of layers",
        "When does the network notice the face?",
        "Each layer is a model of its own: the network cut after it, with a linear head that imitates the whole.",
        f"select {', '.join(map(str, LAYERS))}, * from f(mastiff)\nbudget 514",
        ("mastiff",),
        _layers,
    ),
    Scene(
        "target",
        "φ · another class",
        "Why is this not a jeep?",
        "Any class can be asked for, not only the winner.",
        _sql("""
            select * from f(rover, target => 'jeep', players => slic(30))
            budget 400"""),
        ("rover",),
        _rover,
    ),
)

_TWO_PHOTOS = (
    Scene(
        "join",
        "⋈ · join",
        "What speaks for espresso, by day and by night?",
        "A join is a weighted sum of maps; the weight is the left operand’s.",
        _sql("""
            select * from f(coffee, players => grid(5, 5))
            join (select * from f(dimmed, players => grid(5, 5))) on weight = 0.6
            budget 400"""),
        ("coffee", "dimmed"),
        _join,
    ),
    Scene(
        "antijoin",
        "⋄ · anti-join of inputs",
        "What tells these two dogs apart?",
        "Each photo is explained against the other instead of against grey.",
        _sql("""
            select * from f(mastiff, players => grid(6, 6))
            left join (select * from f(dalmatian, players => grid(6, 6)))
            budget 900"""),
        ("mastiff", "dalmatian"),
        _pair,
    ),
    Scene(
        "composition",
        "σ · Π · ⋄ · composed",
        "The same, layer by layer, in a window",
        "Operators compose: layers × window × anti-join in one statement, answered by one plan.",
        _sql("""
            select 12 as "layer 12", 17 as "layer 17", * as "whole network"
            from f(mastiff) left join (select * from f(dalmatian))
            where row between 32 and 191 and col between 48 and 159
            budget 386"""),
        ("mastiff", "dalmatian"),
        _composed,
    ),
    Scene(
        "models",
        "⋄ · anti-join of models",
        "What changed between two models?",
        "One photo, two models: each map is the difference of their contributions, for one model’s own answer.",
        _sql("""
            select * as "f and g differ"
            from f(leafhopper) left join (select * from g(leafhopper))
            budget 386"""),
        ("leafhopper",),
        _models,
    ),
)

_DATABASE = (
    Scene(
        "view",
        "views and reuse",
        "Ask again, more precisely",
        "A view names a query. A larger budget continues where the smaller one stopped.",
        _sql("""
            create view cannon_map as select * from f(cannon);
            select * from cannon_map budget 130;
            select * from cannon_map budget 386"""),
        ("cannon",),
        _reuse,
    ),
    Scene(
        "describe",
        "SHOW and DESCRIBE",
        "What is registered?",
        "",
        "show windows;\nshow views;\ndescribe mastiff;\ndescribe f",
    ),
    Scene(
        "explain",
        "EXPLAIN ANALYZE",
        "How was it answered?",
        "The plan as written, the laws that fired, the batches, and what was measured.",
        _sql("""
            explain analyze
            select 12, 17, * from f(cannon) left join (select 12, 17, * from f(yurt))
            where row < 160
            budget 130"""),
    ),
)

CHAPTERS = (("One photo", _ONE_PHOTO), ("Two photos, two models", _TWO_PHOTOS), ("A database, too", _DATABASE))

MISTAKES = (
    Mistake(
        "ParseError",
        "A typo in a keyword never changes a meaning",
        "In SQL, “lefft” could pass for an alias. Here it is an error at its own word.",
        "select * from f(mastiff) lefft join (select * from f(dalmatian))",
    ),
    Mistake("BindError", "An unknown name", "The nearest name is offered.", "select * from f(cofee)"),
    Mistake(
        "CompositionError",
        "A composition that the algebra leaves undefined",
        "A model cut after layer 6 has no layer 17 (law L2).",
        "select 17 from (select 6 from f(coffee))",
    ),
    Mistake(
        "ShapeError",
        "A window of another shape",
        "The message states both shapes.",
        "select * from f(coffee) where thumbnail",
    ),
    Mistake(
        "ModelError",
        "A model that returns NaN",
        "The model and the row are named.",
        "select * from broken(coffee)",
    ),
    Mistake(
        "BudgetError",
        "An exact answer that nobody could pay for",
        "49 players have 2⁴⁹ coalitions.",
        "select * from f(coffee, players => grid(7, 7)) using exact()",
    ),
    Mistake(
        "ResourceError",
        "Out of memory",
        "Simulated. Batches are halved first; only a single row that does not fit is an error.",
        "select * from hungry(coffee)",
    ),
)

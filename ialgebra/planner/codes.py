"""Games over attributes: a leaf whose players are concepts becomes a leaf over the code of its input.

In: leaves and the catalog. Out: which codes they need, and the leaves over these codes. Such a game is played on the
head of the dictionary, whose inputs are codes; a window on attributes projects it, and a window on the input decides
what the code is made of. It runs no model: codes are looked up in the catalog's book.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from ..algebra.attributes import parts_of
from ..algebra.baselines import Baseline, Blur, Constant, Given, Redrawn
from ..algebra.kinds import KINDS
from ..algebra.operators import Estimation, OutputKind
from ..algebra.players import Features, OfConcepts, OnePlayer
from ..algebra.sources import Source
from ..algebra.windows import EVERYTHING, NOTHING, Window
from ..catalog.catalog import Catalog, ConceptGame
from .games import Leaf, Several

_RESUMED = ".resumed "


@dataclass(frozen=True)
class Code:
    """What a code is the code of: `source` inside the window and its baseline elsewhere. None: it has no baseline,
    since the window is everything."""

    source: Source
    baseline: Baseline | None
    window: Window


class CodeUse(IntEnum):
    """What a code is needed for; where it is for several, the largest of these."""

    BASELINE = 0
    INPUT = 1
    RUN_ON = 2  # of an input, from whose layer the model itself is run on


@dataclass(frozen=True)
class CodeEnds:
    """The codes that one leaf needs: that of its input, and those of its baselines."""

    full: Code
    empty: tuple[Code, ...]


def asks_concepts(leaf: Leaf) -> bool:
    """Whether a leaf is a game over attributes."""
    return isinstance(leaf.partition, OfConcepts)


def game_of(leaf: Leaf, catalog: Catalog) -> ConceptGame:
    """The game over attributes that a leaf asks for."""
    assert isinstance(leaf.partition, OfConcepts)
    return catalog.concept_game(leaf.model, leaf.partition.dictionary)


def apart(leaf: Leaf) -> Iterator[Leaf]:
    """The leaves whose mean a leaf is: one for each baseline, if its code depends on the baseline."""
    if isinstance(leaf.baseline, Several) and parts_of(leaf.window).of_input is not EVERYTHING:
        yield from (replace(leaf, baseline=each) for each in leaf.baseline.baselines)
    else:
        yield leaf


def ends_of(leaf: Leaf, catalog: Catalog) -> CodeEnds:
    """The codes that a leaf needs."""
    each = leaf.baseline.baselines if isinstance(leaf.baseline, Several) else (leaf.baseline,)
    window = parts_of(leaf.window).of_input
    full = Code(leaf.source, None, EVERYTHING) if window is EVERYTHING else Code(leaf.source, each[0], window)
    if _taken_out(leaf, catalog):
        return CodeEnds(full, ())
    return CodeEnds(full, tuple(_of_baseline(leaf.source, one, catalog) for one in each))


def _taken_out(leaf: Leaf, catalog: Catalog) -> bool:
    """Whether absent attributes are 0: those that are taken out of the model itself, unless another input is named."""
    each = leaf.baseline.baselines if isinstance(leaf.baseline, Several) else (leaf.baseline,)
    return game_of(leaf, catalog).on_model and not all(isinstance(one, Given | Redrawn) for one in each)


def played_on(leaf: Leaf, catalog: Catalog) -> str:
    """The network that a game over attributes is played on: the head, or the model from its layer on for one input."""
    game = game_of(leaf, catalog)
    if not game.on_model:
        return game.played
    return resumed_name(game.codes, catalog.code_book(game.codes).places[ends_of(leaf, catalog).full])


def resumed_name(codes: str, place: int) -> str:
    """The name of the model that is run on from a layer for the input whose code has this place in the book."""
    return f"{codes}{_RESUMED}{place}"


def resumed_from(name: str) -> str | None:
    """The model of attributes whose code a network by `resumed_name` begins with; None for another name."""
    codes, resumed, _ = name.rpartition(_RESUMED)
    return codes if resumed else None


def _of_baseline(source: Source, baseline: Baseline, catalog: Catalog) -> Code:
    """The code of a baseline, which many inputs share unless it is made of the input."""
    entry = catalog.input(source.name)
    if KINDS[entry.kind].vocabulary or isinstance(baseline, Blur | Redrawn):
        return Code(source, baseline, NOTHING)
    if isinstance(baseline, Given):
        return Code(baseline.source, None, EVERYTHING)
    return Code(source if source.edits else entry.sources[0], baseline, NOTHING)


def coded(leaf: Leaf, catalog: Catalog) -> Leaf:
    """The leaf over the codes of a leaf's ends, which are in the catalog's book."""
    game, ends = game_of(leaf, catalog), ends_of(leaf, catalog)
    book = catalog.code_book(game.codes)
    against: tuple[Baseline, ...] = tuple(Given(book.source(each)) for each in ends.empty) or (Constant(0.0),)
    return Leaf(
        model=played_on(leaf, catalog),
        source=book.source(ends.full),
        baseline=against[0] if len(against) == 1 else Several(against),
        partition=Features(),
        target=leaf.target,
        output=leaf.output,
        estimation=leaf.estimation,
        depth=None,
        window=parts_of(leaf.window).of_attributes,
    )


def beside(leaf: Leaf, catalog: Catalog) -> Leaf | None:
    """The leaf of one player that tells what the model itself makes of a leaf's ends, f(x) − f(x̄); None where the model
    gives no number that the head's can be compared with."""
    if game_of(leaf, catalog).on_model:  # it is the model itself, which leaves nothing unexplained
        return None
    output = _comparable(leaf, catalog)
    if output is None:
        return None
    return replace(
        leaf,
        partition=OnePlayer(),
        output=output,
        estimation=Estimation(),
        window=parts_of(leaf.window).of_input,
    )


def _comparable(leaf: Leaf, catalog: Catalog) -> OutputKind | None:
    """What is read of the model so that it is in the unit of the head, which gives logits, or the values of a
    regression."""
    reading = catalog.model(leaf.model).outputs
    if leaf.output != "logit" or reading.meaning not in ("probabilities", "log_probabilities"):
        return leaf.output
    return None if reading.classes == "alternatives" else "log_odds"

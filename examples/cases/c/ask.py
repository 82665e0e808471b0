"""The questions of this case: how far is the map of each suspect from the usual map of its class?

In: a network, suspects, and pictures of the same class that are known to be clean. Out: a scalar of each picture's map,
the rows and seconds that the question took, and which suspects are unusual. Knows nothing of how they are poisoned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import ialgebra

from .poison import Bools, Floats

# The mean of two collections of equal size is that of all their maps.
USUAL = "create or replace view usual as select {item} from f(these, {call}) join (select {item} from f(those, {call}))"
RANK = "select {item} from f(pictures, {call}) {using} order by {scalar} desc {budget}"
DISTANCE = "distance((select * from usual))"
BUDGET = 64  # model rows a map of 16 tiles


class Answer(NamedTuple):
    """A scalar of every picture's map, and the query's answer."""

    suspects: Floats
    trusted: Floats
    rel: ialgebra.Relation


def limit(trusted: Floats) -> float:
    """What trusted pictures hardly exceed: three standard deviations above their mean."""
    return float(trusted.mean() + 3 * trusted.std(ddof=1))


def unusual(suspects: Floats, trusted: Floats) -> Bools:
    return suspects > limit(trusted)


def session(net: nn.Module, classes: Sequence[str]) -> ialgebra.Session:
    """A session that knows the network as `f`."""
    con = ialgebra.connect(store_bytes=1 << 30, progress=False)
    con.register_model("f", net, classes=classes)
    con.register_window("corners", "(row < 7 or row >= 21) and (col < 7 or col >= 21)")
    return con


class Shown(NamedTuple):
    """The pictures of one class, registered in a session: so many suspects, then the trusted ones."""

    con: ialgebra.Session
    name: str
    suspects: int


class Question(NamedTuple):
    """What may be asked otherwise: of which layer, by which scalar, with which tiles, baseline or interpreter."""

    item: str = "*"
    scalar: str = DISTANCE
    options: str = ""
    using: str = ""
    budget: int | None = BUDGET


PLAIN = Question()


def show(con: ialgebra.Session, name: str, suspects: Tensor, trusted: Tensor) -> Shown:
    """Registers the pictures of a class: half of the trusted make its usual map, the others say what is usual."""
    count = len(trusted) // 4
    con.register_input("these", trusted[:count])
    con.register_input("those", trusted[count : 2 * count])
    con.register_input("pictures", torch.cat([suspects, trusted[2 * count :]]))
    con.register_input("suspects", suspects)
    return Shown(con, name, len(suspects))


def ranking(shown: Shown, question: Question = PLAIN) -> Answer:
    """The pictures by a scalar of their maps, largest first."""
    item, scalar, options, using, budget = question
    call = f"target => '{shown.name}'{options}"
    rows = "" if budget is None else f"budget {budget}"
    shown.con.sql(USUAL.format(item=item, call=call))
    rel = shown.con.sql(RANK.format(item=item, call=call, using=using, scalar=scalar, budget=rows))
    found = np.empty(len(rel))
    for each in rel:
        (value,) = (value for key, (value, _) in each.scores.items() if key != "index")
        found[int(each.scores["index"][0])] = value
    return Answer(found[: shown.suspects], found[shown.suspects :], rel)


def maps(shown: Shown, effort: str) -> ialgebra.Relation:
    """The maps of the suspects in their order."""
    return shown.con.sql(f"select * from f(suspects, target => '{shown.name}') {effort}")

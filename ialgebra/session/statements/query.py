"""`select … from … ;` asks for maps. In: a query; out: its relation."""

from __future__ import annotations

from ...algebra.attributes import COLUMNS
from ...algebra.edits import EDITS, LATENT_EDITS
from ...algebra.kinds import all_columns
from ...algebra.rankings import DECISION
from ...catalog.catalog import CONCEPTS
from ...language import tree
from ...language.bind.predicates import SHAPES
from ...language.bind.ranking import OF_CONCEPTS
from ...language.dialect import CLAUSES, PER_SECOND
from ...results.relation import Relation
from .kind import StatementContext, StatementKind

_KEYWORDS = (
    "select as from left anti on weight and or not in between at confidence",
    *CLAUSES,
    *PER_SECOND,
    *all_columns(),
    *EDITS,
    *LATENT_EDITS,
    *SHAPES,
    *COLUMNS,
    *OF_CONCEPTS,
    DECISION,
    CONCEPTS,
)


def _run(query: tree.Query, context: StatementContext) -> Relation:
    return context.answered(context.request(query))


QUERY = StatementKind(
    tree.Query,
    _run,
    keywords=" ".join(_KEYWORDS).lower(),
    help=(
        ("select * from f(x);", "the map of x under f"),
        ("select 2, * from f(x) where row < 112 budget 2000;", "layer 2 and the whole model, inside a window"),
        ("select * from f(x) left join (select * from f(y));", "what tells x from y, and y from x"),
        ("select * from f(x, players => concepts);", "what each attribute of f's dictionary adds"),
        ("select * from f.concepts(x, target => 'a7');", "where an attribute is"),
        ("select * from f(reconstruct(x, within => 0.5));", "x as a generator draws it"),
    ),
    query=lambda query: query,
)
